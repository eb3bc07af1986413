//! Logging in, refreshing, logging out, and the sessions of a user.

use prost_types::Timestamp;
use tessera_proto::v1::{
    ChangePasswordRequest, DenialReason, ErrorReason, ListSessionsRequest, LoginRequest,
    LogoutRequest, PrincipalKind, RefreshRequest, WhoAmIRequest,
};
use tessera_shared::clock::{Clock as _, SystemClock};
use tessera_tests::{
    ask::ask, client::Credentials, on_every_backend, refused::assert_refused,
    service::ADMIN_PASSWORD, system::Backend,
};
use tonic::Code;

on_every_backend!(
    a_login_opens_a_session_that_the_verifier_knows,
    a_wrong_password_and_an_unknown_user_look_the_same,
    a_refreshed_pair_works_and_is_another_one,
    logout_ends_the_session_and_its_access_token,
    logout_of_all_ends_every_session_of_the_user_alone,
    sessions_are_listed_and_the_current_one_is_marked,
    a_changed_password_ends_the_other_sessions,
    calls_without_credentials_or_with_bad_ones_are_refused,
);

fn seconds(instant: Option<Timestamp>) -> i64 {
    instant.expect("an instant").seconds
}

async fn a_login_opens_a_session_that_the_verifier_knows(backend: Backend) {
    let system = backend.start().await;
    let before = SystemClock.now().seconds();
    let session = system.admin_session().await;
    let made = before..=SystemClock.now().seconds();
    // Each is dated by itself, in between.
    assert!(made.contains(&(seconds(session.refresh_expires_at) - 24 * 60 * 60)));
    assert!(made.contains(&(seconds(session.access_expires_at) - 60 * 60)));

    let principal = system.verdict(ask(&session.access_token)).await.unwrap();
    assert_eq!(principal.kind(), PrincipalKind::Session);
    assert_eq!((principal.account_id, principal.name.as_str()), (1, "admin"));
    assert_eq!((principal.role.as_str(), principal.token_id), ("Administrators", 0));
    assert!(principal.session_id > 0 && principal.user_id > 0);
    assert!(principal.scopes.contains(&"tessera:admin".to_owned()));
    assert_eq!(seconds(principal.expires_at), seconds(session.access_expires_at));

    let mut issuer = system.issuer(&Credentials::bearer(&session.access_token));
    let caller = issuer.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!(caller.principal, Some(principal));
}

async fn a_wrong_password_and_an_unknown_user_look_the_same(backend: Backend) {
    let system = backend.start().await;
    let mut issuer = system.issuer(&Credentials::none());
    let mut login = async |username: &str, password: &str| {
        let request = LoginRequest { username: username.into(), password: password.into() };
        issuer.login(request).await
    };
    login("ADMIN", ADMIN_PASSWORD).await.expect("letter case does not matter");
    let wrong = login("admin", "not the password of admin").await.unwrap_err();
    let unknown = login("nobody", "not the password of admin").await.unwrap_err();
    assert_eq!(wrong.message(), unknown.message());
    assert_eq!(wrong.details(), unknown.details());
    for status in [wrong, unknown] {
        assert_refused::<()>(Err(status), Code::Unauthenticated, ErrorReason::LoginFailed);
    }
}

async fn a_refreshed_pair_works_and_is_another_one(backend: Backend) {
    let system = backend.start().await;
    let first = system.admin_session().await;
    let mut issuer = system.issuer(&Credentials::none());
    let request = RefreshRequest { refresh_token: first.refresh_token.clone() };
    let second = issuer.refresh(request).await.unwrap().into_inner();
    assert_ne!(first.refresh_token, second.refresh_token);
    assert_ne!(first.access_token, second.access_token);

    let before = system.verdict(ask(&first.access_token)).await.unwrap();
    let after = system.verdict(ask(&second.access_token)).await.unwrap();
    assert_eq!(before.session_id, after.session_id);
    let request = RefreshRequest { refresh_token: second.refresh_token };
    issuer.refresh(request).await.expect("the successor is good as well");
}

async fn logout_ends_the_session_and_its_access_token(backend: Backend) {
    let system = backend.start().await;
    let session = system.admin_session().await;
    let other = system.admin_session().await;
    let mut issuer = system.issuer(&Credentials::bearer(&session.access_token));
    issuer.logout(LogoutRequest::default()).await.unwrap();

    assert_eq!(system.verdict(ask(&session.access_token)).await, Err(DenialReason::Revoked));
    let refreshed = issuer.refresh(RefreshRequest { refresh_token: session.refresh_token }).await;
    assert_refused(refreshed, Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);
    let again = issuer.who_am_i(WhoAmIRequest {}).await;
    assert_refused(again, Code::Unauthenticated, ErrorReason::CredentialsInvalid);
    system.verdict(ask(&other.access_token)).await.expect("another session lives on");
}

