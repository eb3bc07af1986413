//! New secrets for permanent tokens, and access tokens in their place.

use prost_types::{Duration, Timestamp};
use tessera_proto::v1::{
    CreatePermanentTokenRequest, DenialReason, ErrorReason, ExchangeTokenRequest, PrincipalKind,
    RevokePermanentTokenRequest, RotatePermanentTokenRequest,
};
use tessera_shared::clock::{Clock, SystemClock};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::Credentials,
    on_every_backend,
    refused::{assert_refused, assert_wrong_field},
    system::{Backend, named},
    watch::eventually,
};
use tonic::Code;

on_every_backend!(
    a_rotation_at_once_ends_the_old_secret,
    both_secrets_work_until_the_overlap_ends,
    a_rotation_made_again_leaves_the_deployed_secret_its_overlap,
    a_replaced_secret_gets_no_new_one,
    a_token_rotates_itself,
    a_secret_older_than_the_previous_one_is_refused_and_noted_as_reuse,
    an_overlap_is_at_most_thirty_days,
    only_the_owner_rotates_a_token,
    an_exchanged_access_token_speaks_for_the_permanent_token,
    an_exchanged_access_token_dies_with_the_permanent_token,
    an_exchanged_access_token_lives_no_longer_than_the_permanent_token,
);

fn rotate(id: i64, seconds: i64) -> RotatePermanentTokenRequest {
    RotatePermanentTokenRequest { id, overlap: Some(Duration { seconds, nanos: 0 }) }
}

async fn a_rotation_at_once_ends_the_old_secret(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let old = system.permanent(&admin, named("rotated")).await;
    let id = old.permanent_token.unwrap().id;
    system.verdict(ask_cached(&old.token)).await.expect("good, and now in the cache");
    let new = system.issuer(&admin).rotate_permanent_token(rotate(id, 0)).await.unwrap();
    let new = new.into_inner();
    let record = new.permanent_token.unwrap();
    assert_eq!((record.id, record.secret_version), (id, 2));
    assert_eq!(record.previous_secret_expires_at, None);
    assert_ne!(new.token, old.token);
    assert_eq!(system.verdict(ask(&old.token)).await, Err(DenialReason::Revoked));
    assert_eq!(system.verdict(ask(&new.token)).await.unwrap().token_id, id);
}

async fn both_secrets_work_until_the_overlap_ends(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let old = system.permanent(&admin, named("rotated with an overlap")).await;
    let id = old.permanent_token.unwrap().id;
    let mut issuer = system.issuer(&admin);
    let new = issuer.rotate_permanent_token(rotate(id, 4)).await.unwrap().into_inner();
    assert!(new.permanent_token.unwrap().previous_secret_expires_at.is_some());
    system.verdict(ask_cached(&old.token)).await.expect("the old secret, inside the overlap");
    system.verdict(ask_cached(&new.token)).await.expect("the new secret");
    let verifier = system.verifiers().remove(0);
    let denial = eventually("the end of the overlap", || {
        let (mut verifier, question) = (verifier.clone(), ask_cached(&old.token));
        async move {
            let answer = verifier.verify(question).await.expect("a verdict").into_inner();
            verdict(answer).err()
        }
    })
    .await;
    assert_eq!(denial, DenialReason::Revoked);
    system.verdict(ask(&new.token)).await.expect("the new secret, after the overlap");
}

async fn a_rotation_made_again_leaves_the_deployed_secret_its_overlap(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let deployed = system.permanent(&admin, named("deployed")).await;
    let id = deployed.permanent_token.unwrap().id;
    let mut issuer = system.issuer(&admin);
    let lost = issuer.rotate_permanent_token(rotate(id, 3600)).await.unwrap().into_inner();
    let known = issuer.rotate_permanent_token(rotate(id, 60)).await.unwrap().into_inner();
    let (first, second) = (lost.permanent_token.unwrap(), known.permanent_token.unwrap());
    assert_eq!(second.previous_secret_expires_at, first.previous_secret_expires_at, "the longest");
    for plain in [&deployed.token, &lost.token, &known.token] {
        system.verdict(ask(plain)).await.expect("inside its overlap");
        system.verdict(ask_cached(plain)).await.expect("from memory too");
    }
    let last = issuer.rotate_permanent_token(rotate(id, 0)).await.unwrap().into_inner();
    for plain in [&deployed.token, &lost.token, &known.token] {
        assert_eq!(system.verdict(ask(plain)).await, Err(DenialReason::Revoked));
    }
    system.verdict(ask(&last.token)).await.expect("the last");
}

async fn a_replaced_secret_gets_no_new_one(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let first = system.permanent(&user.credentials, named("rotated")).await;
    let id = first.permanent_token.unwrap().id;
    let api_key = Credentials::api_key(&first.token);
    let exchange = async || {
        let answer = system.issuer(&api_key).exchange_token(ExchangeTokenRequest::default()).await;
        answer.unwrap().into_inner().access_token
    };
    let before = exchange().await;
    let rotated = system.issuer(&user.credentials).rotate_permanent_token(rotate(id, 3600)).await;
    let new = rotated.unwrap().into_inner().token;
    let after = exchange().await;
    for access in [&before, &after] {
        system.verdict(ask(access)).await.expect("a good access token");
    }
    let bearers = [Credentials::bearer(&before), Credentials::bearer(&after)];
    for credentials in bearers.iter().chain([&api_key]) {
        let mut issuer = system.issuer(credentials);
        let refused = issuer.rotate_permanent_token(rotate(0, 0)).await;
        assert_refused(refused, Code::PermissionDenied, ErrorReason::NotPermitted);
        let refused = issuer.create_permanent_token(named("for ever")).await;
        assert_refused(refused, Code::PermissionDenied, ErrorReason::OutlivesCaller);
    }
    let mut issuer = system.issuer(&Credentials::api_key(&new));
    issuer.rotate_permanent_token(rotate(0, 0)).await.expect("the new one may");
}

