//! The life of a permanent token: making, use, change, end.

use std::cell::RefCell;

use prost_types::{FieldMask, Timestamp};
use tessera_proto::v1::{
    CreatePermanentTokenRequest, DenialReason, ErrorReason, GetPermanentTokenRequest,
    PermanentToken, PermanentTokenState, PrincipalKind, RevokePermanentTokenRequest,
    UpdatePermanentTokenRequest, VerifyRequest, WhoAmIRequest,
};
use tessera_shared::clock::{Clock, SystemClock};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::Credentials,
    on_every_backend,
    refused::assert_refused,
    system::{Backend, named},
    watch::{STALENESS_BOUND, eventually, within},
};
use tonic::Code;

on_every_backend!(
    a_new_token_is_shown_once_and_verifies,
    a_token_is_limited_to_its_audiences_scopes_and_networks,
    a_token_is_good_from_not_before_until_it_expires,
    a_changed_token_is_judged_by_its_new_limits,
    a_revoked_token_is_denied_for_ever,
    a_revocation_reaches_every_verifier_within_the_staleness_bound,
    a_token_revokes_itself_and_no_other,
);

/// The instant this many milliseconds from now.
fn in_millis(millis: i64) -> Option<Timestamp> {
    let at = SystemClock.now().millis() + millis;
    let nanos = i32::try_from(at % 1000).unwrap() * 1_000_000;
    Some(Timestamp { seconds: at / 1000, nanos })
}

async fn a_new_token_is_shown_once_and_verifies(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("the first")).await;
    let record = made.permanent_token.unwrap();
    assert!(made.token.starts_with(&format!("tessera_{}_", record.id)), "the form of a token");
    assert!(made.token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    assert_eq!(record.state(), PermanentTokenState::Active);
    assert_eq!((record.account_id, record.secret_version), (1, 1));
    assert_eq!((record.role.as_str(), record.user_id), ("Administrators", record.created_by));
    assert_eq!((record.expires_at, record.revoked_at, record.last_used_at), (None, None, None));

    let principal = system.verdict(ask(&made.token)).await.unwrap();
    assert_eq!(principal.kind(), PrincipalKind::PermanentToken);
    assert_eq!((principal.token_id, principal.session_id), (record.id, 0));
    assert_eq!((principal.user_id, principal.name.as_str()), (record.user_id, "the first"));
    assert_eq!(principal.audiences, record.audiences);
    assert_eq!(principal.expires_at, None);

    for credentials in [Credentials::api_key(&made.token), Credentials::bearer(&made.token)] {
        let mut issuer = system.issuer(&credentials);
        let caller = issuer.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
        assert_eq!(caller.principal.unwrap().token_id, record.id);
        let itself = issuer.get_permanent_token(GetPermanentTokenRequest { id: 0 }).await.unwrap();
        assert_eq!(itself.into_inner().permanent_token.unwrap().id, record.id);
    }
}

async fn a_token_is_limited_to_its_audiences_scopes_and_networks(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let request = CreatePermanentTokenRequest {
        audiences: vec!["cdn".into(), "dns".into()],
        allowed_cidrs: vec!["192.0.2.0/24".into(), "2001:db8::/32".into()],
        ..named("limited")
    };
    let made = system.permanent(&admin, request).await;
    let from = |address: &str| VerifyRequest { client_address: address.into(), ..ask(&made.token) };
    for address in ["192.0.2.1", "192.0.2.255", "2001:db8::1", "::ffff:192.0.2.7"] {
        system.verdict(from(address)).await.unwrap_or_else(|why| panic!("{address}: {why:?}"));
    }
    for address in ["192.0.3.1", "2001:db9::1", "::1", ""] {
        let denied = system.verdict(from(address)).await;
        assert_eq!(denied, Err(DenialReason::AddressNotAllowed), "{address:?}");
    }
    for audience in ["cdn", "dns", ""] {
        let question = VerifyRequest { audience: audience.into(), ..from("192.0.2.1") };
        system.verdict(question).await.unwrap_or_else(|why| panic!("{audience:?}: {why:?}"));
    }
    let question = VerifyRequest { audience: "storage".into(), ..from("192.0.2.1") };
    assert_eq!(system.verdict(question).await, Err(DenialReason::WrongAudience));

    let held = system.verdict(from("192.0.2.1")).await.unwrap().scopes;
    let question = VerifyRequest { required_scopes: held.clone(), ..from("192.0.2.1") };
    system.verdict(question).await.expect("every scope that it holds");
    let more = [held, vec!["nothing:allowed".into()]].concat();
    let question = VerifyRequest { required_scopes: more, ..from("192.0.2.1") };
    assert_eq!(system.verdict(question).await, Err(DenialReason::InsufficientScope));
}

async fn a_token_is_good_from_not_before_until_it_expires(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let request = CreatePermanentTokenRequest {
        not_before: in_millis(3_000),
        expires_at: in_millis(6_000),
        ..named("three seconds long")
    };
    let made = system.permanent(&admin, request.clone()).await;
    let record = made.permanent_token.unwrap();
    assert_eq!(record.expires_at, request.expires_at, "precise to the millisecond");
    assert_eq!(record.not_before, request.not_before);

    // The verdicts, each at its first appearance.
    let seen = RefCell::new(Vec::new());
    let verifier = system.verifiers().remove(0);
    eventually("the expiry", || {
        let (mut verifier, question) = (verifier.clone(), ask_cached(&made.token));
        let seen = &seen;
        async move {
            let answer = verifier.verify(question).await.expect("a verdict").into_inner();
            let denial = verdict(answer).err();
            let mut seen = seen.borrow_mut();
            if seen.last() != Some(&denial) {
                seen.push(denial);
            }
            (denial == Some(DenialReason::Expired)).then_some(())
        }
    })
    .await;
    let stages = [Some(DenialReason::NotYetValid), None, Some(DenialReason::Expired)];
    assert_eq!(seen.into_inner(), stages);
    let request = GetPermanentTokenRequest { id: record.id };
    let record = system.issuer(&admin).get_permanent_token(request).await.unwrap().into_inner();
    assert_eq!(record.permanent_token.unwrap().state(), PermanentTokenState::Expired);
}

