//! `GET /metrics` of both services: what was done is counted, and nothing secret is told.

use tessera_proto::v1::{BatchVerifyRequest, LoginRequest, VerifyRequest};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::{self, Credentials},
    http,
    metrics::Scrape,
    on_every_backend,
    service::ADMIN_PASSWORD,
    system::{Backend, System, named},
    watch::eventually,
};

on_every_backend!(what_was_done_is_counted_and_nothing_secret_is_told);

/// Enough that one in 64 answers from memory is among them.
const QUICK: usize = 130;

async fn what_was_done_is_counted_and_nothing_secret_is_told(backend: Backend) {
    let system = backend.start().await;
    let session = system.admin_session().await;
    let made = system.permanent(&system.admin().await, named("seen nowhere")).await;
    let mut issuer = system.issuer(&Credentials::none());
    let wrong = LoginRequest { username: "admin".into(), password: "a wrong passphrase".into() };
    issuer.login(wrong).await.expect_err("a wrong password");

    let place = system.verifier_places()[0];
    let mut verifier = client::verifier(place.grpc);
    let cached = ask_cached(&made.token);
    eventually("an answer from memory", || {
        let (mut verifier, cached) = (verifier.clone(), cached.clone());
        async move {
            verdict(verifier.verify(cached).await.unwrap().into_inner()).unwrap();
            let scrape = Scrape::of(place.http).await;
            let quick = scrape.expect("tessera_verifier_cache_requests_total{result=\"hit\"}");
            (quick > 0.0).then_some(())
        }
    })
    .await;
    for _ in 0..QUICK {
        verdict(verifier.verify(cached.clone()).await.unwrap().into_inner()).unwrap();
    }
    let before = Scrape::of(place.http).await;
    let unknown = VerifyRequest { token: "no token at all".into(), ..VerifyRequest::default() };
    verdict(verifier.verify(unknown.clone()).await.unwrap().into_inner()).unwrap_err();
    let batch = vec![ask(&made.token), unknown, cached];
    verifier.batch_verify(BatchVerifyRequest { requests: batch }).await.unwrap();
    let wrong = VerifyRequest { client_address: "nowhere".into(), ..ask(&made.token) };
    verifier.verify(wrong).await.unwrap_err();
    let after = Scrape::of(place.http).await;

    let grew = |sample: &str, by: f64| {
        let (then, now) = (before.value(sample).unwrap_or_default(), after.expect(sample));
        assert!((now - then - by).abs() < 0.5, "{sample}: {then}, and then {now}");
    };
    let verdicts = |reason: &str| format!("tessera_verifier_verdicts_total{{reason=\"{reason}\"}}");
    grew(&verdicts("granted"), 2.0);
    grew(&verdicts("malformed"), 2.0);
    let calls = |method: &str, code: &str| {
        let service = "grpc_service=\"tessera.v1.VerifierService\"";
        format!(
            "tessera_grpc_requests_total{{{service},grpc_method=\"{method}\",grpc_code=\"{code}\"}}"
        )
    };
    grew(&calls("Verify", "OK"), 1.0);
    grew(&calls("Verify", "INVALID_ARGUMENT"), 1.0);
    grew(&calls("BatchVerify", "OK"), 1.0);
    assert!(before.expect(&calls("Verify", "OK")) >= QUICK as f64);
    assert!(before.expect(&verdicts("granted")) >= QUICK as f64);
    let count = after.sum("tessera_grpc_request_duration_seconds_count");
    assert!(count >= 64.0, "one in 64 answers from memory stands for all of them: {count}");

    check_gauges(&after);
    check_issuer(&system).await;
    check_http(&system, &made.token).await;
    let secrets = [
        &made.token,
        &session.access_token,
        &session.refresh_token,
        ADMIN_PASSWORD,
        &made.permanent_token.unwrap().id.to_string(),
        "seen nowhere",
        "admin\"",
        "127.0.0.1",
    ];
    for scrape in [after, Scrape::of(system.issuer_place().http).await] {
        for secret in secrets {
            assert!(!scrape.0.contains(secret), "{secret} in:\n{}", scrape.0);
        }
    }
}

fn check_gauges(verifier: &Scrape) {
    let bound = verifier.expect("tessera_verifier_staleness_bound_seconds");
    assert!((bound - 2.0).abs() < 1e-9, "{bound}");
    assert!(verifier.expect("tessera_verifier_view_age_seconds").is_finite());
    assert!(verifier.expect("tessera_verifier_cache_entries{kind=\"granted\"}") >= 1.0);
    assert!(verifier.expect("tessera_verifier_cache_bytes{kind=\"granted\"}") > 100.0);
    assert!(verifier.expect("tessera_connections") >= 1.0);
    assert!(verifier.sum("tessera_store_round_trip_duration_seconds_count") >= 1.0);
    assert!(verifier.expect("process_start_time_seconds") > 1e9);
    assert!(verifier.sum("tessera_build_info") >= 1.0);
}

/// A token in a path that is no route is in no label.
async fn check_http(system: &System, token: &str) {
    let keys = "/.well-known/jwks.json";
    for place in [system.issuer_place(), system.verifier_places()[0]] {
        for path in [keys, "/verify", &format!("/{token}")] {
            http::fetch(place.http, path).await;
        }
    }
    let issuer = Scrape::of(system.issuer_place().http).await;
    let verifier = Scrape::of(system.verifier_places()[0].http).await;
    for scrape in [&issuer, &verifier] {
        let labels = format!("http_route=\"{keys}\"");
        let requests = format!("tessera_http_requests_total{{{labels},http_code=\"200\"}}");
        assert!(scrape.expect(&requests) >= 1.0);
        let times = format!("tessera_http_request_duration_seconds_count{{{labels}}}");
        assert!(scrape.expect(&times) >= 1.0);
        assert!(!scrape.0.contains(token));
    }
    let asked = "face=\"forward\",result=\"unauthenticated\"";
    let answers = format!("tessera_verifier_guard_answers_total{{{asked}}}");
    assert!((verifier.expect(&answers) - 1.0).abs() < 0.5);
    let requests = "tessera_http_requests_total{http_route=\"/verify\",http_code=\"401\"}";
    assert!((verifier.expect(requests) - 1.0).abs() < 0.5);
}

async fn check_issuer(system: &System) {
    let scrape = Scrape::of(system.issuer_place().http).await;
    let logins =
        |end: &str| scrape.expect(&format!("tessera_issuer_logins_total{{result=\"{end}\"}}"));
    assert!(logins("succeeded") >= 2.0 && (logins("failed") - 1.0).abs() < 0.5);
    assert!((scrape.expect("tessera_issuer_signing_keys{state=\"signing\"}") - 1.0).abs() < 0.5);
    assert!(scrape.expect("tessera_issuer_signing_key_age_seconds") >= 0.0);
    let service = "grpc_service=\"tessera.v1.IssuerService\",grpc_method=\"Login\"";
    let refused = format!("tessera_grpc_requests_total{{{service},grpc_code=\"UNAUTHENTICATED\"}}");
    assert!((scrape.expect(&refused) - 1.0).abs() < 0.5);
    let swaps = "tessera_store_round_trip_duration_seconds_count{operation=\"swap\"}";
    assert!(scrape.expect(swaps) >= 1.0);
}
