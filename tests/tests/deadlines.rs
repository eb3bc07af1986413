//! The caller's deadline: a call ends when its caller stops waiting, whatever the store does,
//! and nothing goes on for it.

use std::time::{Duration, Instant};

use prost::Message;
use tessera_proto::{
    envoy::service::auth::v3::{AttributeContext, CheckRequest, attribute_context},
    v1::{
        BatchVerifyRequest, CreatePermanentTokenRequest, ExchangeTokenRequest, LoginRequest,
        RefreshRequest,
    },
};
use tessera_tests::{
    ask::ask,
    contract::methods,
    metrics::Scrape,
    raw::call,
    service::{ADMIN_PASSWORD, Place},
    system::{Backend, named},
    watch::eventually,
};
use tonic::Code;

/// The caller's: well below a second, after which the services give a store up by themselves.
const DEADLINE: Duration = Duration::from_millis(150);
const HEADER: (&str, &str) = ("grpc-timeout", "150m");

/// What is found to be wrong with an empty message before anything is looked up.
const NOTHING_TO_LOOK_UP: [&str; 5] = [
    "/tessera.v1.IssuerService/Login",
    "/tessera.v1.IssuerService/Refresh",
    "/tessera.v1.IssuerService/ExchangeToken",
    "/tessera.v1.VerifierService/Verify",
    "/tessera.v1.VerifierService/BatchVerify",
];

#[tokio::test]
async fn with_the_store_frozen_every_call_ends_at_its_callers_deadline_and_is_dropped() {
    let mut system = Backend::Redis.start().await;
    let session = system.admin_session().await;
    let token = system.permanent(&system.admin().await, named("slow")).await.token;
    let (issuer, verifier) = (system.issuer_place(), system.verifier_places()[0]);
    let bearer = format!("Bearer {token}");
    let headers = [HEADER, ("authorization", bearer.as_str())];

    let login = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
    let refresh = RefreshRequest { refresh_token: session.refresh_token };
    let exchange = ExchangeTokenRequest { token: token.clone() };
    let batch = BatchVerifyRequest { requests: vec![ask(&token)] };
    let create: CreatePermanentTokenRequest = named("never made");
    let [ours, theirs] = ["/tessera.v1.IssuerService", "/tessera.v1.VerifierService"];
    let mut calls = vec![
        (issuer.grpc, format!("{ours}/Login"), login.encode_to_vec()),
        (issuer.grpc, format!("{ours}/Refresh"), refresh.encode_to_vec()),
        (issuer.grpc, format!("{ours}/ExchangeToken"), exchange.encode_to_vec()),
        (issuer.grpc, format!("{ours}/CreatePermanentToken"), create.encode_to_vec()),
        (verifier.grpc, format!("{theirs}/Verify"), ask(&token).encode_to_vec()),
        (verifier.grpc, format!("{theirs}/BatchVerify"), batch.encode_to_vec()),
    ];
    for method in methods().into_iter().filter(|it| !NOTHING_TO_LOOK_UP.contains(&it.as_str())) {
        calls.push((issuer.grpc, method, Vec::new()));
    }

    let redis = system.redis();
    for (address, path, message) in &calls {
        // Again where the machine was so slow that the store was given up first.
        eventually(path, || async {
            redis.stop();
            let begun = Instant::now();
            let code = call(*address, path, &headers, message).await;
            let took = begun.elapsed();
            let under_way = [in_flight(issuer).await, in_flight(verifier).await];
            redis.cont();
            assert_eq!(under_way, [0.0; 2], "{path}: it goes on");
            assert!(matches!(code, Code::DeadlineExceeded | Code::Unavailable), "{path}: {code}");
            (code == Code::DeadlineExceeded && took >= DEADLINE).then_some(())
        })
        .await;
    }
    // Envoy is told of an outage before it gives up: a verdict, in time.
    redis.stop();
    assert_eq!(call(verifier.grpc, CHECK, &[HEADER], &checked(&bearer)).await, Code::Ok);
    redis.cont();
}

async fn in_flight(place: Place) -> f64 {
    Scrape::of(place.http).await.expect("tessera_calls_in_flight")
}

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

fn checked(bearer: &str) -> Vec<u8> {
    let http = attribute_context::HttpRequest {
        path: "/".into(),
        headers: [("authorization".to_owned(), bearer.to_owned())].into(),
        ..Default::default()
    };
    let request = attribute_context::Request { http: Some(http), time: None };
    let attributes = AttributeContext { request: Some(request), ..Default::default() };
    CheckRequest { attributes: Some(attributes) }.encode_to_vec()
}