async fn logout_of_all_ends_every_session_of_the_user_alone(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let second = system.login(&user.username, &user.password).await;
    let stranger = system.user("Users").await;
    let mut issuer = system.issuer(&user.credentials);
    issuer.logout(LogoutRequest { all: true }).await.unwrap();

    for token in [&user.session.access_token, &second.access_token] {
        assert_eq!(system.verdict(ask(token)).await, Err(DenialReason::Revoked));
    }
    for refresh_token in [user.session.refresh_token, second.refresh_token] {
        let refreshed = issuer.refresh(RefreshRequest { refresh_token }).await;
        assert_refused(refreshed, Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);
    }
    system.verdict(ask(&stranger.session.access_token)).await.expect("another user's session");
    let anew = system.login(&user.username, &user.password).await;
    system.verdict(ask(&anew.access_token)).await.expect("a new session");
}

async fn sessions_are_listed_and_the_current_one_is_marked(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let mut opened = Vec::new();
    for _ in 0..2 {
        let session = system.login(&user.username, &user.password).await;
        opened.push(system.verdict(ask(&session.access_token)).await.unwrap().session_id);
    }
    let mine = system.verdict(ask(&user.session.access_token)).await.unwrap().session_id;

    let mut issuer = system.issuer(&user.credentials);
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListSessionsRequest { page_size: 1, page_token };
        let page = issuer.list_sessions(request).await.unwrap().into_inner();
        assert!(page.sessions.len() <= 1);
        seen.extend(page.sessions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let ids: Vec<_> = seen.iter().map(|session| session.id).collect();
    assert_eq!(ids, [mine, opened[0], opened[1]], "in the order of their opening");
    let current: Vec<_> = seen.iter().map(|session| session.current).collect();
    assert_eq!(current, [true, false, false]);
    assert!(seen.iter().all(|session| session.client_address.contains("127.0.0.1")));
    assert!(seen.iter().all(|session| session.user_agent.contains("tonic")));
}

async fn a_changed_password_ends_the_other_sessions(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let other = system.login(&user.username, &user.password).await;
    let mut issuer = system.issuer(&user.credentials);
    let change = |current_password: &str| ChangePasswordRequest {
        current_password: current_password.into(),
        new_password: "the passphrase after the change".into(),
    };
    let refused = issuer.change_password(change("not the present password")).await;
    assert!(refused.is_err());
    issuer.change_password(change(&user.password)).await.unwrap();

    for token in [&user.session.access_token, &other.access_token] {
        assert_eq!(system.verdict(ask(token)).await, Err(DenialReason::Revoked));
    }
    let ended = issuer.refresh(RefreshRequest { refresh_token: other.refresh_token }).await;
    assert_refused(ended, Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);
    let request = RefreshRequest { refresh_token: user.session.refresh_token };
    let own = issuer.refresh(request).await.expect("the caller's own session goes on");
    system.verdict(ask(&own.into_inner().access_token)).await.expect("a good token");
    let request = LoginRequest { username: user.username.clone(), password: user.password };
    let old = issuer.login(request).await;
    assert_refused(old, Code::Unauthenticated, ErrorReason::LoginFailed);
    system.login(&user.username, "the passphrase after the change").await;
}

async fn calls_without_credentials_or_with_bad_ones_are_refused(backend: Backend) {
    let system = backend.start().await;
    let session = system.admin_session().await;
    let who = async |credentials: Credentials| {
        system.issuer(&credentials).who_am_i(WhoAmIRequest {}).await
    };
    let missing = who(Credentials::none()).await;
    assert_refused(missing, Code::Unauthenticated, ErrorReason::CredentialsMissing);
    let bad = [
        Credentials::bearer("not a token"),
        Credentials::bearer(&session.refresh_token),
        Credentials::api_key(&session.access_token),
        Credentials::raw(&format!("Basic {}", session.access_token)),
    ];
    for credentials in bad {
        let refused = who(credentials).await;
        assert_refused(refused, Code::Unauthenticated, ErrorReason::CredentialsInvalid);
    }
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let value = format!("{scheme} {}", session.access_token);
        who(Credentials::raw(&value)).await.expect("the scheme's letter case does not matter");
    }
}
