//! A collector of traces that is away, frozen or of another mind, and the end of the process.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tessera_proto::v1::WhoAmIRequest;
use tessera_tests::{
    ask::ask_cached,
    client::{self, Credentials},
    collector::{Caller, Collector, Mood},
    metrics::Scrape,
    port,
    process::Process,
    service::{self, Place},
    system::{Backend, System, named},
    tools::{all_bytes_under, repository, venv},
    watch::eventually,
};

/// More than may wait, and what is in hand besides.
const MANY: usize = 6_000;
const SPANS: &str = "tessera_trace_spans_total";

async fn start(url: &str) -> System {
    Backend::Embedded.start_all_with(&["--otlp-endpoint", url, "--otlp-sample-ratio", "0"]).await
}

/// So many answers from memory, each traced.
async fn verify(system: &System, token: &str, times: usize) {
    let mut client = system.verifiers().remove(0);
    for _ in 0..times {
        client.verify(Caller::new().asks(ask_cached(token))).await.unwrap();
    }
}

fn logged(system: &System, words: &str) -> usize {
    String::from_utf8_lossy(&all_bytes_under(system.dir())).matches(words).count()
}

async fn scrape(system: &System) -> Scrape {
    Scrape::of(system.verifier_places()[0].http).await
}

#[tokio::test]
async fn one_that_is_away_costs_bounded_memory_and_no_answer_and_is_told_of_once() {
    let address = port::free();
    let system = start(&format!("http://{address}")).await;
    let token = system.permanent(&system.admin().await, named("traced")).await.token;
    verify(&system, &token, MANY).await;
    let before = eventually("spans without room", || async {
        let scrape = scrape(&system).await;
        (scrape.expect(&format!("{SPANS}{{result=\"dropped\"}}")) > 0.0).then_some(scrape)
    })
    .await;
    assert!(before.expect("tessera_trace_queued_spans") <= 4_096.0);
    eventually("two failed tries", || async {
        (scrape(&system).await.expect("tessera_trace_failed_exports_total") >= 2.0).then_some(())
    })
    .await;
    assert_eq!(logged(&system, "takes no spans"), 1);
    // It comes, and gets what has waited.
    let collector = Collector::start_at(address);
    eventually("the spans that waited", || async {
        let sent = scrape(&system).await.expect(&format!("{SPANS}{{result=\"sent\"}}"));
        (sent >= 4_096.0).then_some(())
    })
    .await;
    assert!(collector.spans().len() >= 4_096);
    let after = Caller::new();
    let mut client = system.verifiers().remove(0);
    client.verify(after.asks(ask_cached(&token))).await.unwrap();
    collector.trace(&after.trace, 1).await;
    assert_eq!(logged(&system, "takes spans again"), 1);
    let scrape = scrape(&system).await;
    let told = |result: &str| scrape.expect(&format!("{SPANS}{{result=\"{result}\"}}"));
    assert!(told("sent") + told("dropped") >= MANY as f64, "{}", scrape.0);
    assert!(told("refused").abs() < 0.5, "{}", scrape.0);
}

#[tokio::test]
async fn one_that_is_frozen_delays_no_answer_and_no_end() {
    let collector = Collector::start();
    collector.set(Mood::Frozen);
    let mut system = start(&collector.url()).await;
    let token = system.permanent(&system.admin().await, named("traced")).await.token;
    verify(&system, &token, MANY).await;
    eventually("spans without room", || async {
        let dropped = scrape(&system).await.expect(&format!("{SPANS}{{result=\"dropped\"}}"));
        (dropped > 0.0 && collector.tries() > 0).then_some(())
    })
    .await;
    system.end().await;
    assert!(collector.spans().is_empty());
    assert_eq!(logged(&system, "took too long at the end"), 1, "the issuer had nothing to send");
}

#[tokio::test]
async fn what_one_refuses_is_not_sent_again() {
    let collector = Collector::start();
    collector.set(Mood::Refusing);
    let system = start(&collector.url()).await;
    let mut client = system.verifiers().remove(0);
    client.verify(Caller::new().asks(ask_cached("nonsense"))).await.unwrap();
    eventually("a refused span", || async {
        let refused = scrape(&system).await.expect(&format!("{SPANS}{{result=\"refused\"}}"));
        (refused >= 1.0).then_some(())
    })
    .await;
    assert_eq!(collector.tries(), 1);
    collector.set(Mood::Taking);
    let caller = Caller::new();
    client.verify(caller.asks(ask_cached("nonsense"))).await.unwrap();
    collector.trace(&caller.trace, 1).await;
    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test]
