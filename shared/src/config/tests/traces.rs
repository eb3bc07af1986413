//! Where traces go.

use super::*;

fn traces(process: &Process) -> Option<TracesConfig> {
    process.verifier().unwrap().operation.traces
}

#[test]
fn nothing_is_traced_unless_a_collector_is_named() {
    assert_eq!(traces(&Process::dev("")), None);
    assert_eq!(traces(&Process::dev("--otlp-sample-ratio 1")), None);
    let config = |ratio| {
        let endpoint = "http://collector:4317".to_owned();
        Some(TracesConfig { endpoint, ca_file: None, sample_ratio: ratio })
    };
    let process = Process::dev("--otlp-endpoint http://collector:4317");
    assert_eq!(traces(&process), config(0.01));
    assert_eq!(process.issuer().unwrap().operation.traces, config(0.01));
    let process = Process::dev("").variable("TESSERA_OTLP_ENDPOINT", "http://collector:4317");
    for (ratio, is) in [("0.25", 0.25), ("1", 1.0), ("'0'", 0.0)] {
        let process = Process { args: process.args.clone(), ..Process::dev("") }
            .variable("TESSERA_OTLP_ENDPOINT", "http://collector:4317")
            .file(&format!("otlp-sample-ratio = {ratio}"));
        assert_eq!(traces(&process), config(is));
    }
    let up = Process::with("--otlp-endpoint http://collector:4317").up().unwrap();
    assert_eq!(up.issuer.operation.traces, up.verifier.operation.traces);
    let tls = Process::dev("--otlp-endpoint https://collector:4317 --otlp-ca-file ca.pem");
    assert_eq!(traces(&tls).unwrap().ca_file, Some("ca.pem".into()));
}

#[test]
fn what_is_no_collector_or_no_ratio_is_told_so() {
    let expected =
        "is not the URL of a collector; expected http://HOST:4317, which takes OTLP over gRPC";
    for url in [
        "collector:4317",
        "grpc://collector:4317",
        "http://user:secret@collector:4317",
        "http://collector:4317/v1/traces",
        "http://collector:4317?token=secret",
        "http://",
    ] {
        let said = Process::dev(&format!("--otlp-endpoint {url}")).issuer_error();
        assert_eq!(said, format!("--otlp-endpoint: the value {expected}"), "{url}");
    }
    for ratio in ["2", "-1", "1%", "NaN", "inf"] {
        assert_eq!(
            Process::dev(&format!("--otlp-sample-ratio {ratio}")).issuer_error(),
            format!(
                "--otlp-sample-ratio: {ratio:?} is not a ratio; expected a number from 0 to 1: 0.01 for one in a hundred"
            )
        );
    }
    assert_eq!(
        Process::dev("--otlp-endpoint https://collector:4317").issuer_error(),
        "--otlp-endpoint is of no use without --otlp-ca-file; give that too, or neither"
    );
    assert_eq!(
        Process::dev("--otlp-ca-file ca.pem").issuer_error(),
        "--otlp-ca-file is of no use without --otlp-endpoint; give that too, or neither"
    );
    assert_eq!(
        Process::dev("").file("otlp-sample-ratio = true").issuer_error(),
        "otlp-sample-ratio in tessera.toml: \"true\" is not a ratio; expected a number from 0 to 1: 0.01 for one in a hundred"
    );
}
