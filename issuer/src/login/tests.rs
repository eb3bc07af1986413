//! A login holds against what happens to the user in the middle of it.

use std::time::Duration;

use tessera_shared::{
    id::{AccountId, UserId},
    store::{Index, Key, records},
};

use crate::{
    admin::NewUser,
    failure::Failure,
    sessions::Client,
    testing::{Issuer, PASSWORD, client},
};

const NEW_PASSWORD: &str = "battery staple correct";

async fn anna(issuer: &Issuer) -> UserId {
    let user = NewUser {
        username: "anna".to_owned(),
        password: PASSWORD.to_owned(),
        role: "Users".to_owned(),
    };
    let admin = issuer.admin().await;
    let user = issuer.core.create_user(&admin, AccountId::FIRST, user).await.unwrap();
    user.id.try_into().unwrap()
}

async fn sessions(issuer: &Issuer, user: UserId) -> Vec<i64> {
    issuer.core.store.index_page(Index::SessionsOf(user), 0, 100).await.unwrap()
}

#[tokio::test]
async fn a_login_that_a_new_password_overtakes_opens_nothing() {
    let issuer = Issuer::start().await;
    let id = anna(&issuer).await;
    let proven = issuer.core.prove("anna", PASSWORD).await.unwrap();
    let admin = issuer.admin().await;
    issuer.core.set_user_password(&admin, id, NEW_PASSWORD).await.unwrap();
    let late = issuer.core.open(&proven, client()).await;
    assert!(matches!(late, Err(Failure::LoginFailed)));
    assert!(sessions(&issuer, id).await.is_empty());
}

#[tokio::test]
async fn the_old_password_opens_nothing_from_the_first_write_of_the_new_one_on() {
    let issuer = Issuer::start().await;
    let id = anna(&issuer).await;
    let admin = issuer.admin().await;
    for writes in 0..3 {
        issuer.core.set_user_password(&admin, id, PASSWORD).await.unwrap();
        let proven = issuer.core.prove("anna", PASSWORD).await.unwrap();
        issuer.store.die_after(writes);
        // Password, user, revocation: with no session there is nothing more to write.
        let cut = issuer.core.set_user_password(&admin, id, NEW_PASSWORD).await;
        assert!(matches!(cut, Err(Failure::StoreUnavailable(_))), "after {writes} writes");
        issuer.store.live();
        let opened = issuer.core.open(&proven, client()).await;
        assert_eq!(opened.is_ok(), writes == 0, "after {writes} writes");
        assert_eq!(issuer.login("anna").await.is_ok(), writes == 0, "after {writes} writes");
        issuer.core.set_user_password(&admin, id, NEW_PASSWORD).await.unwrap();
        if let Ok(opened) = opened {
            assert!(issuer.refusal(&opened.access).await.is_some());
            assert!(issuer.core.refresh(opened.refresh.expose()).await.is_err());
        }
        assert!(sessions(&issuer, id).await.is_empty(), "after {writes} writes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_logins_at_the_same_time_none_with_the_old_password_outlives_the_new() {
    let issuer = Issuer::start().await;
    let id = anna(&issuer).await;
    let admin = issuer.admin().await;
    for round in 0..5 {
        let mut logins = tokio::task::JoinSet::new();
        let proven = issuer.core.prove("anna", PASSWORD).await.unwrap();
        let proven = std::sync::Arc::new(proven);
        for _ in 0..16 {
            let (core, proven) = (issuer.core.clone(), proven.clone());
            logins.spawn(async move { core.open(&proven, client()).await });
        }
        issuer.core.set_user_password(&admin, id, NEW_PASSWORD).await.unwrap();
        for opened in logins.join_all().await.into_iter().flatten() {
            assert!(issuer.refusal(&opened.access).await.is_some(), "round {round}");
            assert!(issuer.core.refresh(opened.refresh.expose()).await.is_err(), "round {round}");
        }
        assert!(sessions(&issuer, id).await.is_empty(), "round {round}");
        issuer.core.set_user_password(&admin, id, PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn a_user_with_no_password_is_nobody() {
    let issuer = Issuer::start().await;
    let id = anna(&issuer).await;
    records::remove(&*issuer.core.store, Key::Password(id)).await.unwrap();
    assert!(matches!(issuer.login("anna").await, Err(Failure::LoginFailed)));
    let admin = issuer.admin().await;
    issuer.core.set_user_password(&admin, id, NEW_PASSWORD).await.unwrap();
    assert!(issuer.login_with("anna", NEW_PASSWORD).await.is_ok());
}

/// Twenty wrong passwords in ten minutes, as the test issuer has it.
async fn fail_all(issuer: &Issuer, username: &str) {
    for _ in 0..20 {
        let failed = issuer.login_with(username, "a password that is wrong").await;
        assert!(matches!(failed, Err(Failure::LoginFailed)));
    }
}

fn wait_of<T>(refused: Result<T, Failure>) -> Duration {
    match refused {
        Err(Failure::LoginThrottled(wait)) => wait,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn who_failed_too_often_waits_though_the_password_is_right_at_last() {
    let issuer = Issuer::start().await;
    anna(&issuer).await;
    fail_all(&issuer, "ANNA").await;
    let wait = wait_of(issuer.login("anna").await);
    assert_eq!(wait, Duration::from_secs(30));
    assert!(issuer.login("admin").await.is_ok(), "another user");
    let address = Some("192.0.2.1".parse().unwrap());
    let elsewhere = Client { address, user_agent: String::new() };
    assert!(issuer.core.login("anna", PASSWORD, elsewhere).await.is_ok(), "another network");
    issuer.advance(wait - Duration::from_millis(1));
    wait_of(issuer.login("anna").await);
    issuer.advance(Duration::from_millis(1));
    assert!(issuer.login("anna").await.is_ok());
    assert!(issuer.login("anna").await.is_ok(), "what succeeds is not counted");
}

#[tokio::test]
async fn a_name_that_nobody_has_is_throttled_like_any() {
    let issuer = Issuer::start().await;
    fail_all(&issuer, "nobody").await;
    assert_eq!(wait_of(issuer.login("nobody").await), Duration::from_secs(30));
}

#[tokio::test]
async fn an_outage_is_no_failed_login() {
    let issuer = Issuer::start().await;
    issuer.store.die_after(0);
    for _ in 0..30 {
        let outage = issuer.login("admin").await;
        assert!(matches!(outage, Err(Failure::StoreUnavailable(_))));
    }
    issuer.store.live();
    assert!(issuer.login("admin").await.is_ok());
}

#[tokio::test]
async fn a_session_guesses_the_password_no_more_often_than_a_login() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let change = |current| issuer.core.change_password(&admin, current, NEW_PASSWORD);
    for _ in 0..20 {
        let wrong = change("a password that is wrong").await;
        assert!(matches!(wrong, Err(Failure::InvalidFields(_))));
    }
    wait_of(change(PASSWORD).await);
    wait_of(issuer.login("admin").await);
}
