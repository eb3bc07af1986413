//! How long an answer takes, and the first one.

use std::time::{Duration, Instant};

use serde_json::json;
use tessera_proto::v1::{VerifyRequest, verifier_service_client::VerifierServiceClient};
use tokio::time::sleep;

use crate::{
    Options,
    load::{Bodies, Load, Pace},
    measure::{Push, median, saturate, touch_all},
    report::Row,
    system::{Server, System, ask, channel},
    tokens,
};

pub(super) async fn latency(options: Options) -> Vec<Row> {
    let system = System::start(&options, false).await;
    let store = system.store();
    let count = options.tokens.unwrap_or(1000);
    let accounts = tokens::accounts(&store, count).await;
    let tokens = tokens::permanent(&store, &accounts, count).await;
    let push = Push::new(&options, Bodies::verify(&tokens));
    let verifier = system.verifier().await;
    let reference = system.noop(&ask(&verifier, &tokens[0]).await).await;
    system.pin();
    touch_all(&verifier, &push).await;
    let rate = saturate(&options, &verifier, &push).await.rate / 2.0;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..options.pairs {
        let noop = at_rate(&options, &reference, &push, rate).await;
        let tessera = at_rate(&options, &verifier, &push, rate).await;
        p50.push((noop.0, tessera.0));
        p99.push((noop.1, tessera.1));
    }
    let note = format!("{rate:.0} requests/s over {} connections", push.connections);
    vec![
        Row::pairs("latency", "p50, µs, at half load", &p50).note(note),
        Row::pairs("latency", "p99, µs, at half load", &p99),
    ]
}

/// p50 and p99 in microseconds, from when each request was meant to be sent.
async fn at_rate(options: &Options, server: &Server, push: &Push, rate: f64) -> (f64, f64) {
    let load = Load::start(push.plan(server, Pace::Exact(rate)));
    sleep(options.warm_up()).await;
    load.record();
    sleep(options.window()).await;
    let latencies = load.stop();
    let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    (at(0.5), at(0.99))
}

pub(super) async fn start_to_first_answer(options: Options) -> Vec<Row> {
    let system = System::start(&options, false).await;
    let store = system.store();
    let accounts = tokens::accounts(&store, 1).await;
    let tokens = tokens::permanent(&store, &accounts, 1).await;
    system.pin();
    let mut times = Vec::new();
    for _ in 0..options.pairs.max(10) {
        let begun = Instant::now();
        let server = system.launch_verifier(&options.server_cores);
        let request = VerifyRequest { token: tokens[0].clone(), ..VerifyRequest::default() };
        loop {
            let mut client = VerifierServiceClient::new(channel(server.address));
            if client.verify(request.clone()).await.is_ok() {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let (median, least, most) = median(&times);
    let note = format!("{} starts, {least:.0} to {most:.0} ms", times.len());
    let row = Row::plain("start-to-first-answer", "ms, median", median);
    vec![row.note(note).samples(json!(times))]
}
