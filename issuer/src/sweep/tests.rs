//! What a writer left behind that stopped between two writes goes, and nothing else.

use std::time::Duration;

use ring::rand::SystemRandom;
use tessera_shared::{
    clock::Clock as _,
    foreign::{ForeignToken, Imported, Importer},
    id::{AccountId, UserId},
    record::User,
    store::{Index, Key, records},
};

use crate::{
    admin::NewUser,
    failure::Failure,
    testing::{Issuer, PASSWORD},
};

async fn create_anna(issuer: &Issuer) -> Result<User, Failure> {
    let user = NewUser {
        username: "anna".to_owned(),
        password: PASSWORD.to_owned(),
        role: "Users".to_owned(),
    };
    issuer.core.create_user(&issuer.admin().await, AccountId::FIRST, user).await
}

async fn listed(issuer: &Issuer, index: Index) -> Vec<i64> {
    issuer.core.store.index_page(index, 0, 100).await.unwrap()
}

async fn has_password(issuer: &Issuer, user: i64) -> bool {
    let key = Key::Password(user.try_into().unwrap());
    issuer.core.store.read(&[key]).await.unwrap()[0].is_some()
}

const USERS: Index = Index::UsersOf(AccountId::FIRST);

/// A user whose creation stopped before the last write: listed, with a password. The
/// admin of `create_anna` logs in first, which takes two writes.
async fn half_a_user(issuer: &Issuer) -> i64 {
    issuer.store.die_after(2 + 3);
    create_anna(issuer).await.unwrap_err();
    issuer.store.live();
    let half = *listed(issuer, USERS).await.last().unwrap();
    assert!(half != UserId::FIRST.get() && has_password(issuer, half).await);
    half
}

#[tokio::test]
async fn half_a_user_goes_with_its_password_and_no_sooner_than_its_name() {
    let issuer = Issuer::start().await;
    let half = half_a_user(&issuer).await;
    issuer.advance(Duration::from_mins(10));
    issuer.core.sweep().await.unwrap();
    assert_eq!(listed(&issuer, USERS).await, [1, half], "a call may be under way");
    issuer.advance(Duration::from_millis(1));
    issuer.core.sweep().await.unwrap();
    assert_eq!(listed(&issuer, USERS).await, [1]);
    assert!(!has_password(&issuer, half).await);
    assert!(has_password(&issuer, 1).await);

    let whole = create_anna(&issuer).await.unwrap();
    issuer.advance(Duration::from_hours(1));
    issuer.core.sweep().await.unwrap();
    assert_eq!(listed(&issuer, USERS).await, [1, whole.id]);
    assert!(issuer.login("anna").await.is_ok());
}

#[tokio::test]
async fn a_sweep_cut_short_is_completed_by_the_next() {
    let issuer = Issuer::start().await;
    let half = half_a_user(&issuer).await;
    issuer.advance(Duration::from_hours(1));
    for writes in 0..2 {
        issuer.store.die_after(writes);
        issuer.core.sweep().await.unwrap_err();
        issuer.store.live();
        assert_eq!(listed(&issuer, USERS).await, [1, half], "still found");
    }
    issuer.core.sweep().await.unwrap();
    assert_eq!(listed(&issuer, USERS).await, [1]);
    assert!(!has_password(&issuer, half).await);
}

#[tokio::test]
async fn half_an_account_goes_and_a_whole_one_stays() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    issuer.store.die_after(1);
    issuer.core.create_account(&admin, "half").await.unwrap_err();
    issuer.store.live();
    let half = *listed(&issuer, Index::Accounts).await.last().unwrap();
    let whole = issuer.core.create_account(&admin, "whole").await.unwrap();
    let mut all = vec![1, half, whole.id];
    all.sort_unstable();
    issuer.core.sweep().await.unwrap();
    assert_eq!(listed(&issuer, Index::Accounts).await, all);
    issuer.advance(Duration::from_hours(1));
    issuer.core.sweep().await.unwrap();
    assert_eq!(listed(&issuer, Index::Accounts).await, [1, whole.id]);
    let key = whole.id.try_into().map(Key::Account).unwrap();
    let kept: Option<tessera_shared::record::Account> =
        records::load(&*issuer.core.store, key).await.unwrap();
    assert_eq!(kept, Some(whole));
}

fn foreign(byte: u8) -> ForeignToken {
    ForeignToken {
        hash: [byte; 32],
        name: "of elsewhere".to_owned(),
        owner: "admin".to_owned(),
        role: "Users".to_owned(),
        audiences: vec!["cdn".to_owned()],
        expires_at: None,
    }
}

#[tokio::test]
async fn what_leads_to_an_imported_token_goes_after_it_and_no_sooner() {
    let issuer = Issuer::start().await;
    let (store, rng) = (&*issuer.core.store, SystemRandom::new());
    let import = async |byte| {
        let mut importer = Importer::new(store, &rng).await.unwrap();
        importer.import(&foreign(byte), issuer.clock.now()).await.unwrap()
    };
    assert_eq!(import(1).await, Imported::New);
    let tokens = listed(&issuer, Index::TokensOf(AccountId::FIRST)).await;
    let ended = tokens[0].try_into().unwrap();
    assert_eq!(import(2).await, Imported::New);
    issuer.core.revoke_token(&issuer.admin().await, ended).await.unwrap();
    let there = async || {
        let keys = [Key::Token(ended), Key::Foreign([1; 32]), Key::Foreign([2; 32])];
        store.read(&keys).await.unwrap().iter().map(Option::is_some).collect::<Vec<_>>()
    };
    issuer.core.sweep().await.unwrap();
    issuer.advance(Duration::from_hours(30 * 24 - 1));
    issuer.core.sweep().await.unwrap();
    assert_eq!(there().await, [true, true, true]);
    assert_eq!(import(1).await, Imported::Before, "and revoked as it is");
    issuer.advance(Duration::from_hours(2));
    issuer.core.sweep().await.unwrap();
    assert_eq!(there().await, [false, true, true]);
    issuer.advance(Duration::from_hours(24));
    issuer.core.sweep().await.unwrap();
    assert_eq!(there().await, [false, false, true]);
}
