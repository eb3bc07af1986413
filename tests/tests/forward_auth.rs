//! A service behind a real nginx and a real Caddy, guarded by `/verify`, with the
//! configurations of `deploy/`.

use tessera_tests::{
    gateway::Gateway,
    guarded::{Cast, NO_TOKEN, granted},
    service::Place,
    system::{Backend, System},
    tools::{succeed, venv},
    upstream::Upstream,
    wire::Wire,
};

/// What nginx is asked in: in plaintext it speaks HTTP/2 for gRPC alone.
const NGINX: [Wire; 2] = [Wire::Http1, Wire::Grpc];

async fn nginx(system: &System, upstream: &Upstream) -> Gateway {
    Gateway::nginx(verifier(system), upstream).await
}

async fn caddy(system: &System, upstream: &Upstream) -> Gateway {
    Gateway::caddy(verifier(system), upstream).await
}

fn verifier(system: &System) -> Place {
    system.verifier_places()[0]
}

/// Some versions of a proxy refuse them before the verifier can.
async fn assert_two_tokens_are_refused(gateway: &Gateway, cast: &Cast) {
    let bearer = ("authorization", format!("Bearer {}", cast.good.token));
    let answer = gateway.ask(Wire::Http1, "/", &[bearer.clone(), bearer]).await;
    assert!(!answer.reached() && matches!(answer.status, 400 | 401), "{answer:?}");
}

#[tokio::test]
async fn callers_get_through_nginx_as_themselves_or_are_told_why_not() {
    let (system, upstream) = (Backend::Embedded.start().await, Upstream::start().await);
    let cast = Cast::of(&system).await;
    let gateway = nginx(&system, &upstream).await;
    let mut cases = cast.cases();
    cases.extend(cast.cases_of_paths());
    // nginx can't remove headers by a pattern: only the names that there are.
    for case in &mut cases {
        case.headers.retain(|(name, _)| *name != "x-tessera-future");
    }
    cast.judge(&gateway, &NGINX, &cases).await;
    assert_two_tokens_are_refused(&gateway, &cast).await;
}

/// An upgrade stays one, and names nothing else that would be dropped.
async fn assert_an_upgrade_gets_through(gateway: &Gateway, cast: &Cast) {
    let headers = [
        ("authorization", format!("Bearer {}", cast.good.token)),
        ("connection", "keep-alive, upgrade, x-other".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("x-other", "1".to_owned()),
    ];
    let answer = gateway.ask(Wire::Http1, "/", &headers).await;
    let seen = ["connection", "upgrade", "x-other"].map(|name| answer.seen(name));
    assert_eq!(seen, ["Upgrade", "websocket", "1"], "{answer:?}");
}

/// More headers than the verifier reads of one request: none of them is its affair.
#[tokio::test]
async fn many_headers_of_a_client_are_no_outage_through_nginx() {
    let (system, upstream) = (Backend::Embedded.start().await, Upstream::start().await);
    let cast = Cast::of(&system).await;
    let gateway = nginx(&system, &upstream).await;
    let mut headers = vec![("x-many", "1".to_owned()); 150];
    NO_TOKEN.assert(&gateway.ask(Wire::Http1, "/", &headers).await, "many headers, no token");
    headers.push(("authorization", format!("Bearer {}", cast.good.token)));
    granted(&cast.good).assert(&gateway.ask(Wire::Http1, "/", &headers).await, "many headers");
}

#[tokio::test]
async fn callers_get_through_caddy_as_themselves_or_are_told_why_not() {
    let log = ["--log", "info,tessera_verifier=trace,tessera_shared=trace"];
    let system = Backend::Embedded.start_with(&log).await;
    let upstream = Upstream::start().await;
    let cast = Cast::of(&system).await;
    let gateway = caddy(&system, &upstream).await;
    let mut cases = cast.cases();
    cases.extend(cast.cases_of_paths());
    cases.extend(cast.cases_of_upgrade());
    cast.judge(&gateway, &Wire::ALL, &cases).await;
    assert_two_tokens_are_refused(&gateway, &cast).await;
    assert_an_upgrade_gets_through(&gateway, &cast).await;
    let log = std::fs::read_to_string(system.dir().join("up.log")).unwrap();
    assert!(log.contains("the store answers"), "there are logs");
    assert!(cast.secrets().all(|secret| !log.contains(secret)), "a token is in the log");
}

/// A gRPC library of others: it trusts nothing but the status that gRPC names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_is_told_the_right_status_by_every_proxy() {
    let (system, upstream) = (Backend::Embedded.start().await, Upstream::start().await);
    let cast = Cast::of(&system).await;
    let gateways = [
        nginx(&system, &upstream).await,
        caddy(&system, &upstream).await,
        Gateway::envoy(verifier(&system), &upstream, |_| {}).await,
    ];
    for gateway in &gateways {
        for (method, token, says) in [
            ("/a.B/C", None, "UNAUTHENTICATED CREDENTIALS_MISSING"),
            ("/a.B/C", Some("nonsense"), "UNAUTHENTICATED CREDENTIALS_INVALID"),
            ("/a.B/C", Some(cast.narrow.token.as_str()), "OK"),
            ("/content/a.B/C", Some(&cast.narrow.token), "PERMISSION_DENIED NOT_PERMITTED"),
        ] {
            let mut python = venv("python");
            python.args(["guarded.py", &gateway.grpc().to_string(), method]).args(token);
            let said = tokio::task::spawn_blocking(move || succeed(&mut python)).await.unwrap();
            assert_eq!(said.trim(), says, "{method}");
        }
    }
}

#[tokio::test]
async fn an_outage_is_503_through_nginx_and_caddy() {
    let (mut system, upstream) = (Backend::Redis.start().await, Upstream::start().await);
    let cast = Cast::of(&system).await;
    let (nginx, caddy) = (nginx(&system, &upstream).await, caddy(&system, &upstream).await);
    let callers = [(&nginx, &NGINX[..]), (&caddy, &Wire::ALL[..])];

    system.redis().kill9().await;
    for (gateway, wires) in callers {
        cast.watch_the_outage(gateway, wires).await;
    }
    system.redis().restart().await;
    for (gateway, wires) in callers {
        cast.watch_the_recovery(gateway, wires).await;
    }
    // No verifier at all: the proxy says it. Caddy has 502 for that.
    system.kill9().await;
    for (gateway, wires) in callers {
        cast.assert_nobody_judges(gateway, wires, &[502, 503]).await;
    }
}
