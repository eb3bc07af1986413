use std::time::Duration;

use tessera_shared::{
    clock::Timestamp,
    examine::Question,
    id::{AccountId, TokenId},
    store::{Index, Key, StoreWriter as _},
    usage::Usage,
};

use crate::testing::{Issuer, START, new_token};

/// A token of the administrator's, and its string.
async fn token(issuer: &Issuer) -> (TokenId, String) {
    let created = issuer.core.create_token(&issuer.admin().await, new_token("used")).await.unwrap();
    (created.token.id.try_into().unwrap(), created.plain.expose().to_owned())
}

/// What is known after the background has run once.
async fn known(issuer: &Issuer, token: TokenId) -> Usage {
    issuer.core.usage.report(&*issuer.store).await.unwrap();
    issuer.core.gather_usage().await.unwrap();
    issuer.core.usage_of_one(token).await.unwrap()
}

#[tokio::test]
async fn a_call_with_a_permanent_token_is_a_use_of_it() {
    let issuer = Issuer::start().await;
    let (id, plain) = token(&issuer).await;
    assert_eq!(known(&issuer, id).await, Usage::default());
    issuer.advance(Duration::from_secs(5));
    issuer.caller(&plain).await;
    assert_eq!(known(&issuer, id).await, Usage::use_at(START.after(Duration::from_secs(5))));
}

#[tokio::test]
async fn an_exchange_is_a_use_of_the_permanent_token() {
    let issuer = Issuer::start().await;
    let (id, plain) = token(&issuer).await;
    issuer.core.exchange(&plain, &Question::default()).await.unwrap();
    assert_eq!(known(&issuer, id).await, Usage::use_at(START));
}

#[tokio::test]
async fn a_call_with_a_replaced_secret_is_a_reuse() {
    let issuer = Issuer::start().await;
    let (id, plain) = token(&issuer).await;
    issuer.core.rotate_token(&issuer.admin().await, id, None).await.unwrap();
    assert!(issuer.core.exchange(&plain, &Question::default()).await.is_err());
    assert_eq!(known(&issuer, id).await, Usage::reuse_at(START));
}

#[tokio::test]
async fn a_use_leaves_the_tokens_record_as_it_was() {
    let issuer = Issuer::start().await;
    let (id, plain) = token(&issuer).await;
    let record = || async { issuer.core.store.read(&[Key::Token(id)]).await.unwrap() };
    let before = record().await;
    issuer.caller(&plain).await;
    assert_eq!(known(&issuer, id).await, Usage::use_at(START));
    assert_eq!(record().await, before);
}

#[tokio::test]
async fn the_sweep_forgets_the_use_of_tokens_that_are_gone_even_if_cut_short() {
    let issuer = Issuer::start().await;
    let (gone, plain) = token(&issuer).await;
    let (kept, other) = token(&issuer).await;
    for plain in [&plain, &other] {
        issuer.caller(plain).await;
    }
    assert_eq!(known(&issuer, gone).await, Usage::use_at(START));
    tessera_shared::store::records::remove(&*issuer.store, gone.into()).await.unwrap();
    issuer.advance(Duration::from_hours(1));
    issuer.store.die_after(0);
    assert!(issuer.core.sweep().await.is_err());
    issuer.store.live();
    issuer.core.sweep().await.unwrap();
    let usage = issuer.store.usage(&[gone, kept]).await.unwrap();
    assert_eq!(usage, [Usage::default(), Usage::use_at(START)]);
    let listed = issuer.store.index_page(Index::TokensOf(AccountId::FIRST), 0, 9).await.unwrap();
    assert_eq!(listed, [kept.get()]);
}

#[tokio::test]
async fn a_report_that_fails_is_made_again() {
    let issuer = Issuer::start().await;
    let (id, plain) = token(&issuer).await;
    issuer.caller(&plain).await;
    issuer.store.die_after(0);
    assert!(issuer.core.usage.report(&*issuer.store).await.is_err());
    issuer.store.live();
    let used: Timestamp = known(&issuer, id).await.last_used_at().unwrap();
    assert_eq!(used, START);
}
