//! `tessera bench` against a live verifier.

use std::{io::Write as _, process::Command};

use serde_json::Value;
use tempfile::NamedTempFile;
use tessera_tests::{
    on_every_backend, port,
    process::{Process, built, clean},
    system::{Backend, System, named},
    tools::run,
    watch::eventually,
};

on_every_backend!(
    grants_denials_and_statuses_are_counted,
    at_a_rate_every_request_is_sent_or_said_to_be_unsent,
    batches_are_counted_by_token,
    an_interrupted_load_still_shows_what_it_found,
);

/// `tessera bench` over these tokens. The file lives as long as its value.
fn bench(
    system: &System,
    format: &str,
    tokens: &[&str],
    options: &[&str],
) -> (Command, NamedTempFile) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(tokens.join("\n").as_bytes()).unwrap();
    let mut command = clean(&built("tessera"));
    command
        .args(["--output", format, "--verifier"])
        .arg(format!("http://{}", system.verifier_places()[0].grpc))
        .args(["bench", "--token-file"])
        .arg(file.path())
        .args(["--connections", "2", "--concurrency", "4"])
        .args(options);
    (command, file)
}

/// The exit code, and the object that was printed.
async fn found(system: &System, tokens: &[&str], options: &[&str]) -> (Option<i32>, Value) {
    let (mut command, _file) = bench(system, "json", tokens, options);
    let output = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{complaint}"));
    (output.status.code(), json)
}

async fn permanent(system: &System) -> String {
    system.permanent(&system.admin().await, named("good")).await.token
}

async fn grants_denials_and_statuses_are_counted(backend: Backend) {
    let system = backend.start().await;
    let good = permanent(&system).await;
    let (code, json) = found(&system, &[&good], &["--duration", "300ms"]).await;
    assert_eq!(code, Some(0), "{json}");
    assert!(json["requests"].as_u64() > Some(0), "{json}");
    assert_eq!(json["granted"], json["requests"], "{json}");
    assert_eq!(json["grpc_status"]["OK"], json["requests"], "{json}");
    assert!(json["latency"]["p50_us"].as_u64() > Some(0), "{json}");
    assert!(json["latency"]["p99_us"].as_u64() >= json["latency"]["p50_us"].as_u64(), "{json}");

    let (code, json) = found(&system, &[&good, "no token"], &["--duration", "300ms"]).await;
    assert_eq!(code, Some(1), "{json}");
    let (granted, denied) = (json["granted"].as_u64(), json["denied"].as_u64());
    assert!(granted > Some(0) && denied > Some(0), "{json}");
    assert_eq!(json["denied_by_reason"]["MALFORMED"], json["denied"], "{json}");
}

async fn at_a_rate_every_request_is_sent_or_said_to_be_unsent(backend: Backend) {
    let system = backend.start().await;
    let good = permanent(&system).await;
    let (code, json) = found(&system, &[&good], &["--rate", "100", "--duration", "500ms"]).await;
    assert_eq!(code, Some(0), "{json}");
    let sent = json["requests"].as_u64().unwrap();
    assert_eq!(sent + json["not_sent"].as_u64().unwrap(), 50, "{json}");
}

async fn batches_are_counted_by_token(backend: Backend) {
    let system = backend.start().await;
    let session = system.admin_session().await;
    let good = permanent(&system).await;
    let tokens = [&*good, &*session.access_token, &*session.refresh_token];
    let (code, json) = found(&system, &tokens, &["--batch", "30", "--duration", "300ms"]).await;
    assert_eq!(code, Some(1), "{json}");
    let requests = json["requests"].as_u64().unwrap();
    assert!(requests > 0, "{json}");
    assert_eq!(json["granted"], requests * 20, "{json}");
    assert_eq!(json["denied_by_reason"]["WRONG_TYPE"], requests * 10, "{json}");
}

async fn an_interrupted_load_still_shows_what_it_found(backend: Backend) {
    let system = backend.start().await;
    let good = permanent(&system).await;
    let (command, _file) = bench(&system, "table", &[&good], &["--duration", "1h"]);
    let mut bench = Process::start("bench", command, system.dir());
    eventually("the begin of the load", || {
        std::future::ready(bench.log().contains("in flight").then_some(()))
    })
    .await;
    bench.signal("INT");
    let code = bench.exit().await.code();
    let log = bench.log();
    // It may be interrupted before the first answer: CANCELLED.
    assert!([Some(0), Some(11)].contains(&code), "{code:?} {log}");
    assert!(log.contains("p99 us"), "{log}");
    assert!(!log.contains(&good), "{log}");
}

#[tokio::test]
async fn a_verifier_that_is_not_there_is_an_outage_and_no_measurement() {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"tessera_1_x").unwrap();
    let mut command = clean(&built("tessera"));
    command.arg("--verifier").arg(format!("http://{}", port::free()));
    command.args(["bench", "--token-file"]).arg(file.path());
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(24));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: UNAVAILABLE"));
}

#[test]
fn a_token_on_the_command_line_is_refused_and_not_repeated() {
    let output = run(clean(&built("tessera")).args(["bench", "tessera_1_secret"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("tessera_1"));
}
