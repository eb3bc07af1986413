use std::{sync::Arc, time::Duration};

use tessera_proto::v1::{
    DenialReason, PrincipalKind, verifier_service_client::VerifierServiceClient,
    verify_response::Verdict,
};
use tessera_shared::store::Key;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::testing::{Access, FakeStore, Running, asking, http_get};

/// For what must happen soon; long, so that a busy machine fails no test.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_access_token_is_granted_until_its_session_is_ended() {
    let running = Running::start(&[]).await;
    let access = Access::new(&running.store);
    let token = access.token();
    let mut client = running.client.clone();

    let answer = client.verify(asking(&token)).await.unwrap().into_inner();
    let Some(Verdict::Principal(principal)) = answer.verdict else { panic!("no grant") };
    assert_eq!(principal.kind(), PrincipalKind::Session);
    assert_eq!((principal.session_id, principal.token_id), (Access::SESSION, 0));

    access.end(&running.store);
    let answer = client.verify(asking(&token)).await.unwrap().into_inner();
    let Some(Verdict::Denial(denial)) = answer.verdict else { panic!("no denial") };
    assert_eq!(denial.reason(), DenialReason::Revoked);
}

#[tokio::test]
async fn the_public_keys_are_published_and_stand_in_an_outage() {
    let running = Running::start(&[]).await;
    let path = "/.well-known/jwks.json";
    assert!(running.get(path).await.starts_with("HTTP/1.1 503"), "before the first key");
    let access = Access::new(&running.store);
    let answer = running.get(path).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"));
    assert!(head.contains("content-type: application/json"));
    assert!(head.contains("cache-control: public, max-age=15"));
    let keys: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(keys["keys"][0]["kid"], access.kid());
    for page in ["openid-configuration", "oauth-authorization-server"] {
        let answer = running.get(&format!("/.well-known/{page}")).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"jwks_uri\""), "{answer}");
    }
    running.store.cut();
    let answer = running.get(path).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(body), "{answer}");
}

#[tokio::test]
async fn keys_that_were_never_known_are_an_outage_and_no_empty_set() {
    let running = Running::start(&[]).await;
    for break_it in [FakeStore::cut as fn(&FakeStore), |store| {
        store.mend();
        store.put(Key::KeySet, b"damaged".to_vec());
    }] {
        break_it(&running.store);
        for path in ["/.well-known/jwks.json", "/a/.well-known/jwks.json"] {
            let answer = running.get(path).await;
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no-store"), "{answer}");
        }
    }
}

#[tokio::test]
async fn the_pages_are_under_the_path_of_the_issuer_as_well() {
    let running = Running::start(&[]).await;
    Access::new_for(&running.store, "https://tessera.test/a/b");
    let pages =
        ["/a/b/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/a/b"];
    for page in pages {
        let answer = running.get(page).await;
        assert!(answer.contains("\"https://tessera.test/a/b/.well-known/jwks.json\""), "{answer}");
    }
    let [keys, own] = ["/a/b/.well-known/jwks.json", "/.well-known/jwks.json"];
    let body = |answer: String| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(running.get(keys).await), body(running.get(own).await));
    for other in ["/a/.well-known/jwks.json", "/a/b/revoke", "/a/b"] {
        assert!(running.get(other).await.starts_with("HTTP/1.1 404"), "{other}");
    }
}

#[tokio::test]
async fn readiness_waits_for_the_store_and_then_outlives_an_outage() {
    let store = Arc::new(FakeStore::default());
    store.cut();
    let running = Running::start_on(store, &[]).await;
    assert!(running.get("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(running.get("/readyz").await.starts_with("HTTP/1.1 503"));
    running.store.mend();
    let ready = async {
        while !running.get("/readyz").await.starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, ready).await.unwrap();
    running.store.cut();
    running.get("/.well-known/jwks.json").await;
    assert!(running.get("/readyz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn health_is_told_for_the_server_and_for_the_service() {
    let running = Running::start(&[]).await;
    let mut health = HealthClient::new(running.channel.clone());
    for service in ["", "tessera.v1.VerifierService", "envoy.service.auth.v3.Authorization"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    let request = HealthCheckRequest { service: "tessera.v1.NoService".to_owned() };
    assert_eq!(health.check(request.clone()).await.unwrap_err().code(), Code::NotFound);
    let mut watch = health.watch(request).await.unwrap().into_inner();
    let told = watch.message().await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::ServiceUnknown);
    let more = tokio::time::timeout(Duration::from_millis(50), watch.message());
    assert!(more.await.is_err(), "it goes on");
}

/// Asks for the list of services in one version of the protocol.
macro_rules! reflected_services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new($channel);
        let questions = futures_util::stream::iter([question]);
        let mut answers = client.server_reflection_info(questions).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("no list")
        };
        list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
    }};
}

