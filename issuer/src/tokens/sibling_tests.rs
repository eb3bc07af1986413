//! What a permanent token may do to another of the same user: nothing that makes it more
//! than it is.

use std::time::Duration;

use prost_types::Timestamp as ProtoTimestamp;
use tessera_shared::{
    id::{AccountId, TokenId},
    record::PermanentToken,
    store::records,
};

use super::{Change, NewToken};
use crate::{
    admin::NewUser,
    caller::Caller,
    failure::Failure,
    testing::{Issuer, PASSWORD, new_token},
};

/// What is asked of another token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Rotate,
    Describe,
    Revoke,
}

const ASKS: [Ask; 3] = [Ask::Rotate, Ask::Describe, Ask::Revoke];

pub(super) fn in_hours(issuer: &Issuer, hours: u64) -> Option<ProtoTimestamp> {
    let seconds = issuer.core.now().after(Duration::from_hours(hours)).seconds();
    Some(ProtoTimestamp { seconds, nanos: 0 })
}

pub(super) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

pub(super) fn described(description: &str) -> Change {
    Change { description: description.to_owned(), ..Change::default() }
}

pub(super) async fn ask(
    issuer: &Issuer,
    caller: &Caller,
    id: TokenId,
    what: Ask,
) -> Result<(), Failure> {
    match what {
        Ask::Rotate => issuer.core.rotate_token(caller, id, None).await.map(drop),
        Ask::Describe => issuer.core.update_token(caller, id, &described("new")).await.map(drop),
        Ask::Revoke => issuer.core.revoke_token(caller, id).await.map(drop),
    }
}

/// The token that calls: of a middling role, for a day, at two services, from two networks.
pub(super) fn middling(issuer: &Issuer) -> NewToken {
    NewToken {
        role: "Engineers".to_owned(),
        audiences: texts(&["cdn", "dns"]),
        allowed_cidrs: texts(&["192.0.2.0/24", "10.0.0.0/8"]),
        expires_at: in_hours(issuer, 24),
        ..new_token("middling")
    }
}

/// As the one that calls, and less in everything.
fn weaker(issuer: &Issuer) -> NewToken {
    NewToken {
        role: "Purge and Prefetch only (API)".to_owned(),
        audiences: texts(&["cdn"]),
        allowed_cidrs: texts(&["10.1.0.0/16"]),
        expires_at: in_hours(issuer, 1),
        ..new_token("weaker")
    }
}

/// Siblings that are more in one thing, and why they are out of reach.
fn stronger(issuer: &Issuer) -> Vec<(NewToken, &'static str)> {
    let weaker = || weaker(issuer);
    vec![
        (NewToken { role: "Users".to_owned(), ..weaker() }, "the role has a scope"),
        (NewToken { expires_at: in_hours(issuer, 25), ..weaker() }, "outlives"),
        (NewToken { expires_at: None, ..weaker() }, "outlives"),
        (NewToken { audiences: texts(&["cdn", "billing"]), ..weaker() }, "audiences: not within"),
        (
            NewToken { allowed_cidrs: texts(&["10.0.0.0/7"]), ..weaker() },
            "allowed_cidrs: not within",
        ),
        (NewToken { allowed_cidrs: Vec::new(), ..weaker() }, "allowed_cidrs: not within"),
    ]
}

pub(super) async fn record(issuer: &Issuer, id: TokenId) -> PermanentToken {
    records::load(&*issuer.core.store, id.into()).await.unwrap().unwrap()
}

/// A user who is no administrator, with a session.
pub(super) async fn anna(issuer: &Issuer) -> Caller {
    let (username, password) = ("anna".to_owned(), PASSWORD.to_owned());
    let user = NewUser { username, password, role: "Users".to_owned() };
    issuer.core.create_user(&issuer.admin().await, AccountId::FIRST, user).await.unwrap();
    issuer.caller_here(&issuer.login("anna").await.unwrap().access).await
}

/// Makes a token; its id, and its string.
pub(super) async fn make(issuer: &Issuer, owner: &Caller, wanted: NewToken) -> (TokenId, String) {
    let made = issuer.core.create_token(owner, wanted).await.unwrap();
    (made.token.id.try_into().unwrap(), made.plain.expose().to_owned())
}

/// The two ways in which a permanent token calls.
pub(super) async fn both_proofs(issuer: &Issuer, plain: &str) -> [Caller; 2] {
    let access = issuer.exchanged(plain).await;
    [issuer.caller_here(plain).await, issuer.caller_here(&access).await]
}

#[tokio::test]
async fn a_token_manages_no_sibling_that_is_more_than_it_is() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (_, plain) = make(&issuer, &owner, middling(&issuer)).await;
    let callers = both_proofs(&issuer, &plain).await;
    for (wanted, says) in stronger(&issuer) {
        let (id, sibling) = make(&issuer, &owner, wanted).await;
        let before = record(&issuer, id).await;
        for (caller, what) in callers.iter().flat_map(|caller| ASKS.map(|ask| (caller, ask))) {
            let refusal = ask(&issuer, caller, id, what).await.unwrap_err();
            assert!(refusal.to_string().contains(says), "{what:?}: {refusal}");
            let status = tonic::Status::from(refusal);
            assert_eq!(status.code(), tonic::Code::PermissionDenied, "{what:?}");
        }
        assert!(record(&issuer, id).await == before, "{says}: nothing was written");
        assert!(issuer.core.token(&callers[0], id).await.is_ok(), "records are told");
        assert!(issuer.core.end_presented(&sibling).await.unwrap().is_some(), "its holder may");
    }
}

