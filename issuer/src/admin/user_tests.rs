//! Whose users an administrator changes, and what a change ends.

use tessera_shared::{
    examine::Reason,
    id::{AccountId, UserId},
    store::Index,
};

use super::testing::{disabled, named, role, stored, tenant, user, weak_admin};
use crate::{
    failure::Failure,
    fields::Page,
    testing::{Issuer, PASSWORD, new_token},
};

const NEW_PASSWORD: &str = "battery staple correct";

async fn login_with(issuer: &Issuer, username: &str, password: &str) -> bool {
    issuer.login_with(username, password).await.is_ok()
}

#[tokio::test]
async fn an_accounts_administrator_finds_no_user_outside_it() {
    let issuer = Issuer::start().await;
    let (account, tenant) = tenant(&issuer).await;
    let (core, first) = (&issuer.core, UserId::FIRST);
    let outside = [
        core.create_user(&tenant, AccountId::FIRST, named("eve", "Users")).await.err(),
        core.user(&tenant, first).await.err(),
        core.users(&tenant, AccountId::FIRST, Page { after: 0, size: 10 }).await.err(),
        core.update_user(&tenant, first, &disabled(true)).await.err(),
        core.set_user_password(&tenant, first, NEW_PASSWORD).await.err(),
        core.end_user_sessions(&tenant, first).await.err(),
    ];
    for (call, failure) in outside.into_iter().enumerate() {
        assert!(matches!(failure, Some(Failure::NotFound(_))), "call {call}: {failure:?}");
    }
    let made = core.create_user(&tenant, account, named("bea", "Users")).await.unwrap();
    let made: UserId = made.id.try_into().unwrap();
    core.update_user(&tenant, made, &role("Engineers")).await.unwrap();
    let admin = issuer.admin().await;
    core.update_user(&admin, made, &disabled(true)).await.unwrap();
    assert!(core.user(&tenant, made).await.unwrap().disabled);
}

#[tokio::test]
async fn who_does_not_administer_is_refused_everything() {
    let issuer = Issuer::start().await;
    let id = user(&issuer, "anna", "Users").await;
    let anna = issuer.caller(&issuer.login("anna").await.unwrap().access).await;
    let core = &issuer.core;
    let own = [
        core.create_user(&anna, AccountId::FIRST, named("eve", "Users")).await.err(),
        core.user(&anna, id).await.err(),
        core.users(&anna, AccountId::FIRST, Page { after: 0, size: 10 }).await.err(),
        core.update_user(&anna, id, &role("Engineers")).await.err(),
        core.set_user_password(&anna, id, NEW_PASSWORD).await.err(),
        core.end_user_sessions(&anna, id).await.err(),
    ];
    for (call, failure) in own.into_iter().enumerate() {
        assert!(matches!(failure, Some(Failure::NotPermitted)), "call {call}: {failure:?}");
    }
}

#[tokio::test]
async fn a_role_above_the_callers_is_not_given() {
    let issuer = Issuer::start().await;
    let weak = weak_admin(&issuer).await;
    let low = "Purge and Prefetch only (API)";
    let core = &issuer.core;
    let refused = core.create_user(&weak, AccountId::FIRST, named("anna", "Users")).await;
    assert!(matches!(refused, Err(Failure::RoleAboveCaller)));
    let made = core.create_user(&weak, AccountId::FIRST, named("anna", low)).await.unwrap();
    let id = made.id.try_into().unwrap();
    let refused = core.update_user(&weak, id, &role("Engineers")).await;
    assert!(matches!(refused, Err(Failure::RoleAboveCaller)));
    assert_eq!(stored(&issuer, id).await, made);
}

#[tokio::test]
async fn a_weaker_administrator_does_not_take_over_a_stronger_user() {
    let issuer = Issuer::start().await;
    let weak = weak_admin(&issuer).await;
    let id = user(&issuer, "anna", "Engineers").await;
    let (core, before) = (&issuer.core, stored(&issuer, id).await);
    let refused = [
        core.update_user(&weak, id, &disabled(true)).await.err(),
        core.update_user(&weak, id, &role("Purge and Prefetch only (API)")).await.err(),
        core.set_user_password(&weak, id, NEW_PASSWORD).await.err(),
        core.end_user_sessions(&weak, id).await.err(),
    ];
    for (call, failure) in refused.into_iter().enumerate() {
        assert!(matches!(failure, Some(Failure::NotPermitted)), "call {call}: {failure:?}");
    }
    assert_eq!(stored(&issuer, id).await, before);
}