async fn a_token_rotates_itself(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let old = system.permanent(&user.credentials, named("rotates itself")).await;
    let mut issuer = system.issuer(&Credentials::api_key(&old.token));
    let new = issuer.rotate_permanent_token(rotate(0, 0)).await.unwrap().into_inner();
    assert_eq!(system.verdict(ask(&old.token)).await, Err(DenialReason::Revoked));
    system.verdict(ask(&new.token)).await.unwrap();
    let again = issuer.rotate_permanent_token(rotate(0, 0)).await;
    assert_refused(again, Code::Unauthenticated, ErrorReason::CredentialsInvalid);
}

async fn a_secret_older_than_the_previous_one_is_refused_and_noted_as_reuse(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    let first = system.permanent(&admin, named("copied long ago")).await;
    let record = first.permanent_token.unwrap();
    assert_eq!(record.reuse_detected_at, None);
    for _ in 0..2 {
        issuer.rotate_permanent_token(rotate(record.id, 0)).await.unwrap();
    }
    assert_eq!(system.verdict(ask(&first.token)).await, Err(DenialReason::Revoked));
    let noted = eventually("reuse_detected_at", || async {
        system.record(&admin, record.id).await.reuse_detected_at
    })
    .await;
    let created_at = record.created_at.unwrap().seconds;
    assert!((created_at..=SystemClock.now().seconds()).contains(&noted.seconds));
    assert_eq!(system.record(&admin, record.id).await.last_used_at, None, "it was not good");
}

async fn an_overlap_is_at_most_thirty_days(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let id = system.permanent(&admin, named("rotated")).await.permanent_token.unwrap().id;
    let mut issuer = system.issuer(&admin);
    for seconds in [-1, 30 * 24 * 60 * 60 + 1] {
        let refused = issuer.rotate_permanent_token(rotate(id, seconds)).await;
        assert_wrong_field(refused, "overlap");
    }
    issuer.rotate_permanent_token(rotate(id, 30 * 24 * 60 * 60)).await.expect("30 days");
}

async fn only_the_owner_rotates_a_token(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let made = system.permanent(&user.credentials, named("the user's own")).await;
    let id = made.permanent_token.unwrap().id;
    // Whoever rotates a token gets its secret, and could act as its owner.
    let mut issuer = system.issuer(&system.admin().await);
    let refused = issuer.rotate_permanent_token(rotate(id, 0)).await;
    assert_refused(refused, Code::PermissionDenied, ErrorReason::NotPermitted);
    system.verdict(ask(&made.token)).await.expect("the secret still works");
}

async fn an_exchanged_access_token_speaks_for_the_permanent_token(backend: Backend) {
    let system = backend.start().await;
    let made = system.permanent(&system.admin().await, named("exchanged")).await;
    let id = made.permanent_token.unwrap().id;
    // The token comes in the request, or as the call's credentials.
    let ways = [
        (Credentials::none(), ExchangeTokenRequest { token: made.token.clone() }),
        (Credentials::api_key(&made.token), ExchangeTokenRequest::default()),
    ];
    for (credentials, request) in ways {
        let answer = system.issuer(&credentials).exchange_token(request).await.unwrap();
        let access = answer.into_inner();
        let principal = system.verdict(ask(&access.access_token)).await.unwrap();
        assert_eq!(principal.kind(), PrincipalKind::PermanentToken);
        assert_eq!((principal.token_id, principal.session_id), (id, 0));
        let expiry = |instant: Option<Timestamp>| instant.unwrap().seconds;
        assert_eq!(expiry(principal.expires_at), expiry(access.access_expires_at));
    }
    let request = ExchangeTokenRequest { token: "tessera_1_nothing".into() };
    let refused = system.issuer(&Credentials::none()).exchange_token(request).await;
    assert_refused(refused, Code::Unauthenticated, ErrorReason::CredentialsInvalid);
}

async fn an_exchanged_access_token_dies_with_the_permanent_token(backend: Backend) {
    let system = backend.start().await;
    let made = system.permanent(&system.admin().await, named("exchanged, then revoked")).await;
    let mut issuer = system.issuer(&Credentials::api_key(&made.token));
    let access = issuer.exchange_token(ExchangeTokenRequest::default()).await.unwrap();
    let access = access.into_inner().access_token;
    system.verdict(ask_cached(&access)).await.expect("good, and now in the cache");
    issuer.revoke_permanent_token(RevokePermanentTokenRequest { id: 0 }).await.unwrap();
    assert_eq!(system.verdict(ask(&access)).await, Err(DenialReason::Revoked));
}

async fn an_exchanged_access_token_lives_no_longer_than_the_permanent_token(backend: Backend) {
    let system = backend.start().await;
    let seconds = SystemClock.now().seconds() + 600;
    let request = CreatePermanentTokenRequest {
        expires_at: Some(Timestamp { seconds, nanos: 0 }),
        ..named("ten minutes long")
    };
    let made = system.permanent(&system.admin().await, request).await;
    let mut issuer = system.issuer(&Credentials::api_key(&made.token));
    let access = issuer.exchange_token(ExchangeTokenRequest::default()).await.unwrap();
    assert!(access.into_inner().access_expires_at.unwrap().seconds <= seconds);
}
