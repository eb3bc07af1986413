//! Redis over TLS: with the right authority, and with a wrong one.

use tessera_proto::v1::{DenialReason, RevokePermanentTokenRequest};
use tessera_tests::{
    ask::ask,
    redis::Redis,
    service::{self, Place},
    system::{System, named},
    tls::Authority,
    watch::eventually,
};
use tonic_health::pb::health_check_response::ServingStatus;

#[tokio::test]
async fn a_store_over_tls_is_trusted_by_its_authority() {
    let redis = Redis::start_tls().await;
    let file = redis.authority().certificate().display().to_string();
    let flags = ["--store-ca-file", file.as_str()];
    let system = System::over(Some(redis), &flags, &flags).await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("over TLS")).await;
    system.verdict(ask(&made.token)).await.expect("good");
    let id = made.permanent_token.unwrap().id;
    let request = RevokePermanentTokenRequest { id };
    system.issuer(&admin).revoke_permanent_token(request).await.unwrap();
    assert_eq!(system.verdict(ask(&made.token)).await, Err(DenialReason::Revoked));
}

#[tokio::test]
async fn a_store_of_another_authority_is_not_trusted() {
    let redis = Redis::start_tls().await;
    let stranger = Authority::new();
    let flags = ["--store-ca-file".to_owned(), stranger.certificate().display().to_string()];
    let (place, dir) = (Place::free(), tempfile::TempDir::new().unwrap());
    let url = redis.url_as("verifier");
    let mut verifier = service::verifier("verifier", &url, place, &flags, dir.path());
    eventually("a report about the certificate", || {
        assert!(verifier.ended().is_none(), "no crash loop:\n{}", verifier.log());
        std::future::ready(verifier.log().to_lowercase().contains("certificate").then_some(()))
    })
    .await;
    assert_ne!(service::health(place.grpc).await, Some(ServingStatus::Serving));
}
