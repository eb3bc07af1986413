//! The cached case pushed by h2load, to check our own load generator against it.

use super::{
    first,
    speed::{granted, permanent},
};
use crate::{
    Options,
    failure::{Failure, OrFail as _},
    load::Bodies,
    machine,
    measure::{MANY, Push},
    report::Row,
    system::{Server, ask},
};

pub(super) async fn h2load(options: Options) -> Result<Vec<Row>, Failure> {
    let (system, tokens) = permanent(&options, 1).await?;
    let token = first(&tokens)?;
    let push = Push::new(&options, Bodies::verify(&tokens));
    let verifier = system.verifier().await?;
    let reference = system.noop(&ask(&verifier, token).await?).await?;
    system.pin()?;
    let (mut rates, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..options.pairs {
        let noop = push_by_h2load(&options, &reference, push.bodies.at(0)).await?;
        let tessera = push_by_h2load(&options, &verifier, push.bodies.at(0)).await?;
        rates.push((noop.0, tessera.0));
        cpus.push((noop.1, tessera.1));
    }
    granted(&ask(&verifier, token).await?)?;
    Ok(vec![
        Row::pairs("h2load", "requests/s", &rates),
        Row::pairs("h2load", "CPU µs a request", &cpus),
    ])
}

/// Answers a second, and CPU of each in microseconds.
async fn push_by_h2load(
    options: &Options,
    server: &Server,
    body: &[u8],
) -> Result<(f64, f64), Failure> {
    let file = tempfile::NamedTempFile::new().or_fail("make a file for h2load")?;
    std::fs::write(file.path(), body).or_fail("write a file for h2load")?;
    let seconds = options.seconds.as_secs().max(1);
    let streams = options.streams.unwrap_or(MANY);
    let mut command = std::process::Command::new("h2load");
    command.args(["-c", &options.connections.to_string(), "-m", &streams.to_string()]);
    command.args(["-D", &seconds.to_string(), "-H", "content-type: application/grpc"]);
    command.args(["-H", "te: trailers", "-d"]).arg(file.path());
    command.arg(format!("http://{}/tessera.v1.VerifierService/Verify", server.address));
    let before = machine::cpu(server.process.id())?;
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.or_fail("run h2load")?.or_fail("run h2load (Debian: nghttp2-client)")?;
    let spent = machine::cpu(server.process.id())?.saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |before: &str, after: &str| -> Result<f64, Failure> {
        let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
        let number = found.and_then(|(number, _)| number.trim().parse().ok());
        number.ok_or_else(|| Failure::Unexpected(format!("h2load told no figures: {text}")))
    };
    let rate = number("s, ", " req/s")?;
    Ok((rate, spent.as_secs_f64() * 1e6 / number("requests: ", " total")?))
}
