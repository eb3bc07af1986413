//! Two ids of one millisecond share 12 random bits: one that is taken is drawn again,
//! and an entry that leads to another's record does it no harm.

use tessera_shared::{
    id::{AccountId, UserId},
    store::{Index, StoreWriter as _},
};

use crate::{
    failure::Failure,
    fields::Page,
    sessions::ID_ATTEMPTS,
    testing::{Issuer, new_token},
    tokens::Filter,
};

const WHOLE: Page = Page { after: 0, size: 100 };

#[tokio::test]
async fn a_taken_id_is_drawn_again() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    for taken in 1..ID_ATTEMPTS {
        issuer.store.take_ids(taken as i64);
        let pair = issuer.login("admin").await.unwrap();
        assert_eq!(issuer.refusal(&pair.access).await, None);
        issuer.store.take_ids(taken as i64);
        let created = issuer.core.create_token(&admin, new_token("t")).await.unwrap();
        assert_eq!(issuer.refusal(created.plain.expose()).await, None);
    }
}

#[tokio::test]
async fn an_id_is_not_drawn_for_ever() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    issuer.store.take_ids(ID_ATTEMPTS as i64);
    assert!(issuer.login("admin").await.is_err());
    issuer.store.take_ids(ID_ATTEMPTS as i64);
    assert!(issuer.core.create_token(&admin, new_token("t")).await.is_err());
}

#[tokio::test]
async fn another_users_session_is_neither_shown_nor_ended() {
    let issuer = Issuer::start().await;
    let other: UserId = 77.try_into().unwrap();
    let admins = issuer.admin().await;
    let id = admins.session().unwrap();
    issuer.store.index_add(Index::SessionsOf(other), id.get()).await.unwrap();
    assert!(issuer.core.sessions_of(other, WHOLE).await.unwrap().0.is_empty());
    issuer.core.end_sessions_of(other, None).await.unwrap();
    let shown = issuer.core.sessions_of(admins.user(), WHOLE).await.unwrap().0;
    assert_eq!(shown.iter().map(|session| session.id).collect::<Vec<_>>(), [id.get()]);
}

#[tokio::test]
async fn another_accounts_token_is_not_listed() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let created = issuer.core.create_token(&admin, new_token("t")).await.unwrap();
    let other: AccountId = 77.try_into().unwrap();
    issuer.store.index_add(Index::TokensOf(other), created.token.id).await.unwrap();
    let list = |account| {
        let (core, admin) = (issuer.core.clone(), &admin);
        async move { core.list_tokens(admin, account, &Filter::default(), WHOLE).await.unwrap().0 }
    };
    assert!(list(other).await.is_empty());
    assert_eq!(list(AccountId::FIRST).await.len(), 1);
}

#[tokio::test]
async fn the_place_of_another_accounts_id_is_given_back() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    issuer.store.take_ids(2);
    for _ in 0..3 {
        issuer.core.create_token(&admin, new_token("t")).await.unwrap();
    }
    let fourth = issuer.core.create_token(&admin, new_token("t")).await;
    assert!(matches!(fourth, Err(Failure::TokenLimitReached(3))));
}

#[tokio::test]
async fn no_entry_leads_to_another_users_session() {
    let issuer = Issuer::start().await;
    let (admins, other) = (issuer.admin().await, UserId::try_from(77).unwrap());
    let id = admins.session().unwrap();
    issuer.store.index_add(Index::SessionsOf(other), id.get()).await.unwrap();
    issuer.core.leave_session_to_its_owner(other, id).await.unwrap();
    issuer.core.leave_session_to_its_owner(admins.user(), id).await.unwrap();
    for (user, entries) in [(other, vec![]), (admins.user(), vec![id.get()])] {
        let listed = issuer.core.store.index_page(Index::SessionsOf(user), 0, 100).await.unwrap();
        assert_eq!(listed, entries);
    }
}