#[tokio::test]
async fn nobody_disables_themselves_or_changes_their_own_role() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let (core, before) = (&issuer.core, stored(&issuer, UserId::FIRST).await);
    for change in [disabled(true), role("Users"), role("Engineers")] {
        let refused = core.update_user(&admin, UserId::FIRST, &change).await;
        assert!(matches!(refused, Err(Failure::SelfDisable)));
    }
    for change in [disabled(false), role("Administrators")] {
        core.update_user(&admin, UserId::FIRST, &change).await.unwrap();
    }
    assert_eq!(stored(&issuer, UserId::FIRST).await, before);
    user(&issuer, "bea", "Administrators").await;
    let bea = issuer.caller(&issuer.login("bea").await.unwrap().access).await;
    core.update_user(&bea, UserId::FIRST, &role("Users")).await.unwrap();
    let fallen = issuer.admin().await;
    let refused = core.update_user(&fallen, UserId::FIRST, &role("Administrators")).await;
    assert!(matches!(refused, Err(Failure::NotPermitted)));
}

#[tokio::test]
async fn nobody_sets_their_own_password_without_the_present_one() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let mut wanted = new_token("deploy");
    wanted.role = "Administrators".to_owned();
    let token = issuer.core.create_token(&admin, wanted).await.unwrap();
    for caller in [admin, issuer.caller(token.plain.expose()).await] {
        let refused = issuer.core.set_user_password(&caller, UserId::FIRST, NEW_PASSWORD).await;
        let Err(Failure::InvalidFields(wrong)) = refused else { panic!("{refused:?}") };
        assert_eq!(wrong[0].field, "id");
        assert!(wrong[0].description.contains("ChangePassword"));
    }
    assert!(!login_with(&issuer, "admin", NEW_PASSWORD).await);
    assert!(login_with(&issuer, "admin", PASSWORD).await);
}

#[tokio::test]
async fn a_new_role_ends_access_tokens_made_under_the_old_and_no_session() {
    let issuer = Issuer::start().await;
    let id = user(&issuer, "anna", "Users").await;
    let session = issuer.login("anna").await.unwrap();
    let admin = issuer.admin().await;
    for _retry in 0..2 {
        let changed = issuer.core.update_user(&admin, id, &role("Engineers")).await.unwrap();
        assert_eq!((changed.role, changed.version), (5, 2), "a retry changes nothing");
        assert_eq!(issuer.refusal(&session.access).await, Some(Reason::Revoked));
    }
    let next = issuer.core.refresh(session.refresh.expose()).await.unwrap();
    assert_eq!(issuer.refusal(&next.access).await, None);
    assert_eq!(issuer.caller(&next.access).await.principal.role, "Engineers");
}

#[tokio::test]
async fn a_disabled_user_stays_shut_out_through_other_changes() {
    let issuer = Issuer::start().await;
    let id = user(&issuer, "anna", "Users").await;
    let access = issuer.login("anna").await.unwrap().access;
    let admin = issuer.admin().await;
    let core = &issuer.core;
    core.update_user(&admin, id, &disabled(true)).await.unwrap();
    core.update_user(&admin, id, &role("Engineers")).await.unwrap();
    assert_eq!(issuer.refusal(&access).await, Some(Reason::PrincipalDisabled));
    core.set_user_password(&admin, id, NEW_PASSWORD).await.unwrap();
    core.end_user_sessions(&admin, id).await.unwrap();
    assert_eq!(issuer.refusal(&access).await, Some(Reason::PrincipalDisabled));
    assert!(!login_with(&issuer, "anna", NEW_PASSWORD).await);
    assert_eq!(stored(&issuer, id).await.version, 5);
    let enabled = core.update_user(&admin, id, &disabled(false)).await.unwrap();
    assert_eq!(enabled.version, 6);
    assert!(login_with(&issuer, "anna", NEW_PASSWORD).await);
    assert_eq!(issuer.refusal(&access).await, Some(Reason::Revoked));
}

