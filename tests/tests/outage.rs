//! The store out of reach: never a denial, never a grant that may be stale.

use std::collections::HashSet;

use tessera_proto::v1::{
    BatchVerifyRequest, DenialReason, ErrorReason, LoginRequest, RevokePermanentTokenRequest,
    VerifyRequest,
};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::{Credentials, Verifier},
    redis::Redis,
    refused::{assert_refused, reason_of},
    service::{self, Place},
    system::{Backend, System, named},
    watch::{STALENESS_BOUND, eventually, within},
};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

/// An answer, with the error in its place: `Err(None)` is an outage.
async fn look(
    verifier: &Verifier,
    question: VerifyRequest,
) -> Result<String, Option<DenialReason>> {
    match verifier.clone().verify(question).await {
        Ok(answer) => verdict(answer.into_inner()).map(|principal| principal.name).map_err(Some),
        Err(status) => {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert_eq!(reason_of(&status), ErrorReason::StoreUnavailable);
            Err(None)
        }
    }
}

/// Watches until every verifier answers UNAVAILABLE even to what it has in its
/// cache; until then it may only grant.
async fn watch_the_outage(system: &System, token: &str) {
    for verifier in system.verifiers() {
        eventually("UNAVAILABLE", || async {
            match look(&verifier, ask_cached(token)).await {
                Ok(_) => None,
                Err(None) => Some(()),
                Err(Some(denial)) => panic!("an outage became the denial {denial:?}"),
            }
        })
        .await;
    }
}

async fn watch_the_recovery(system: &System, token: &str) {
    for verifier in system.verifiers() {
        eventually("a grant after the outage", || async {
            match look(&verifier, ask_cached(token)).await {
                Ok(_) => Some(()),
                Err(None) => None,
                Err(Some(denial)) => panic!("an outage became the denial {denial:?}"),
            }
        })
        .await;
    }
}

async fn in_every_cache(system: &System) -> String {
    let token = system.permanent(&system.admin().await, named("cached")).await.token;
    system.verdict(ask_cached(&token)).await.expect("good, and now in the cache");
    token
}

#[tokio::test]
async fn a_killed_store_is_unavailable_and_never_a_denial() {
    let mut system = Backend::Redis.start().await;
    let token = in_every_cache(&system).await;
    let never_seen = system.permanent(&system.admin().await, named("in no cache")).await.token;
    let session = system.admin_session().await;
    system.verdict(ask_cached(&session.access_token)).await.unwrap();
    system.redis().kill9().await;

    watch_the_outage(&system, &token).await;
    watch_the_outage(&system, &session.access_token).await;
    for verifier in system.verifiers() {
        for token in [&token, &never_seen, &session.access_token] {
            assert_eq!(look(&verifier, ask(token)).await, Err(None), "a forced read");
            assert_eq!(look(&verifier, ask_cached(token)).await, Err(None), "no read at all");
        }
        let requests = vec![ask(&token), ask("nonsense")];
        let whole = verifier.clone().batch_verify(BatchVerifyRequest { requests }).await;
        assert_refused(whole, Code::Unavailable, ErrorReason::StoreUnavailable);
    }
    let mut issuer = system.issuer(&Credentials::bearer(&session.access_token));
    let refused = issuer.create_permanent_token(named("in an outage")).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);

    system.redis().restart().await;
    for token in [&token, &never_seen, &session.access_token] {
        watch_the_recovery(&system, token).await;
    }
}

#[tokio::test]
async fn a_frozen_store_is_unavailable_and_never_a_denial() {
    let mut system = Backend::Redis.start().await;
    let token = in_every_cache(&system).await;
    system.redis().stop();
    watch_the_outage(&system, &token).await;
    for verifier in system.verifiers() {
        assert_eq!(
            look(&verifier, ask_cached("nonsense")).await,
            Err(Some(DenialReason::Malformed))
        );
    }
    system.redis().cont();
    watch_the_recovery(&system, &token).await;
}

#[tokio::test]
async fn a_revocation_right_after_an_outage_is_seen_within_the_bound() {
    let mut system = Backend::Redis.start().await;
    let token = in_every_cache(&system).await;
    let id = system.verdict(ask(&token)).await.unwrap().token_id;
    system.redis().kill9().await;
    watch_the_outage(&system, &token).await;
    system.redis().restart().await;
    let admin = eventually("a login", || async {
        let request =
            LoginRequest { username: "admin".into(), password: service::ADMIN_PASSWORD.into() };
        let mut issuer = system.issuer(&Credentials::none());
        Some(issuer.login(request).await.ok()?.into_inner().access_token)
    })
    .await;
    let mut issuer = system.issuer(&Credentials::bearer(&admin));
    issuer.revoke_permanent_token(RevokePermanentTokenRequest { id }).await.unwrap();
    for verifier in system.verifiers() {
        within(STALENESS_BOUND, "the denial", || async {
            let answer = look(&verifier, ask_cached(&token)).await;
            (answer == Err(Some(DenialReason::Revoked))).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn services_that_start_without_a_store_wait_for_it() {
    let mut redis = Redis::start().await;
    redis.kill9().await;
    let (issuer_place, verifier_place) = (Place::free(), Place::free());
    let dir = tempfile::TempDir::new().unwrap();
    let mut issuer = service::issuer(&redis.url(), issuer_place, &[], dir.path());
    let url = redis.url_as("verifier");
    let mut verifier = service::verifier("verifier", &url, verifier_place, &[], dir.path());
    for process in [&mut issuer, &mut verifier] {
        eventually("a report about the store", || {
            assert!(process.ended().is_none(), "no crash loop:\n{}", process.log());
            std::future::ready(process.log().to_lowercase().contains("store").then_some(()))
        })
        .await;
    }
    for place in [issuer_place, verifier_place] {
        assert_ne!(service::health(place.grpc).await, Some(ServingStatus::Serving));
    }
    redis.restart().await;
    service::serving(&mut issuer, issuer_place.grpc).await;
    service::serving(&mut verifier, verifier_place.grpc).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_of_every_process() {
    let mut system = Backend::Redis.start().await;
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    let (mut kept, mut ended) = (HashSet::new(), HashSet::new());
    for number in 0..20 {
        let made = system.permanent(&admin, named(&format!("token {number}"))).await;
        if number % 2 == 0 {
            kept.insert(made.token);
        } else {
            let id = made.permanent_token.unwrap().id;
            issuer.revoke_permanent_token(RevokePermanentTokenRequest { id }).await.unwrap();
            ended.insert(made.token);
        }
    }
    system.redis().kill9().await;
    system.kill9().await;
    system.redis().restart().await;
    system.begin().await;
    for token in &kept {
        system.verdict(ask(token)).await.expect("a token that was acknowledged");
    }
    for token in &ended {
        assert_eq!(system.verdict(ask(token)).await, Err(DenialReason::Revoked));
    }
}
