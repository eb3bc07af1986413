//! A service behind a real Envoy, guarded by the verifier, with `deploy/envoy/envoy.yaml`.

use std::time::Duration;

use tessera_tests::{
    gateway::{Gateway, Text},
    guarded::{Case, Cast, INVALID_REQUEST, INVALID_TOKEN, Outcome, granted},
    proxy::{Proxy, Towards},
    redis::Redis,
    service::{self, Place},
    system::{Backend, System},
    tools::all_bytes_under,
    upstream::Upstream,
    wire::Wire,
};

/// As Envoy is without the setting: values as text, and those of one name joined.
fn joined_headers(text: &mut Text) {
    text.replace("encode_raw_headers: true", "encode_raw_headers: false");
}

#[tokio::test]
async fn callers_get_through_as_themselves_or_are_told_why_not() {
    let log = ["--log", "info,tessera_verifier=trace,tessera_shared=trace"];
    let (system, upstream) = (Backend::Redis.start_all_with(&log).await, Upstream::start().await);
    let cast = Cast::of(&system).await;
    let verifier = system.verifier_places()[0];
    let raw = Gateway::envoy(verifier, &upstream, |_| {}).await;
    let joined = Gateway::envoy(verifier, &upstream, joined_headers).await;
    let mut cases = cast.cases();
    cases.extend(cast.cases_of_paths());
    cases.extend(of_envoy(&cast));
    for gateway in [&raw, &joined] {
        cast.judge(gateway, &Wire::ALL, &cases).await;
    }
    let logs = String::from_utf8_lossy(&all_bytes_under(system.dir())).into_owned();
    assert!(logs.contains("the store answers"), "there are logs");
    assert!(cast.secrets().all(|secret| !logs.contains(secret)), "a token is in a log");
}

/// What only a proxy that tells the verifier of every header can have judged.
fn of_envoy(cast: &Cast) -> Vec<Case> {
    let bearer = ("authorization", format!("Bearer {}", cast.good.token));
    let other = ("authorization", "Basic YTpi".into());
    vec![
        Case::new("two tokens", "/", vec![bearer.clone(), bearer.clone()], INVALID_REQUEST),
        Case::new("a token and another scheme", "/", vec![other, bearer], INVALID_REQUEST),
    ]
}

#[tokio::test]
async fn an_outage_of_the_store_is_503_and_never_a_denial() {
    let (mut system, upstream) = (Backend::Redis.start().await, Upstream::start().await);
    let cast = Cast::of(&system).await;
    let verifier = system.verifier_places()[0];
    // As long as Envoy waits by itself: shorter than the verifier waits for the store.
    let hasty = |text: &mut Text| text.replace("timeout: 2s", "timeout: 0.2s");
    let gateway = Gateway::envoy(verifier, &upstream, |_| {}).await;
    let impatient = Gateway::envoy(verifier, &upstream, hasty).await;

    system.redis().stop();
    cast.watch_the_outage(&gateway, &Wire::ALL).await;
    cast.watch_the_outage(&impatient, &Wire::ALL).await;
    system.redis().cont();
    cast.watch_the_recovery(&gateway, &Wire::ALL).await;

    system.redis().kill9().await;
    cast.watch_the_outage(&gateway, &Wire::ALL).await;
    cast.watch_the_outage(&impatient, &Wire::ALL).await;
    system.redis().restart().await;
    cast.watch_the_recovery(&gateway, &Wire::ALL).await;

    // No verifier at all: Envoy says it.
    system.kill9().await;
    cast.assert_nobody_judges(&gateway, &Wire::ALL, &[503]).await;
    system.begin().await;
    cast.watch_the_recovery(&gateway, &Wire::ALL).await;
}

#[tokio::test]
async fn a_slow_store_makes_slow_answers_and_no_wrong_ones() {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let proxy = Proxy::start(redis.address()).await;
    let url = redis.url_through("verifier", proxy.address());
    let system = System::over(Some(redis), &[], &[]).await;
    let cast = Cast::of(&system).await;
    let (place, dir) = (Place::free(), tempfile::TempDir::new().unwrap());
    let mut slow = service::verifier("slow", &url, place, &[], dir.path());
    service::serving(&mut slow, place.grpc).await;
    let gateway = Gateway::envoy(place, &upstream, |_| {}).await;
    proxy.delay(Towards::Client, Duration::from_millis(200));
    for wire in Wire::ALL {
        for case in cast.cases() {
            if wire == Wire::Grpc && matches!(case.outcome, Outcome::Public) {
                continue;
            }
            let answer = gateway.ask(wire, case.path, &case.headers).await;
            // On a machine that is slow besides, some read may take too long.
            if answer.status != 503
                && answer.grpc.as_ref().is_none_or(|(code, _)| *code != tonic::Code::Unavailable)
            {
                case.outcome.assert(&answer, &format!("slow store: {}, {wire:?}", case.name));
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_configuration_opens_nothing_and_is_told_in_the_log() {
    let (system, upstream) = (Backend::Embedded.start().await, Upstream::start().await);
    let cast = Cast::of(&system).await;
    let slip =
        |text: &mut Text| text.replace("tessera.required_scopes:", "tessera.required_scope:");
    let gateway = Gateway::envoy(system.verifier_places()[0], &upstream, slip).await;
    let headers = [("authorization", format!("Bearer {}", cast.good.token))];
    for wire in Wire::ALL {
        let answer = gateway.ask(wire, "/content/x", &headers).await;
        assert!(!answer.reached(), "{answer:?}");
        match answer.grpc {
            None => assert_eq!(answer.status, 500),
            Some((code, reason)) => {
                assert_eq!((code, reason.as_str()), (tonic::Code::Internal, "INTERNAL"));
            }
        }
    }
    let log = std::fs::read_to_string(system.dir().join("up.log")).unwrap();
    assert!(log.contains("tessera.required_scope\""), "{log}");
}

/// `allowed_cidrs` is about the other end of the connection to Envoy, as `source.address`
/// tells: no header of the client's changes that, whatever Envoy itself believes of it.
#[tokio::test]
async fn the_client_is_who_connects_to_envoy() {
    let (system, upstream) = (Backend::Embedded.start().await, Upstream::start().await);
    let cast = Cast::of(&system).await;
    let trusting =
        |text: &mut Text| text.replace("use_remote_address: true", "use_remote_address: false");
    let gateway = Gateway::envoy(system.verifier_places()[0], &upstream, trusting).await;
    let from = |token: &str| {
        vec![
            ("authorization", format!("Bearer {token}")),
            ("x-forwarded-for", "192.0.2.9".to_owned()),
        ]
    };
    for wire in Wire::ALL {
        let answer = gateway.ask(wire, "/", &from(&cast.near.token)).await;
        granted(&cast.near).assert(&answer, "from loopback");
        let answer = gateway.ask(wire, "/", &from(&cast.far)).await;
        INVALID_TOKEN.assert(&answer, "from loopback, with another address in a header");
    }
}
