//! The promises of the issuer, held against concurrency and against a writer that
//! stops between two writes.

use std::time::Duration;

use tessera_shared::{examine::Reason, id::AccountId};

use crate::{
    admin::{NewUser, UserChange},
    caller::Caller,
    failure::Failure,
    fields::Page,
    testing::{Issuer, PASSWORD, new_token},
    tokens::Filter,
};

fn anna() -> NewUser {
    NewUser { username: "anna".to_owned(), password: PASSWORD.to_owned(), role: "Users".to_owned() }
}

async fn disable(
    issuer: &Issuer,
    admin: &Caller,
    user: i64,
    disabled: bool,
) -> Result<(), Failure> {
    let change = UserChange { role: String::new(), disabled: Some(disabled), mask: None };
    issuer.core.update_user(admin, user.try_into().unwrap(), &change).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_refreshes_of_one_token_give_one_successor() {
    let issuer = Issuer::start().await;
    let first = issuer.login("admin").await.unwrap();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (core, token) = (issuer.core.clone(), first.refresh.expose().to_owned());
            tokio::spawn(async move { core.refresh(&token).await })
        })
        .collect();
    let mut successors = std::collections::BTreeSet::new();
    for call in calls {
        successors.insert(call.await.unwrap().unwrap().refresh.expose().to_owned());
    }
    assert_eq!(successors.len(), 1);
    let next = successors.pop_first().unwrap();
    assert!(issuer.core.refresh(&next).await.is_ok(), "the successor is good");
}

#[tokio::test]
async fn reuse_after_the_grace_ends_the_family_and_its_access_tokens() {
    let issuer = Issuer::start().await;
    let first = issuer.login("admin").await.unwrap();
    let second = issuer.core.refresh(first.refresh.expose()).await.unwrap();
    issuer.advance(Duration::from_millis(9_999));
    let again = issuer.core.refresh(first.refresh.expose()).await.unwrap();
    assert_eq!(again.refresh.expose(), second.refresh.expose());
    issuer.advance(Duration::from_secs(10));
    let reuse = issuer.core.refresh(first.refresh.expose()).await;
    assert!(matches!(reuse, Err(Failure::RefreshTokenReused)));
    let end = issuer.core.refresh(second.refresh.expose()).await;
    assert!(matches!(end, Err(Failure::RefreshTokenInvalid)));
    assert_eq!(issuer.refusal(&second.access).await, Some(Reason::Revoked));
}

#[tokio::test]
async fn who_goes_on_retrying_inside_the_grace_is_logged_out_five_minutes_after_the_first_use() {
    let issuer = Issuer::start().await;
    let first = issuer.login("admin").await.unwrap();
    let second = issuer.core.refresh(first.refresh.expose()).await.unwrap();
    for _ in 0..30 {
        issuer.advance(Duration::from_millis(9_999));
        let again = issuer.core.refresh(first.refresh.expose()).await.unwrap();
        assert_eq!(again.refresh.expose(), second.refresh.expose());
    }
    issuer.advance(Duration::from_millis(30));
    let reuse = issuer.core.refresh(first.refresh.expose()).await;
    assert!(matches!(reuse, Err(Failure::RefreshTokenReused)));
}

#[tokio::test]
async fn retries_of_one_token_give_its_successor_no_longer_grace() {
    let issuer = Issuer::start().await;
    let first = issuer.login("admin").await.unwrap();
    let second = issuer.core.refresh(first.refresh.expose()).await.unwrap();
    issuer.advance(Duration::from_secs(9));
    issuer.core.refresh(first.refresh.expose()).await.unwrap();
    issuer.core.refresh(second.refresh.expose()).await.unwrap();
    issuer.advance(Duration::from_secs(10));
    let reuse = issuer.core.refresh(second.refresh.expose()).await;
    assert!(matches!(reuse, Err(Failure::RefreshTokenReused)));
}

#[tokio::test]
async fn a_retry_writes_once_in_a_while_and_many_at_once_write_nothing() {
    let issuer = Issuer::start().await;
    let first = issuer.login("admin").await.unwrap();
    issuer.core.refresh(first.refresh.expose()).await.unwrap();
    issuer.store.die_after(1);
    for (span, writes) in [(99, true), (1, true), (99, true), (1, false)] {
        issuer.advance(Duration::from_millis(span));
        let retried = issuer.core.refresh(first.refresh.expose()).await;
        assert_eq!(retried.is_ok(), writes, "{span} ms later: {:?}", retried.err());
    }
}

#[tokio::test]
async fn a_forged_refresh_token_does_not_end_a_family() {
    let issuer = Issuer::start().await;
    let first = issuer.login("admin").await.unwrap();
    let session = issuer.caller(&first.access).await.session().unwrap();
    let (forged, _) = issuer.core.opaque.first_refresh(session, &*issuer.core.rng).unwrap();
    let refused = issuer.core.refresh(forged.expose()).await;
    assert!(matches!(refused, Err(Failure::RefreshTokenInvalid)));
    assert!(issuer.core.refresh(first.refresh.expose()).await.is_ok());
}

