//! The end of signing keys.

use tessera_shared::{examine::Reason, keys::KeyState};

use super::{
    VIEW_AGE,
    tests::{private_key_is_there, rotate, set_of, signs_with, states},
};
use crate::{
    failure::Failure,
    testing::{Issuer, PUBLICATION_DELAY, key_rules},
};

#[tokio::test]
async fn the_signing_key_retires_by_a_rotation_alone() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let kid = signs_with(&issuer.core).await;
    let refused = issuer.core.retire_signing_key(&admin, &kid, false).await.unwrap_err();
    assert!(matches!(refused, Failure::KeySigns));
    rotate(&issuer, None).await.unwrap();
    let refused = issuer.core.retire_signing_key(&admin, &kid, false).await.unwrap_err();
    assert!(matches!(refused, Failure::KeySigns), "verifiers may not know the next one yet");
    issuer.advance(PUBLICATION_DELAY);
    issuer.core.tend_keys().await.unwrap();
    let retired = issuer.core.retire_signing_key(&admin, &kid, false).await.unwrap();
    assert_eq!((retired.entry.state, retired.gone), (KeyState::Retired, false));
}

#[tokio::test]
async fn a_waiting_key_goes_with_its_private_half() {
    let issuer = Issuer::start().await;
    let signing = signs_with(&issuer.core).await;
    let kid = rotate(&issuer, None).await.unwrap();
    assert!(private_key_is_there(&issuer, &kid).await);
    let gone = issuer.core.retire_signing_key(&issuer.admin().await, &kid, false).await.unwrap();
    assert!(gone.gone && gone.successor.is_none());
    assert!(!private_key_is_there(&issuer, &kid).await);
    issuer.advance(PUBLICATION_DELAY);
    assert_eq!(signs_with(&issuer.core).await, signing);
}

#[tokio::test]
async fn a_retired_key_that_goes_now_denies_its_tokens() {
    let issuer = Issuer::start().await;
    let token = issuer.login("admin").await.unwrap().access;
    let kid = signs_with(&issuer.core).await;
    rotate(&issuer, None).await.unwrap();
    issuer.advance(PUBLICATION_DELAY);
    issuer.core.tend_keys().await.unwrap();
    assert_eq!(issuer.refusal(&token).await, None);
    let gone = issuer.core.retire_signing_key(&issuer.admin().await, &kid, true).await.unwrap();
    assert!(gone.gone && gone.successor.is_none());
    assert_eq!(issuer.refusal(&token).await, Some(Reason::BadSignature));
}

#[tokio::test]
async fn a_signing_key_that_goes_now_is_replaced_by_a_new_one() {
    let issuer = Issuer::start().await;
    let other = issuer.another(key_rules()).await;
    let token = issuer.login("admin").await.unwrap().access;
    let admin = issuer.caller(&token).await;
    let kid = signs_with(&issuer.core).await;
    let gone = issuer.core.retire_signing_key(&admin, &kid, true).await.unwrap();
    let successor = gone.successor.unwrap();
    assert_eq!(successor.state, KeyState::Signing);
    assert_eq!(issuer.refusal(&token).await, Some(Reason::BadSignature));
    assert!(!private_key_is_there(&issuer, &kid).await);
    let fresh = issuer.login("admin").await.unwrap().access;
    assert_eq!(issuer.refusal(&fresh).await, None);
    issuer.advance(VIEW_AGE);
    for core in [&issuer.core, &other] {
        assert_eq!(signs_with(core).await, successor.public.kid());
    }
}

#[tokio::test]
async fn a_signing_key_that_goes_now_is_replaced_by_the_one_that_waits() {
    let issuer = Issuer::start().await;
    let admin = issuer.admin().await;
    let kid = signs_with(&issuer.core).await;
    let waiting = rotate(&issuer, None).await.unwrap();
    let gone = issuer.core.retire_signing_key(&admin, &kid, true).await.unwrap();
    assert_eq!(gone.successor.unwrap().public.kid(), waiting);
    assert_eq!(signs_with(&issuer.core).await, waiting);
    assert_eq!(states(&set_of(&issuer.core).await), [KeyState::Signing]);
}

#[tokio::test]
async fn an_emergency_that_dies_between_two_writes_can_be_repeated() {
    for writes in 0..5 {
        let issuer = Issuer::start().await;
        let admin = issuer.admin().await;
        let kid = signs_with(&issuer.core).await;
        issuer.store.die_after(writes);
        let _ = issuer.core.retire_signing_key(&admin, &kid, true).await;
        issuer.store.live();
        match issuer.core.retire_signing_key(&admin, &kid, true).await {
            Ok(_) | Err(Failure::NotFound(_)) => {}
            Err(error) => panic!("after {writes} writes: {error}"),
        }
        assert!(set_of(&issuer.core).await.by_kid(&kid).is_none());
        assert!(!private_key_is_there(&issuer, &kid).await, "after {writes} writes");
        let restarted = issuer.another(key_rules()).await;
        assert_ne!(signs_with(&restarted).await, kid);
    }
}

#[tokio::test]
async fn an_accounts_administrator_neither_rotates_nor_retires() {
    let issuer = Issuer::start().await;
    let (_, tenant) = crate::admin::testing::tenant(&issuer).await;
    let kid = signs_with(&issuer.core).await;
    let rotated = issuer.core.rotate_signing_key(&tenant, None).await.unwrap_err();
    let retired = issuer.core.retire_signing_key(&tenant, &kid, true).await.unwrap_err();
    assert!(matches!((rotated, retired), (Failure::NotPermitted, Failure::NotPermitted)));
}
