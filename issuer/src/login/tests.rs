//! A login holds against what happens to the user in the middle of it.

use tessera_shared::{
    id::{AccountId, UserId},
    store::{Index, Key, records},
};

use crate::{
    admin::NewUser,
    failure::Failure,
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