#[tokio::test]
async fn a_disabled_user_is_denied_everywhere_and_comes_back() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let user = issuer.core.create_user(&admin, AccountId::FIRST, anna()).await.unwrap();
    let session = issuer.login("ANNA").await.unwrap();
    let caller = issuer.caller(&session.access).await;
    let token = issuer.core.create_token(&caller, new_token("t")).await.unwrap();
    disable(&issuer, &admin, user.id, true).await.unwrap();
    assert_eq!(issuer.refusal(&session.access).await, Some(Reason::PrincipalDisabled));
    assert_eq!(issuer.refusal(token.plain.expose()).await, Some(Reason::PrincipalDisabled));
    assert!(matches!(issuer.login("anna").await, Err(Failure::LoginFailed)));
    assert!(issuer.core.refresh(session.refresh.expose()).await.is_err());
    disable(&issuer, &admin, user.id, false).await.unwrap();
    assert_eq!(issuer.refusal(token.plain.expose()).await, None);
    assert_eq!(issuer.refusal(&session.access).await, Some(Reason::Revoked));
    let back = issuer.login("anna").await.unwrap();
    assert_eq!(issuer.refusal(&back.access).await, None);
}

#[tokio::test]
async fn a_creation_cut_short_grants_nothing_and_its_place_comes_back() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    for writes in 0..3 {
        issuer.store.die_after(writes);
        let cut = issuer.core.create_token(&admin, new_token("cut")).await;
        assert!(matches!(cut, Err(Failure::StoreUnavailable(_))), "after {writes} writes");
        issuer.store.live();
        let page = Page { after: 0, size: 10 };
        let all = Filter::default();
        let listed = issuer.core.list_tokens(&admin, AccountId::FIRST, &all, page);
        assert!(listed.await.unwrap().0.is_empty(), "after {writes} writes");
    }
    issuer.advance(Duration::from_hours(1));
    issuer.core.sweep().await.unwrap();
    let admin = issuer.admin().await;
    for _ in 0..3 {
        issuer.core.create_token(&admin, new_token("whole")).await.unwrap();
    }
    let fourth = issuer.core.create_token(&admin, new_token("too many")).await;
    assert!(matches!(fourth, Err(Failure::TokenLimitReached(3))));
}

#[tokio::test]
async fn a_revocation_cut_short_is_completed_by_a_retry() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    for writes in 0..3 {
        let made = issuer.core.create_token(&admin, new_token("t")).await.unwrap();
        let id = made.token.id.try_into().unwrap();
        let question = tessera_shared::examine::Question::default();
        let (access, _) = issuer.core.exchange(made.plain.expose(), &question).await.unwrap();
        issuer.store.die_after(writes);
        assert!(issuer.core.revoke_token(&admin, id).await.is_err(), "after {writes} writes");
        issuer.store.live();
        issuer.core.revoke_token(&admin, id).await.unwrap();
        assert_eq!(issuer.refusal(made.plain.expose()).await, Some(Reason::Revoked));
        assert_eq!(issuer.refusal(&access).await, Some(Reason::Revoked));
    }
    for _ in 0..3 {
        issuer.core.create_token(&admin, new_token("places are free")).await.unwrap();
    }
}

#[tokio::test]
async fn a_disable_cut_short_is_completed_by_a_retry() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let user = issuer.core.create_user(&admin, AccountId::FIRST, anna()).await.unwrap();
    for writes in 0..5 {
        let session = issuer.login("anna").await.unwrap();
        issuer.store.die_after(writes);
        let _ = disable(&issuer, &admin, user.id, true).await;
        issuer.store.live();
        disable(&issuer, &admin, user.id, true).await.unwrap();
        assert!(issuer.refusal(&session.access).await.is_some(), "after {writes} writes");
        assert!(issuer.core.refresh(session.refresh.expose()).await.is_err());
        disable(&issuer, &admin, user.id, false).await.unwrap();
    }
}

#[tokio::test]
async fn a_username_claimed_by_a_call_that_died_is_free_again() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    // The claim; the list of users; the password; and then the user is there.
    for writes in 1..4 {
        issuer.store.die_after(writes);
        assert!(issuer.core.create_user(&admin, AccountId::FIRST, anna()).await.is_err());
        issuer.store.live();
        assert!(matches!(issuer.login("anna").await, Err(Failure::LoginFailed)));
        let soon = issuer.core.create_user(&admin, AccountId::FIRST, anna()).await;
        assert!(matches!(soon, Err(Failure::UsernameTaken)));
        issuer.advance(Duration::from_mins(2));
    }
    issuer.core.create_user(&admin, AccountId::FIRST, anna()).await.unwrap();
    assert!(issuer.login("anna").await.is_ok());
    let twice = issuer.core.create_user(&admin, AccountId::FIRST, anna()).await;
    assert!(matches!(twice, Err(Failure::UsernameTaken)));
}

#[tokio::test]
async fn a_permanent_token_makes_none_that_outlives_it() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let end = issuer.core.now().after(Duration::from_hours(1)).seconds();
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let mut wanted = new_token("parent");
    wanted.expires_at = at(end);
    let parent = issuer.core.create_token(&admin, wanted).await.unwrap();
    let parent = issuer.caller(parent.plain.expose()).await;
    for expires_at in [None, at(end + 1)] {
        let mut wanted = new_token("child");
        wanted.expires_at = expires_at;
        let refused = issuer.core.create_token(&parent, wanted).await;
        assert!(matches!(refused, Err(Failure::OutlivesCaller)));
    }
    let mut wanted = new_token("child");
    wanted.expires_at = at(end);
    issuer.core.create_token(&parent, wanted).await.unwrap();
    let mut above = new_token("above");
    (above.role, above.expires_at) = ("Administrators".to_owned(), at(end));
    let refused = issuer.core.create_token(&parent, above).await;
    assert!(matches!(refused, Err(Failure::RoleAboveCaller)));
}