#[tokio::test]
async fn a_session_does_not_come_back_with_its_disabled_user() {
    let issuer = Issuer::start().await;
    let id = user(&issuer, "anna", "Users").await;
    let session = issuer.login("anna").await.unwrap();
    let admin = issuer.admin().await;
    for state in [true, false] {
        issuer.core.update_user(&admin, id, &disabled(state)).await.unwrap();
    }
    let refused = issuer.core.refresh(session.refresh.expose()).await;
    assert!(matches!(refused, Err(Failure::RefreshTokenInvalid)));
}

#[tokio::test]
async fn a_set_password_ends_the_old_one_and_what_it_opened() {
    let issuer = Issuer::start().await;
    let id = user(&issuer, "anna", "Users").await;
    let session = issuer.login("anna").await.unwrap();
    let admin = issuer.admin().await;
    let short = issuer.core.set_user_password(&admin, id, "short").await;
    assert!(matches!(short, Err(Failure::InvalidFields(_))));
    assert_eq!(issuer.refusal(&session.access).await, None);
    issuer.core.set_user_password(&admin, id, NEW_PASSWORD).await.unwrap();
    assert_eq!(issuer.refusal(&session.access).await, Some(Reason::Revoked));
    assert!(issuer.core.refresh(session.refresh.expose()).await.is_err());
    assert!(!login_with(&issuer, "anna", PASSWORD).await);
    assert!(login_with(&issuer, "anna", NEW_PASSWORD).await);
}

#[tokio::test]
async fn a_set_password_cut_short_is_completed_by_a_retry() {
    let issuer = Issuer::start().await;
    let id = user(&issuer, "anna", "Users").await;
    let admin = issuer.admin().await;
    // Password, user, revocation of the user, and three for the session; then none is left
    // to fail.
    for writes in 0..6 {
        issuer.core.set_user_password(&admin, id, PASSWORD).await.unwrap();
        let session = issuer.login("anna").await.unwrap();
        issuer.store.die_after(writes);
        let cut = issuer.core.set_user_password(&admin, id, NEW_PASSWORD).await;
        assert!(matches!(cut, Err(Failure::StoreUnavailable(_))), "after {writes} writes");
        issuer.store.live();
        issuer.core.set_user_password(&admin, id, NEW_PASSWORD).await.unwrap();
        assert!(issuer.refusal(&session.access).await.is_some(), "after {writes} writes");
        assert!(issuer.core.refresh(session.refresh.expose()).await.is_err());
        assert!(!login_with(&issuer, "anna", PASSWORD).await, "after {writes} writes");
    }
}

#[tokio::test]
async fn ended_sessions_take_their_access_tokens_along() {
    let issuer = Issuer::start().await;
    let id = user(&issuer, "anna", "Users").await;
    let sessions = [issuer.login("anna").await.unwrap(), issuer.login("anna").await.unwrap()];
    let admin = issuer.admin().await;
    issuer.core.end_user_sessions(&admin, id).await.unwrap();
    for session in sessions {
        assert_eq!(issuer.refusal(&session.access).await, Some(Reason::Revoked));
        assert!(issuer.core.refresh(session.refresh.expose()).await.is_err());
    }
    let after = issuer.login("anna").await.unwrap();
    assert_eq!(issuer.refusal(&after.access).await, None);
}

#[tokio::test]
async fn a_page_of_users_passes_over_entries_that_lead_nowhere() {
    let issuer = Issuer::start().await;
    user(&issuer, "anna", "Users").await;
    let (first, nowhere) = (AccountId::FIRST, 2);
    issuer.core.store.index_add(Index::UsersOf(first), nowhere).await.unwrap();
    let admin = issuer.admin().await;
    let page = |after| issuer.core.users(&admin, first, Page { after, size: 2 });
    let (found, next) = page(0).await.unwrap();
    assert_eq!(found.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["admin"]);
    assert_eq!(next, Some(nowhere));
    let (found, next) = page(nowhere).await.unwrap();
    assert_eq!(found.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["anna"]);
    assert_eq!(next, None);
}
