//! Whose accounts an administrator changes, and what a change ends.

use prost_types::FieldMask;
use tessera_shared::{
    examine::Reason,
    id::AccountId,
    record::Account,
    store::{Index, records},
};

use super::testing::{account_disabled, account_named, tenant};
use crate::{
    failure::Failure,
    fields::Page,
    testing::{Issuer, new_token},
};

const ALL: fn() -> Page = || Page { after: 0, size: 10 };

fn ids(accounts: &[Account]) -> Vec<i64> {
    accounts.iter().map(|account| account.id).collect()
}

#[tokio::test]
async fn an_accounts_administrator_sees_its_own_alone_and_changes_none() {
    let issuer = Issuer::start().await;
    let (account, tenant) = tenant(&issuer).await;
    let core = &issuer.core;
    assert_eq!(core.account(&tenant, account).await.unwrap().name, "Tenant");
    let elsewhere = core.account(&tenant, AccountId::FIRST).await;
    assert!(matches!(elsewhere, Err(Failure::NotFound("account"))));
    let (listed, next) = core.accounts(&tenant, ALL()).await.unwrap();
    assert_eq!((ids(&listed), next), (vec![account.get()], None));
    let past = Page { after: account.get(), size: 10 };
    assert!(core.accounts(&tenant, past).await.unwrap().0.is_empty());
    let refused = [
        core.create_account(&tenant, "Another").await,
        core.update_account(&tenant, account, &account_named("Renamed")).await,
        core.update_account(&tenant, AccountId::FIRST, &account_disabled(true)).await,
    ];
    assert!(refused.iter().all(|answer| matches!(answer, Err(Failure::NotPermitted))));
}

#[tokio::test]
async fn the_first_accounts_administrator_sees_all_page_by_page() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let core = &issuer.core;
    let made = core.create_account(&admin, "Second").await.unwrap();
    core.store.index_add(Index::Accounts, 2).await.unwrap();
    let (first, next) = core.accounts(&admin, Page { after: 0, size: 2 }).await.unwrap();
    assert_eq!((ids(&first), next), (vec![1], Some(2)), "id 2 leads nowhere");
    let (rest, next) = core.accounts(&admin, Page { after: 2, size: 2 }).await.unwrap();
    assert_eq!((ids(&rest), next), (vec![made.id], None));
    let missing = core.account(&admin, 2.try_into().unwrap()).await;
    assert!(matches!(missing, Err(Failure::NotFound("account"))));
}

#[tokio::test]
async fn nobody_disables_their_own_account() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let change = account_disabled(true);
    let refused = issuer.core.update_account(&admin, AccountId::FIRST, &change).await;
    assert!(matches!(refused, Err(Failure::SelfDisable)));
    assert!(!issuer.core.account(&admin, AccountId::FIRST).await.unwrap().disabled);
}

#[tokio::test]
async fn a_disabled_account_is_denied_in_every_way_and_comes_back() {
    let issuer = Issuer::start().await;
    let (account, tenant) = tenant(&issuer).await;
    let session = issuer.login("tenant").await.unwrap();
    let permanent = issuer.core.create_token(&tenant, new_token("deploy")).await.unwrap();
    let tokens = [session.access.as_str(), permanent.plain.expose()];
    let admin = issuer.admin().await;
    for _retry in 0..2 {
        let change = account_disabled(true);
        let changed = issuer.core.update_account(&admin, account, &change).await.unwrap();
        assert_eq!((changed.disabled, changed.version), (true, 2), "a retry changes nothing");
    }
    for token in tokens {
        assert_eq!(issuer.refusal(token).await, Some(Reason::PrincipalDisabled));
    }
    assert!(matches!(issuer.login("tenant").await, Err(Failure::LoginFailed)));
    let change = account_disabled(false);
    let changed = issuer.core.update_account(&admin, account, &change).await.unwrap();
    assert_eq!((changed.disabled, changed.version), (false, 3));
    for token in tokens {
        assert_eq!(issuer.refusal(token).await, None);
    }
    issuer.login("tenant").await.unwrap();
}

#[tokio::test]
async fn a_disable_cut_short_is_completed_by_a_retry_or_a_new_name() {
    let issuer = Issuer::start().await;
    let (account, _) = tenant(&issuer).await;
    let access = issuer.login("tenant").await.unwrap().access;
    let admin = issuer.admin().await;
    for retry in [account_disabled(true), account_named("Renamed")] {
        issuer.store.die_after(1);
        let cut = issuer.core.update_account(&admin, account, &account_disabled(true)).await;
        assert!(matches!(cut, Err(Failure::StoreUnavailable(_))));
        issuer.store.live();
        assert_eq!(issuer.refusal(&access).await, None, "nobody was told otherwise");
        issuer.core.update_account(&admin, account, &retry).await.unwrap();
        assert_eq!(issuer.refusal(&access).await, Some(Reason::PrincipalDisabled));
        issuer.core.update_account(&admin, account, &account_disabled(false)).await.unwrap();
    }
}

#[tokio::test]
async fn an_enable_cut_short_grants_nothing_until_a_retry() {
    let issuer = Issuer::start().await;
    let (account, _) = tenant(&issuer).await;
    let access = issuer.login("tenant").await.unwrap().access;
    let admin = issuer.admin().await;
    issuer.core.update_account(&admin, account, &account_disabled(true)).await.unwrap();
    issuer.store.die_after(1);
    assert!(issuer.core.update_account(&admin, account, &account_disabled(false)).await.is_err());
    issuer.store.live();
    assert_eq!(issuer.refusal(&access).await, Some(Reason::PrincipalDisabled));
    issuer.core.update_account(&admin, account, &account_disabled(false)).await.unwrap();
    assert_eq!(issuer.refusal(&access).await, None);
}

#[tokio::test]
async fn a_creation_cut_short_leaves_no_account() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    for writes in 0..2 {
        issuer.store.die_after(writes);
        assert!(issuer.core.create_account(&admin, "Cut").await.is_err(), "after {writes} writes");
        issuer.store.live();
        assert_eq!(ids(&issuer.core.accounts(&admin, ALL()).await.unwrap().0), [1]);
    }
    let made = issuer.core.create_account(&admin, "Whole").await.unwrap();
    assert_eq!(ids(&issuer.core.accounts(&admin, ALL()).await.unwrap().0), [1, made.id]);
}

#[tokio::test]
async fn a_mask_says_what_changes() {
    let issuer = Issuer::start().await;
    let (account, _) = tenant(&issuer).await;
    let admin = issuer.admin().await;
    let masked = |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let mut change = account_named("Renamed");
        (change.disabled, change.mask) = (Some(true), Some(FieldMask { paths }));
        change
    };
    let core = &issuer.core;
    let named = core.update_account(&admin, account, &masked(&["name"])).await.unwrap();
    assert_eq!((named.name.as_str(), named.disabled, named.version), ("Renamed", false, 1));
    let mut nameless = masked(&["*"]);
    nameless.name.clear();
    for wrong in [nameless, masked(&["version"])] {
        let refused = core.update_account(&admin, account, &wrong).await;
        assert!(matches!(refused, Err(Failure::InvalidFields(_))));
    }
    let stored: Account = records::load(&*core.store, account.into()).await.unwrap().unwrap();
    assert_eq!(stored, named);
    assert!(core.update_account(&admin, account, &masked(&["*"])).await.unwrap().disabled);
}
