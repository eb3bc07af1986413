//! How long an answer takes, and the first one.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use super::first;
use crate::{
    Options,
    failure::Failure,
    load::{Bodies, Load, Pace},
    measure::{Push, median, saturate, touch_all},
    report::Row,
    system::{Server, System, ask},
    tokens,
};

pub(super) async fn latency(options: Options) -> Result<Vec<Row>, Failure> {
    let system = System::start(&options, false).await?;
    let store = system.store();
    let count = options.tokens.unwrap_or(1000);
    let accounts = tokens::accounts(&store, count).await?;
    let tokens = tokens::permanent(&store, &accounts, count).await?;
    let push = Push::new(&options, Bodies::verify(&tokens));
    let verifier = system.verifier().await?;
    let reference = system.noop(&ask(&verifier, first(&tokens)?).await?).await?;
    system.pin()?;
    touch_all(&verifier, &push).await?;
    let rate = saturate(&options, &verifier, &push).await?.rate / 2.0;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..options.pairs {
        let noop = at_rate(&options, &reference, &push, rate).await?;
        let tessera = at_rate(&options, &verifier, &push, rate).await?;
        p50.push((noop.0, tessera.0));
        p99.push((noop.1, tessera.1));
    }
    let note = format!("{rate:.0} requests/s over {} connections", push.connections);
    Ok(vec![
        Row::pairs("latency", "p50, µs, at half load", &p50).note(note),
        Row::pairs("latency", "p99, µs, at half load", &p99),
    ])
}

/// p50 and p99 in microseconds, from when each request was meant to be sent.
async fn at_rate(
    options: &Options,
    server: &Server,
    push: &Push,
    rate: f64,
) -> Result<(f64, f64), Failure> {
    let load = Load::start(push.plan(server, Pace::Exact(rate)));
    sleep(options.warm_up).await;
    load.record();
    sleep(options.seconds).await;
    let latencies = load.stop()?;
    let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    Ok((at(0.5), at(0.99)))
}

pub(super) async fn start_to_first_answer(options: Options) -> Result<Vec<Row>, Failure> {
    let system = System::start(&options, false).await?;
    let store = system.store();
    let accounts = tokens::accounts(&store, 1).await?;
    let tokens = tokens::permanent(&store, &accounts, 1).await?;
    let token = first(&tokens)?;
    system.pin()?;
    let mut times = Vec::new();
    for _ in 0..options.pairs.max(10) {
        let begun = Instant::now();
        let mut server = system.launch_verifier(&options.server_cores)?;
        while ask(&server, token).await.is_err() {
            server.process.still_runs()?;
            sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let (median, least, most) = median(&times);
    let note = format!("{} starts, {least:.0} to {most:.0} ms", times.len());
    let row = Row::plain("start-to-first-answer", "ms, median", median);
    Ok(vec![row.note(note).samples(json!(times))])
}
