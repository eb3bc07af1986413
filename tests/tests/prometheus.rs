//! `deploy/prometheus` and `deploy/grafana`, tried on a real Prometheus that scrapes both
//! services: its configuration, rules and dashboard are sound, and each metric that they
//! name is there.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tempfile::TempDir;
use tessera_tests::{
    http,
    metrics::Scrape,
    port,
    process::{Process, clean},
    redis::Redis,
    service::{self, Place},
    tls::Authority,
    tools::{repository, succeed},
    watch::eventually,
};

fn deploy(path: &str) -> PathBuf {
    repository().join("deploy").join(path)
}

/// The expressions of the dashboard, for an interval that a test lives to see.
fn dashboard() -> Vec<String> {
    let text = fs::read_to_string(deploy("grafana/tessera.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    expressions.map(|expression| expression.replace("$__rate_interval", "1m")).collect()
}

/// The names of our metrics, and of the process's, in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let ours = words.filter(|word| word.starts_with("tessera_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

/// What Prometheus answers to a query: the result.
async fn query(prometheus: SocketAddr, expression: &str) -> Option<Vec<Value>> {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = http::fetch(prometheus, &format!("/api/v1/query?query={encoded}")).await;
    let answer: Value = serde_json::from_str(&answer.body).ok()?;
    assert_eq!(answer["status"], "success", "{expression}: {answer}");
    answer["data"]["result"].as_array().cloned()
}

/// The configuration of `deploy/`, with these targets and looking every second.
fn configuration(dir: &Path, issuer: SocketAddr, verifier: SocketAddr) -> PathBuf {
    let text = fs::read_to_string(deploy("prometheus/prometheus.yml")).unwrap();
    let text = text
        .replace("issuer:9101", &issuer.to_string())
        .replace("verifier:9102", &verifier.to_string())
        .replace("_interval: 15s", "_interval: 1s");
    let rules = "tessera.rules.yml";
    fs::copy(deploy("prometheus").join(rules), dir.join(rules)).unwrap();
    let file = dir.join("prometheus.yml");
    fs::write(&file, text).unwrap();
    file
}

/// What promtool finds wrong with the metrics of a service.
async fn lint(address: SocketAddr) {
    let text = Scrape::of(address).await.0;
    let mut child = clean(Path::new("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let complaints = [said.stdout, said.stderr].concat();
    let complaints = String::from_utf8_lossy(&complaints);
    assert!(said.status.success() && complaints.is_empty(), "{complaints}\n{text}");
}

fn promtool(arguments: &[&str], file: &Path) {
    succeed(clean(Path::new("promtool")).args(arguments).arg(file));
}

#[tokio::test]
async fn a_real_prometheus_finds_every_metric_of_dashboard_and_rules() {
    promtool(&["check", "config"], &deploy("prometheus/prometheus.yml"));
    promtool(&["check", "rules"], &deploy("prometheus/tessera.rules.yml"));
    promtool(&["test", "rules"], &repository().join("tests/prometheus/tessera.test.yml"));

    let (authority, dir, redis) = (Authority::new(), TempDir::new().unwrap(), Redis::start().await);
    let (issuer, verifier) = (port::free(), port::free());
    let flags = |health: SocketAddr| {
        let files = [authority.server_certificate(), authority.server_key()];
        let [cert, key] = files.map(|path| path.display().to_string());
        let health = health.to_string();
        let tls = ["--tls-cert-file", &cert, "--tls-key-file", &key];
        // Nobody listens there: that there are metrics of it is enough.
        let more = ["--health-listen", &health, "--otlp-endpoint", "http://127.0.0.1:9"];
        [tls, more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let (issuing, verifying) = (Place::free(), Place::free());
    let url = redis.url_as("issuer");
    let mut issuing = service::issuer(&url, issuing, &flags(issuer), dir.path());
    service::serving(&mut issuing, issuer).await;
    let url = redis.url_as("verifier");
    let flags = flags(verifier);
    let mut verifying = service::verifier("verifier", &url, verifying, &flags, dir.path());
    service::serving(&mut verifying, verifier).await;

    for address in [issuer, verifier] {
        lint(address).await;
    }
    let (prometheus, config) = (port::free(), configuration(dir.path(), issuer, verifier));
    let mut command = clean(Path::new("prometheus"));
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", dir.path().join("tsdb").display()));
    command.arg(format!("--web.listen-address={prometheus}"));
    let mut running = Process::start("prometheus", command, dir.path());
    eventually("Prometheus", || {
        assert!(running.ended().is_none(), "{}", running.log());
        let listens = std::net::TcpStream::connect(prometheus).is_ok();
        std::future::ready(listens.then_some(()))
    })
    .await;
    eventually("both services scraped", || async {
        let up = query(prometheus, "up == 1").await?;
        (up.len() == 2).then_some(())
    })
    .await;

    let rules = fs::read_to_string(deploy("prometheus/tessera.rules.yml")).unwrap();
    let expressions = dashboard();
    let named: BTreeSet<_> =
        names(&rules).into_iter().chain(names(&expressions.join("\n"))).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let what = format!("{name} in Prometheus");
        eventually(&what, || async { (!query(prometheus, &name).await?.is_empty()).then_some(()) })
            .await;
    }
    for expression in &expressions {
        query(prometheus, expression).await.expect("an expression that Prometheus takes");
    }
    let rules = http::fetch(prometheus, "/api/v1/rules").await;
    let rules: Value = serde_json::from_str(&rules.body).unwrap();
    for rule in rules["data"]["groups"][0]["rules"].as_array().unwrap() {
        assert!(rule["health"] != "err" && rule["state"] != "firing", "{rule}");
    }
}