async fn the_end_of_a_service_sends_what_waits() {
    let collector = Collector::start();
    let mut system = start(&collector.url()).await;
    let admin = system.admin().await;
    let (issuing, verifying) = (Caller::new(), Caller::new());
    system.issuer(&admin).who_am_i(issuing.asks(WhoAmIRequest {})).await.unwrap();
    let mut client = system.verifiers().remove(0);
    client.verify(verifying.asks(ask_cached("nonsense"))).await.unwrap();
    system.end().await;
    let spans = collector.spans();
    for caller in [issuing, verifying] {
        assert!(spans.iter().any(|seen| seen.trace() == caller.trace), "{spans:?}");
    }
}

#[tokio::test]
async fn the_environment_says_who_tells() {
    let collector = Collector::start();
    let dir = tempfile::tempdir().unwrap();
    let (issuer, verifier) = (Place::free(), Place::free());
    let flags = ["--otlp-endpoint".to_owned(), collector.url()];
    let mut command = service::up_command(&dir.path().join("data"), issuer, verifier, &flags);
    let attributes = "service.instance.id=pod-7,k8s.namespace.name=edge";
    command.env("OTEL_RESOURCE_ATTRIBUTES", attributes);
    let mut up = Process::start("up", command, Path::new(dir.path()));
    service::serving(&mut up, verifier.grpc).await;
    let caller = Caller::new();
    let mut client = client::verifier(verifier.grpc);
    client.verify(caller.asks(ask_cached("nonsense"))).await.unwrap();
    let seen = collector.trace(&caller.trace, 1).await.remove(0);
    let is = |key: &str| seen.resource.get(key).map(String::as_str);
    assert_eq!(is("service.name"), Some("tessera-verifier"));
    assert_eq!(is("service.instance.id"), Some("pod-7"));
    assert_eq!(is("k8s.namespace.name"), Some("edge"));
}

#[tokio::test]
async fn a_log_line_names_the_trace_of_its_request() {
    let collector = Collector::start();
    let flags =
        ["--otlp-endpoint", &collector.url(), "--log-format", "json", "--refresh-grace", "0s"];
    let system = Backend::Embedded.start_all_with(&flags).await;
    let session = system.admin_session().await;
    let mut issuer = system.issuer(&Credentials::none());
    let refresh = tessera_proto::v1::RefreshRequest { refresh_token: session.refresh_token };
    issuer.refresh(refresh.clone()).await.unwrap();
    let caller = Caller::new();
    issuer.refresh(caller.asks(refresh)).await.unwrap_err();
    let span = collector.trace(&caller.trace, 1).await.pop().unwrap();
    assert!(span.span.end_time_unix_nano > 0);
    let named = format!("\"trace.id\":\"{}\"", caller.trace);
    let found = tokio::time::timeout(Duration::from_secs(60), async {
        eventually("the line", || {
            let log = String::from_utf8_lossy(&all_bytes_under(system.dir())).into_owned();
            let is_it = |line: &&str| line.contains("used twice") && line.contains(&named);
            std::future::ready(log.lines().find(is_it).map(str::to_owned))
        })
        .await
    });
    found.await.unwrap();
}

#[tokio::test]
async fn a_collector_of_opentelemetrys_own_packages_reads_what_is_sent() {
    let (dir, address) = (tempfile::tempdir().unwrap(), port::free());
    let mut python = venv("python");
    python.arg(repository().join("tests/clients/otlp.py")).arg(address.to_string());
    let mut collector = Process::start("collector", python, dir.path());
    eventually("a collector", || {
        assert!(collector.ended().is_none(), "{}", collector.log());
        std::future::ready(collector.log().contains("listening").then_some(()))
    })
    .await;
    let system = start(&format!("http://{address}")).await;
    let caller = Caller::new();
    let mut client = system.verifiers().remove(0);
    client.verify(caller.asks(ask_cached("nonsense"))).await.unwrap();
    let told: Value = eventually("the span", || {
        let log = collector.log();
        let line = log.lines().find(|line| line.contains(&caller.trace)).map(str::to_owned);
        std::future::ready(line.and_then(|line| serde_json::from_str(&line).ok()))
    })
    .await;
    assert_eq!(told["name"], "tessera.v1.VerifierService/Verify");
    assert_eq!(
        (&told["kind"], &told["status"]),
        (&json!("SPAN_KIND_SERVER"), &json!("STATUS_CODE_UNSET"))
    );
    assert_eq!(
        (&told["parent"], &told["state"]),
        (&json!(caller.span), &json!("tester=1,other=2"))
    );
    assert_eq!(told["schema"], "https://opentelemetry.io/schemas/1.27.0");
    assert_eq!(told["resource"]["service.name"], "tessera-verifier");
    let expected = json!({
        "rpc.system": "grpc",
        "rpc.service": "tessera.v1.VerifierService",
        "rpc.method": "Verify",
        "rpc.grpc.status_code": 0,
    });
    assert_eq!(told["attributes"], expected);
    assert!(told["nanos"].as_i64().unwrap() >= 0);
}
