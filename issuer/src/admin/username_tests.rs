//! A username leads to one user: whoever claims it, however their calls end.

use std::time::Duration;

use tessera_shared::{
    id::{AccountId, UserId},
    record::{User, Username},
    store::{Key, records},
};

use super::testing::{named, user};
use crate::{
    failure::Failure,
    testing::{Issuer, START},
};

async fn holder(issuer: &Issuer, name: &str) -> Option<i64> {
    let key = Key::Username(name.to_owned());
    let claim: Option<Username> = records::load(&*issuer.core.store, key).await.unwrap();
    claim.map(|claim| claim.user)
}

#[tokio::test]
async fn all_wrong_fields_are_said_at_once() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let mut wrong = named("a b", "Kings");
    wrong.password = "short".to_owned();
    let refused = issuer.core.create_user(&admin, AccountId::FIRST, wrong).await;
    let Err(Failure::InvalidFields(violations)) = refused else { panic!("{refused:?}") };
    let fields: Vec<_> = violations.iter().map(|violation| violation.field).collect();
    assert_eq!(fields, ["username", "password", "role"]);
}

#[tokio::test]
async fn a_taken_name_is_refused_in_any_letter_case_and_account() {
    let issuer = Issuer::start().await;
    let id = user(&issuer, "Anna", "Users").await;
    let admin = issuer.admin().await;
    let other = issuer.core.create_account(&admin, "Other").await.unwrap();
    issuer.advance(Duration::from_hours(1));
    for account in [AccountId::FIRST, other.id.try_into().unwrap()] {
        let refused = issuer.core.create_user(&admin, account, named("ANNA", "Users")).await;
        assert!(matches!(refused, Err(Failure::UsernameTaken)));
    }
    assert_eq!(holder(&issuer, "anna").await, Some(id.get()));
}

#[tokio::test]
async fn a_claim_that_led_to_no_user_lasts_a_minute() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let create = || issuer.core.create_user(&admin, AccountId::FIRST, named("anna", "Users"));
    issuer.store.die_after(1);
    assert!(matches!(create().await, Err(Failure::StoreUnavailable(_))));
    issuer.store.live();
    issuer.advance(Duration::from_millis(59_999));
    assert!(matches!(create().await, Err(Failure::UsernameTaken)));
    issuer.advance(Duration::from_millis(1));
    let made = create().await.unwrap();
    assert_eq!(holder(&issuer, "anna").await, Some(made.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_want_an_abandoned_name_one_gets_it() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    issuer.store.die_after(1);
    let cut = issuer.core.create_user(&admin, AccountId::FIRST, named("anna", "Users")).await;
    assert!(cut.is_err());
    issuer.store.live();
    issuer.advance(Duration::from_mins(2));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (core, admin) = (issuer.core.clone(), issuer.admin().await);
        calls.spawn(async move {
            core.create_user(&admin, AccountId::FIRST, named("anna", "Users")).await
        });
    }
    let mut made = Vec::new();
    for answer in calls.join_all().await {
        match answer {
            Ok(user) => made.push(user.id),
            Err(failure) => assert!(matches!(failure, Failure::UsernameTaken), "{failure:?}"),
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(holder(&issuer, "anna").await, Some(made[0]));
    assert!(issuer.login("anna").await.is_ok());
}

#[tokio::test]
async fn an_old_claim_that_leads_to_somebody_of_another_name_holds_nothing() {
    let issuer = Issuer::start().await;
    let anna = user(&issuer, "anna", "Users").await;
    let claim = Username { user: anna.get() };
    let key = Key::Username("bea".to_owned());
    records::create(&*issuer.core.store, key, &claim).await.unwrap();
    assert!(issuer.login("anna").await.is_ok());
    let by_another_name = issuer.login("bea").await;
    assert!(matches!(by_another_name, Err(Failure::LoginFailed)));
    issuer.advance(Duration::from_mins(1));
    let bea = user(&issuer, "bea", "Users").await;
    assert_eq!(holder(&issuer, "bea").await, Some(bea.get()));
    assert_eq!(holder(&issuer, "anna").await, Some(anna.get()));
}

#[tokio::test]
async fn an_id_that_somebody_has_already_leaves_the_name_free() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    take_all_user_ids_of_this_instant(&issuer).await;
    let create = || issuer.core.create_user(&admin, AccountId::FIRST, named("anna", "Users"));
    assert!(matches!(create().await, Err(Failure::Conflict)));
    assert_eq!(holder(&issuer, "anna").await, None);
    issuer.advance(Duration::from_millis(1));
    create().await.unwrap();
}

/// The clock stands, so a user id made now is one of 4096.
async fn take_all_user_ids_of_this_instant(issuer: &Issuer) {
    assert_eq!(issuer.core.now(), START);
    let base = UserId::new(START, &*issuer.core.rng).unwrap().get() & !0xfff;
    let mut writes = tokio::task::JoinSet::new();
    for id in base..=base | 0xfff {
        let core = issuer.core.clone();
        let user = User { id, username: format!("u{id}"), account: 1, ..User::default() };
        writes.spawn(async move {
            let id = UserId::try_from(id).unwrap();
            records::create(&*core.store, id.into(), &user).await.unwrap()
        });
    }
    writes.join_all().await;
}