#[tokio::test]
async fn reflection_is_on_in_both_versions_and_lists_what_is_served() {
    let running = Running::start(&[]).await;
    for services in [
        reflected_services!(v1, running.channel.clone()),
        reflected_services!(v1alpha, running.channel.clone()),
    ] {
        let (reflection, others) = services.split_last().unwrap();
        let served = [
            "tessera.v1.VerifierService",
            "envoy.service.auth.v3.Authorization",
            "grpc.health.v1.Health",
        ];
        assert_eq!(others, served, "what is served, and nothing else");
        assert!(reflection.starts_with("grpc.reflection."), "{reflection}");
    }
}

#[tokio::test]
async fn a_drain_tells_health_watchers_and_does_not_wait_for_them() {
    let running = Running::start(&["--drain-timeout", "1h"]).await;
    let mut health = HealthClient::new(running.channel.clone());
    let request = HealthCheckRequest { service: "unknown".to_owned() };
    let mut unknown = health.watch(request).await.unwrap().into_inner();
    let request = HealthCheckRequest { service: String::new() };
    let mut statuses = health.watch(request).await.unwrap().into_inner();
    assert_eq!(statuses.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let ended = running.stop();
    assert_eq!(statuses.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(statuses.message().await.unwrap().is_none());
    assert_eq!(unknown.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    assert!(unknown.message().await.unwrap().is_none());
    tokio::time::timeout(SOON, ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_finishes_the_call_under_way_and_shows_in_readiness() {
    let running = Running::start(&["--drain-timeout", "1h"]).await;
    let (store, http) = (running.store.clone(), running.http);
    let token = store.put_token(1, |_| {});
    // The call waits in the store until it is let go.
    store.gather(2);
    let mut client = running.client.clone();
    let call = tokio::spawn(async move { client.verify(asking(&token)).await });
    store.first_arrival().await;
    let ended = running.stop();
    let draining = async {
        while !http_get(http, "/readyz").await.unwrap().contains("draining") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, draining).await.unwrap();
    assert!(!ended.is_finished());
    store.release().await;
    assert!(call.await.unwrap().unwrap().into_inner().verdict.is_some());
    tokio::time::timeout(SOON, ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let running = Running::start(&["--drain-timeout", "50ms"]).await;
    let store = running.store.clone();
    let token = store.put_token(1, |_| {});
    store.gather(2);
    let mut client = running.client.clone();
    let _call = tokio::spawn(async move { client.verify(asking(&token)).await });
    store.first_arrival().await;
    tokio::time::timeout(SOON, running.stop()).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn two_verifiers_live_in_one_process() {
    let (one, other) = (Running::start(&[]).await, Running::start(&[]).await);
    let token = one.store.put_token(1, |_| {});
    for (running, granted) in [(&one, true), (&other, false)] {
        let mut client = VerifierServiceClient::new(running.channel.clone());
        let answer = client.verify(asking(&token)).await.unwrap().into_inner();
        assert_eq!(matches!(answer.verdict, Some(Verdict::Principal(_))), granted);
    }
}

#[tokio::test]
async fn a_verifier_for_some_callers_answers_no_proxy_that_can_not_prove_itself() {
    for (flags, status) in [(&[][..], "401"), (&["--verify-callers", "scope:a:b"][..], "404")] {
        let running = Running::start(flags).await;
        let answer = running.get("/verify").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}
