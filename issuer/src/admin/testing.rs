//! For tests: administrators of several kinds, and what they ask.

use tessera_shared::{
    id::{AccountId, UserId},
    record::User,
    role::{ADMIN_SCOPE, ScopeSet},
    store::records,
};

use super::{AccountChange, NewUser, UserChange};
use crate::{
    caller::Caller,
    testing::{Issuer, PASSWORD},
};

pub(super) fn named(username: &str, role: &str) -> NewUser {
    NewUser { username: username.to_owned(), password: PASSWORD.to_owned(), role: role.to_owned() }
}

pub(super) fn role(role: &str) -> UserChange {
    UserChange { role: role.to_owned(), disabled: None, mask: None }
}

pub(super) fn disabled(disabled: bool) -> UserChange {
    UserChange { role: String::new(), disabled: Some(disabled), mask: None }
}

pub(super) fn account_disabled(disabled: bool) -> AccountChange {
    AccountChange { name: String::new(), disabled: Some(disabled), mask: None }
}

pub(super) fn account_named(name: &str) -> AccountChange {
    AccountChange { name: name.to_owned(), disabled: None, mask: None }
}

/// Another account, and its administrator, `tenant`.
pub(crate) async fn tenant(issuer: &Issuer) -> (AccountId, Caller) {
    let admin = issuer.admin().await;
    let account = issuer.core.create_account(&admin, "Tenant").await.unwrap();
    let account = account.id.try_into().unwrap();
    let user = named("tenant", "Administrators");
    issuer.core.create_user(&admin, account, user).await.unwrap();
    (account, issuer.caller(&issuer.login("tenant").await.unwrap().access).await)
}

/// An administrator of the first account who may do little else.
pub(super) async fn weak_admin(issuer: &Issuer) -> Caller {
    let mut caller = issuer.admin().await;
    let scopes = [ADMIN_SCOPE, "cdn:purge", "cdn:prefetch"];
    caller.principal.scopes = ScopeSet::from_claim(&scopes.join(" "));
    caller
}

/// A new user of the first account.
pub(super) async fn user(issuer: &Issuer, username: &str, role: &str) -> UserId {
    let admin = issuer.admin().await;
    let user = issuer.core.create_user(&admin, AccountId::FIRST, named(username, role)).await;
    user.unwrap().id.try_into().unwrap()
}

/// What the store says of a user.
pub(super) async fn stored(issuer: &Issuer, id: UserId) -> User {
    records::load(&*issuer.core.store, id.into()).await.unwrap().unwrap()
}