async fn a_changed_token_is_judged_by_its_new_limits(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    let made = system.permanent(&admin, named("before")).await;
    let id = made.permanent_token.unwrap().id;
    system.verdict(ask_cached(&made.token)).await.unwrap();

    let set = UpdatePermanentTokenRequest {
        id,
        name: "after".into(),
        role: "Engineers".into(),
        audiences: vec!["dns".into()],
        ..UpdatePermanentTokenRequest::default()
    };
    let record = issuer.update_permanent_token(set).await.unwrap().into_inner();
    let record = record.permanent_token.unwrap();
    assert_eq!((record.name.as_str(), record.role.as_str()), ("after", "Engineers"));
    let question = VerifyRequest { audience: "dns".into(), ..ask(&made.token) };
    let principal = system.verdict(question).await.unwrap();
    assert_eq!((principal.name.as_str(), principal.role.as_str()), ("after", "Engineers"));
    assert!(!principal.scopes.contains(&"tessera:admin".to_owned()));
    let question = VerifyRequest { audience: "cdn".into(), ..ask(&made.token) };
    assert_eq!(system.verdict(question).await, Err(DenialReason::WrongAudience));

    // Named in the mask and empty: no audience at all; the rest stays.
    let emptied = UpdatePermanentTokenRequest {
        id,
        name: "not in the mask".into(),
        expires_at: in_millis(3_600_000),
        update_mask: Some(FieldMask { paths: vec!["audiences".into(), "expires_at".into()] }),
        ..UpdatePermanentTokenRequest::default()
    };
    let record = issuer.update_permanent_token(emptied).await.unwrap().into_inner();
    let record = record.permanent_token.unwrap();
    assert_eq!((record.name.as_str(), record.audiences.len()), ("after", 0));
    assert!(record.expires_at.is_some());
    let question = VerifyRequest { audience: "dns".into(), ..ask(&made.token) };
    assert_eq!(system.verdict(question).await, Err(DenialReason::WrongAudience));
    assert_eq!(system.verdict(ask(&made.token)).await.unwrap().expires_at, record.expires_at);
}

async fn a_revoked_token_is_denied_for_ever(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    let made = system.permanent(&admin, named("soon revoked")).await;
    let id = made.permanent_token.unwrap().id;
    system.verdict(ask_cached(&made.token)).await.expect("good, and now in the cache");

    let request = RevokePermanentTokenRequest { id };
    let first = issuer.revoke_permanent_token(request).await.unwrap().into_inner();
    let again = issuer.revoke_permanent_token(request).await.unwrap().into_inner();
    let (record, again) = (first.permanent_token.unwrap(), again.permanent_token.unwrap());
    // What is told of the use before may come between the two.
    let again = PermanentToken { last_used_at: record.last_used_at, ..again };
    assert_eq!(record, again, "idempotent");
    assert_eq!(record.state(), PermanentTokenState::Revoked);
    assert!(record.revoked_at.is_some());
    assert_eq!(system.verdict(ask(&made.token)).await, Err(DenialReason::Revoked));

    let request = UpdatePermanentTokenRequest {
        id,
        name: "alive again".into(),
        ..UpdatePermanentTokenRequest::default()
    };
    let refused = issuer.update_permanent_token(request).await;
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::TokenEnded);
}

async fn a_revocation_reaches_every_verifier_within_the_staleness_bound(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    for round in 0..10 {
        let made = system.permanent(&admin, named("in every cache")).await;
        for mut verifier in system.verifiers() {
            let answer = verifier.verify(ask_cached(&made.token)).await.unwrap().into_inner();
            verdict(answer).expect("good, and now in the cache");
        }
        let id = made.permanent_token.unwrap().id;
        issuer.revoke_permanent_token(RevokePermanentTokenRequest { id }).await.unwrap();
        for verifier in system.verifiers() {
            within(STALENESS_BOUND, &format!("the denial of round {round}"), || {
                let (mut verifier, question) = (verifier.clone(), ask_cached(&made.token));
                async move {
                    let answer = verifier.verify(question).await.expect("a verdict").into_inner();
                    let denial = verdict(answer).err()?;
                    assert_eq!(denial, DenialReason::Revoked);
                    Some(())
                }
            })
            .await;
        }
    }
}

async fn a_token_revokes_itself_and_no_other(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let made = system.permanent(&user.credentials, named("ends itself")).await;
    let stranger = system.permanent(&system.admin().await, named("of another user")).await;
    let mut issuer = system.issuer(&Credentials::api_key(&made.token));
    let id = stranger.permanent_token.unwrap().id;
    let refused = issuer.revoke_permanent_token(RevokePermanentTokenRequest { id }).await;
    assert_refused(refused, Code::NotFound, ErrorReason::NotFound);
    issuer.revoke_permanent_token(RevokePermanentTokenRequest { id: 0 }).await.unwrap();
    assert_eq!(system.verdict(ask(&made.token)).await, Err(DenialReason::Revoked));
    system.verdict(ask(&stranger.token)).await.expect("the other's lives on");
}
