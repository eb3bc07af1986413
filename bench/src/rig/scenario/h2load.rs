//! The cached case pushed by h2load, to check our own load generator against it.

use super::speed::{granted, permanent};
use crate::{
    Options,
    load::Bodies,
    machine,
    measure::Push,
    report::Row,
    system::{Server, ask},
};

pub(super) async fn h2load(options: Options) -> Vec<Row> {
    let (system, tokens) = permanent(&options, 1).await;
    let push = Push::new(&options, Bodies::verify(&tokens));
    let verifier = system.verifier().await;
    let reference = system.noop(&ask(&verifier, &tokens[0]).await).await;
    system.pin();
    let (mut rates, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..options.pairs {
        let noop = push_by_h2load(&options, &reference, push.bodies.at(0)).await;
        let tessera = push_by_h2load(&options, &verifier, push.bodies.at(0)).await;
        rates.push((noop.0, tessera.0));
        cpus.push((noop.1, tessera.1));
    }
    granted(&ask(&verifier, &tokens[0]).await);
    vec![
        Row::pairs("h2load", "requests/s", &rates),
        Row::pairs("h2load", "CPU µs a request", &cpus),
    ]
}

/// Answers a second, and CPU of each in microseconds.
async fn push_by_h2load(options: &Options, server: &Server, body: &[u8]) -> (f64, f64) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), body).expect("a file");
    let seconds = options.window().as_secs().max(1);
    let mut command = std::process::Command::new("h2load");
    command.args(["-c", &options.connections.to_string(), "-m", &options.streams.to_string()]);
    command.args(["-D", &seconds.to_string(), "-H", "content-type: application/grpc"]);
    command.args(["-H", "te: trailers", "-d"]).arg(file.path());
    command.arg(format!("http://{}/tessera.v1.VerifierService/Verify", server.address));
    let before = machine::cpu(server.process.id());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread");
    let output = output.expect("h2load (Debian: nghttp2-client)");
    let spent = machine::cpu(server.process.id()) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |before: &str, after: &str| -> f64 {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("h2load said: {text}"));
        rest.split(after).next().and_then(|it| it.trim().parse().ok()).expect("a number")
    };
    let rate = number("s, ", " req/s");
    (rate, spent.as_secs_f64() * 1e6 / number("requests: ", " total"))
}