#[tokio::test]
async fn a_token_manages_a_sibling_that_is_no_more_and_itself() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    for (is_exchanged, is_itself) in [(false, false), (true, false), (false, true), (true, true)] {
        for what in ASKS {
            let (own, plain) = make(&issuer, &owner, middling(&issuer)).await;
            let (sibling, _) = make(&issuer, &owner, weaker(&issuer)).await;
            let plain = if is_exchanged { issuer.exchanged(&plain).await } else { plain };
            let caller = issuer.caller_here(&plain).await;
            let id = if is_itself { own } else { sibling };
            let done = ask(&issuer, &caller, id, what).await;
            if is_exchanged && matches!(what, Ask::Rotate) {
                assert!(matches!(done, Err(Failure::Exchanged)), "it has not the secret: {done:?}");
            } else {
                assert!(done.is_ok(), "{what:?}, itself: {is_itself}: {done:?}");
            }
            for id in [own, sibling] {
                issuer.core.revoke_token(&owner, id).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_session_manages_all_tokens_of_its_user() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    for (wanted, says) in stronger(&issuer) {
        let (id, _) = make(&issuer, &owner, wanted).await;
        for what in ASKS {
            ask(&issuer, &owner, id, what).await.expect(says);
        }
    }
}

#[tokio::test]
async fn an_administrators_token_changes_and_ends_the_accounts_and_rotates_its_own_alone() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let wanted = NewToken { role: "Administrators".to_owned(), ..new_token("administrators") };
    let (_, plain) = make(&issuer, &issuer.admin().await, wanted).await;
    for caller in both_proofs(&issuer, &plain).await {
        let wanted = NewToken { audiences: texts(&["billing"]), ..new_token("another's") };
        let (id, _) = make(&issuer, &owner, wanted).await;
        let refusal = ask(&issuer, &caller, id, Ask::Rotate).await;
        assert!(matches!(refusal, Err(Failure::NotPermitted)));
        ask(&issuer, &caller, id, Ask::Describe).await.unwrap();
        ask(&issuer, &caller, id, Ask::Revoke).await.unwrap();
    }
    let admin = issuer.admin().await;
    let wanted = NewToken { audiences: texts(&["billing"]), ..new_token("a sibling") };
    let (id, _) = make(&issuer, &admin, wanted).await;
    for caller in both_proofs(&issuer, &plain).await {
        let refusal = ask(&issuer, &caller, id, Ask::Rotate).await;
        assert!(matches!(refusal, Err(Failure::BeyondCaller("audiences"))));
    }
}

#[tokio::test]
async fn a_change_leaves_a_role_and_an_end_within_the_tokens_that_asks() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (_, plain) = make(&issuer, &owner, middling(&issuer)).await;
    let (id, _) = make(&issuer, &owner, weaker(&issuer)).await;
    let before = record(&issuer, id).await;
    for caller in both_proofs(&issuer, &plain).await {
        let later = Change { expires_at: in_hours(&issuer, 25), ..Change::default() };
        let refusal = issuer.core.update_token(&caller, id, &later).await;
        assert!(matches!(refusal, Err(Failure::OutlivesCaller)));
        let above = Change { role: "Users".to_owned(), ..Change::default() };
        let refusal = issuer.core.update_token(&caller, id, &above).await;
        assert!(matches!(refusal, Err(Failure::RoleAboveCaller)));
    }
    assert!(record(&issuer, id).await == before);
    let wanted = NewToken {
        role: "Administrators".to_owned(),
        expires_at: in_hours(&issuer, 24),
        ..new_token("an administrator's for a day")
    };
    issuer.core.revoke_token(&owner, id).await.unwrap();
    let (_, plain) = make(&issuer, &issuer.admin().await, wanted).await;
    let (id, _) = make(&issuer, &owner, new_token("for ever")).await;
    let caller = issuer.caller_here(&plain).await;
    let refusal = issuer.core.update_token(&caller, id, &described("as it is")).await;
    assert!(matches!(refusal, Err(Failure::OutlivesCaller)), "its end, though it is not changed");
}

#[tokio::test]
async fn an_exchanged_access_token_makes_nothing_that_outlives_it() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (_, plain) = make(&issuer, &owner, new_token("for ever")).await;
    let caller = issuer.caller_here(&issuer.exchanged(&plain).await).await;
    for (hours, allowed) in [(None, false), (Some(2), false), (Some(1), true)] {
        let mut wanted = new_token("made by it");
        wanted.expires_at = hours.and_then(|hours| in_hours(&issuer, hours));
        let made = issuer.core.create_token(&caller, wanted).await;
        assert_eq!(made.is_ok(), allowed, "{hours:?}");
    }
}
