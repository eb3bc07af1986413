//! The log as an operator reads it: each event one clear line, and no flood of them.

use serde_json::Value;
use tessera_proto::v1::{LoginRequest, WhoAmIRequest};
use tessera_tests::{
    ask::ask,
    client::{self, Credentials},
    proxy::{Proxy, Which},
    redis::Redis,
    service::{self, Place},
    system::{Backend, System, named},
    wire::{self, Wire},
};
use tonic::Code;

/// Calls that fail while the store is away.
const MANY: usize = 1_500;

const JSON: [&str; 2] = ["--log-format", "json"];

/// The lines of a log.
fn lines(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn count(lines: &[Value], message: &str) -> usize {
    lines
        .iter()
        .filter(|line| line["message"].as_str().unwrap_or_default().contains(message))
        .count()
}

#[tokio::test]
async fn an_outage_is_told_of_in_a_few_lines_however_many_calls_fail() {
    let dir = tempfile::tempdir().unwrap();
    let (redis, issuer, verifier) = (Redis::start().await, Place::free(), Place::free());
    let proxy = Proxy::start(redis.address()).await;
    let flags = JSON.map(str::to_owned);
    let url = redis.url_through("issuer", proxy.address());
    let mut issuing = service::issuer(&url, issuer, &flags, dir.path());
    service::serving(&mut issuing, issuer.grpc).await;
    let url = redis.url_through("verifier", proxy.address());
    let mut verifying = service::verifier("verifier", &url, verifier, &flags, dir.path());
    service::serving(&mut verifying, verifier.grpc).await;
    let mut anybody = client::issuer(issuer.grpc, &Credentials::none());
    let login = LoginRequest { username: "admin".into(), password: service::ADMIN_PASSWORD.into() };
    let session = anybody.login(login.clone()).await.unwrap().into_inner();
    let mut admin = client::issuer(issuer.grpc, &Credentials::bearer(&session.access_token));
    let made = admin.create_permanent_token(named("asked for")).await.unwrap();
    let token = made.into_inner().token;
    let before = [&issuing, &verifying].map(|process| lines(&process.log()).len());

    proxy.refuse();
    proxy.cut(Which::All);
    let mut asking = client::verifier(verifier.grpc);
    let mut failed = 0;
    while failed < MANY {
        let refused = anybody.login(login.clone()).await.err();
        failed += usize::from(refused.is_some_and(|it| it.code() == Code::Unavailable));
        let refused = asking.verify(ask(&token)).await.err();
        failed += usize::from(refused.is_some_and(|it| it.code() == Code::Unavailable));
        wire::ask(Wire::Http1, issuer.http, "/.well-known/jwks.json", &[]).await;
    }
    proxy.pass();
    for (process, before) in [&issuing, &verifying].into_iter().zip(before) {
        let all = lines(&process.log());
        let told = all.len() - before;
        assert!(told < failed / 10, "{told} lines for {failed} calls:\n{}", process.log());
    }
    let of_issuer = lines(&issuing.log());
    assert!(count(&of_issuer, "the store did not answer") >= 1, "{}", issuing.log());
    assert_eq!(count(&lines(&verifying.log()), "the store does not answer"), 1);
}

#[tokio::test]
async fn a_service_says_where_it_listens_that_it_drains_and_that_it_has_stopped() {
    let mut system = System::over(Some(Redis::start().await), &JSON, &JSON).await;
    let (issuer, verifier) = (system.issuer_place(), system.verifier_places()[0]);
    system.end().await;
    for (log, place, service) in
        [("issuer", issuer, "tessera-issuer"), ("verifier-0", verifier, "tessera-verifier")]
    {
        let text = std::fs::read_to_string(system.dir().join(format!("{log}.log"))).unwrap();
        let all = lines(&text);
        let listening = all.iter().find(|line| line["message"] == "listening").expect("a line");
        assert_eq!(listening["service"], service);
        assert_eq!(listening["grpc"], place.grpc.to_string());
        assert_eq!(listening["http"], place.http.to_string());
        assert!(listening["version"].is_string());
        let at = |message: &str| all.iter().position(|line| line["message"] == message);
        assert!(at("listening") < at("draining") && at("draining") < at("stopped"), "{text}");
        // Its last line: nothing is left to be told.
        assert_eq!(at("stopped"), Some(all.len() - 1), "{text}");
    }
}

#[tokio::test]
async fn failed_logins_are_told_of_with_the_address_and_without_the_name() {
    let system = Backend::Redis.start_with(&JSON).await;
    let name = "a.password.typed.as.a.name";
    let mut issuer = system.issuer(&Credentials::none());
    for _ in 0..30 {
        let wrong = LoginRequest { username: name.into(), password: "a wrong passphrase".into() };
        issuer.login(wrong).await.unwrap_err();
    }
    let text = std::fs::read_to_string(system.dir().join("issuer.log")).unwrap();
    let all = lines(&text);
    let failed: Vec<_> = all.iter().filter(|line| line["message"] == "a login failed").collect();
    assert!((1..10).contains(&failed.len()), "{text}");
    assert_eq!(failed[0]["client.address"], "127.0.0.1");
    assert!(failed[0]["span"]["request.id"].is_string());
    assert!(!text.contains(name), "{text}");
}

#[tokio::test]
async fn an_old_secret_and_a_wrong_route_fill_no_log() {
    let system = Backend::Redis.start_all_with(&JSON).await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("rotated")).await;
    let id = made.permanent_token.unwrap().id;
    for _ in 0..2 {
        let request = tessera_proto::v1::RotatePermanentTokenRequest { id, overlap: None };
        system.issuer(&admin).rotate_permanent_token(request).await.unwrap();
    }
    let verifier = system.verifier_places()[0];
    let mut client = client::verifier(verifier.grpc);
    for _ in 0..100 {
        client.verify(ask(&made.token)).await.unwrap();
        wire::ask(Wire::Http1, verifier.http, "/verify?unheard-of=1", &[]).await;
        let mut issuer = system.issuer(&Credentials::bearer(&made.token));
        issuer.who_am_i(WhoAmIRequest {}).await.unwrap_err();
    }
    for (log, messages) in [
        ("verifier-0", &["a secret that a rotation replaced", "the configuration of a route"][..]),
        ("issuer", &["a secret that a rotation replaced"][..]),
    ] {
        let text = std::fs::read_to_string(system.dir().join(format!("{log}.log"))).unwrap();
        for message in messages {
            // One each ten seconds, on a machine that may be slow.
            assert!((1..20).contains(&count(&lines(&text), message)), "{message}:\n{text}");
        }
    }
}

#[tokio::test]
async fn a_delay_too_short_for_readers_of_the_keys_is_warned_of() {
    for (delay, times) in [("19s", 1), ("20s", 0)] {
        let flags = [&JSON[..], &["--key-publication-delay", delay]].concat();
        let system = Backend::Redis.start_with(&flags).await;
        let text = std::fs::read_to_string(system.dir().join("issuer.log")).unwrap();
        let all = lines(&text);
        assert_eq!(count(&all, "--key-publication-delay is short"), times, "{delay}: {text}");
    }
}
