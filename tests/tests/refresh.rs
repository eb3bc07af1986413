//! A refresh token used more than once: by an honest client that retries, and by
//! a thief.

use std::{collections::HashSet, time::Duration};

use tessera_proto::v1::{DenialReason, ErrorReason, RefreshRequest, RefreshResponse};
use tessera_tests::{
    ask::ask,
    client::{Credentials, Issuer},
    on_every_backend,
    refused::{assert_refused, reason_of},
    system::Backend,
    watch::eventually,
};
use tokio::time::Instant;
use tonic::{Code, Status};

on_every_backend!(
    a_hundred_concurrent_refreshes_of_one_token_get_one_successor,
    a_retry_inside_the_grace_gets_the_same_successor,
    reuse_after_the_grace_ends_the_whole_session,
    reuse_with_no_grace_ends_the_whole_session_at_once,
    a_token_two_steps_back_is_reuse_even_inside_the_grace,
    a_changed_refresh_token_is_refused_and_ends_nothing,
);

async fn refresh(issuer: &mut Issuer, token: &str) -> Result<RefreshResponse, Status> {
    let request = RefreshRequest { refresh_token: token.to_owned() };
    issuer.refresh(request).await.map(tonic::Response::into_inner)
}

async fn a_hundred_concurrent_refreshes_of_one_token_get_one_successor(backend: Backend) {
    let system = backend.start_with(&["--refresh-grace", "60s"]).await;
    let session = system.admin_session().await;
    let issuer = system.issuer(&Credentials::none());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (mut issuer, token) = (issuer.clone(), session.refresh_token.clone());
        calls.spawn(async move { refresh(&mut issuer, &token).await });
    }
    let pairs: Vec<_> = calls.join_all().await.into_iter().map(Result::unwrap).collect();
    let successors: HashSet<_> = pairs.iter().map(|pair| &pair.refresh_token).collect();
    assert_eq!(successors.len(), 1);
    for pair in pairs.iter().take(3) {
        system.verdict(ask(&pair.access_token)).await.expect("each pair's access token is good");
    }
    let mut issuer = issuer;
    refresh(&mut issuer, &pairs[0].refresh_token).await.expect("the successor is good");
}

async fn a_retry_inside_the_grace_gets_the_same_successor(backend: Backend) {
    let system = backend.start_with(&["--refresh-grace", "60s"]).await;
    let session = system.admin_session().await;
    let mut issuer = system.issuer(&Credentials::none());
    let first = refresh(&mut issuer, &session.refresh_token).await.unwrap();
    let retry = refresh(&mut issuer, &session.refresh_token).await.unwrap();
    assert_eq!(first.refresh_token, retry.refresh_token);
    assert_eq!(first.refresh_expires_at, retry.refresh_expires_at);
}

async fn reuse_after_the_grace_ends_the_whole_session(backend: Backend) {
    let system = backend.start_with(&["--refresh-grace", "1s"]).await;
    let session = system.admin_session().await;
    let mut issuer = system.issuer(&Credentials::none());
    let successor = refresh(&mut issuer, &session.refresh_token).await.unwrap();
    // A retry would give it a new grace, so nobody retries until it is over.
    let over = Instant::now() + Duration::from_secs(1);
    eventually("the end of the grace", || async move { (Instant::now() > over).then_some(()) })
        .await;
    let reused = refresh(&mut issuer, &session.refresh_token).await.unwrap_err();
    assert_eq!(reused.code(), Code::Unauthenticated);
    assert_eq!(reason_of(&reused), ErrorReason::RefreshTokenReused);

    let ended = refresh(&mut issuer, &successor.refresh_token).await;
    assert_refused(ended, Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);
    for token in [&session.access_token, &successor.access_token] {
        assert_eq!(system.verdict(ask(token)).await, Err(DenialReason::Revoked));
    }
}

async fn reuse_with_no_grace_ends_the_whole_session_at_once(backend: Backend) {
    let system = backend.start_with(&["--refresh-grace", "0s"]).await;
    let session = system.admin_session().await;
    let other = system.admin_session().await;
    let mut issuer = system.issuer(&Credentials::none());
    let successor = refresh(&mut issuer, &session.refresh_token).await.unwrap();
    let reused = refresh(&mut issuer, &session.refresh_token).await;
    assert_refused(reused, Code::Unauthenticated, ErrorReason::RefreshTokenReused);
    let denied = system.verdict(ask(&successor.access_token)).await;
    assert_eq!(denied, Err(DenialReason::Revoked));
    refresh(&mut issuer, &other.refresh_token).await.expect("the user's other session lives on");
}

async fn a_token_two_steps_back_is_reuse_even_inside_the_grace(backend: Backend) {
    let system = backend.start_with(&["--refresh-grace", "60s"]).await;
    let session = system.admin_session().await;
    let mut issuer = system.issuer(&Credentials::none());
    let second = refresh(&mut issuer, &session.refresh_token).await.unwrap();
    let third = refresh(&mut issuer, &second.refresh_token).await.unwrap();
    let reused = refresh(&mut issuer, &session.refresh_token).await;
    assert_refused(reused, Code::Unauthenticated, ErrorReason::RefreshTokenReused);
    let ended = refresh(&mut issuer, &third.refresh_token).await;
    assert_refused(ended, Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);
}

async fn a_changed_refresh_token_is_refused_and_ends_nothing(backend: Backend) {
    let system = backend.start().await;
    let session = system.admin_session().await;
    let mut issuer = system.issuer(&Credentials::none());
    let mut changed = session.refresh_token.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'a' { 'b' } else { 'a' });
    for token in [changed.as_str(), "no token at all", session.access_token.as_str()] {
        let refused = refresh(&mut issuer, token).await;
        assert_refused(refused, Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);
    }
    refresh(&mut issuer, &session.refresh_token).await.expect("the session lives on");
}
