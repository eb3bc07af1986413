//! Rotation, with several issuers over one store.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use tessera_shared::{
    keys::{Algorithm, EncryptionKeys, KeySet, KeyState, PrivateKey},
    store::{Key, StoreReader as _, StoreWriter as _},
};

use super::{KeyRules, VIEW_AGE};
use crate::{
    core::Core,
    failure::Failure,
    testing::{Issuer, PUBLICATION_DELAY, key_rules},
};

const TTL: Duration = Duration::from_hours(1);
const SLACK: Duration = Duration::from_mins(5);

pub(super) async fn set_of(core: &Core) -> KeySet {
    core.key_set().await.unwrap().unwrap().0
}

pub(super) fn states(set: &KeySet) -> Vec<KeyState> {
    set.keys.iter().map(|entry| entry.state).collect()
}

/// The `kid` of the key that this issuer signs with now.
pub(super) async fn signs_with(core: &Core) -> String {
    core.signing().await.unwrap().signer.kid().to_owned()
}

pub(super) async fn rotate(
    issuer: &Issuer,
    algorithm: Option<Algorithm>,
) -> Result<String, Failure> {
    let admin = issuer.admin().await;
    let entry = issuer.core.rotate_signing_key(&admin, algorithm).await?;
    Ok(entry.public.kid().to_owned())
}

pub(super) async fn private_key_is_there(issuer: &Issuer, kid: &str) -> bool {
    let keys = [Key::PrivateKey(kid.to_owned())];
    issuer.store.read(&keys).await.unwrap().pop().unwrap().is_some()
}

fn kid_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_key_is_published_first_and_the_former_verifies_what_it_signed() {
    let issuer = Issuer::start().await;
    let before = issuer.login("admin").await.unwrap().access;
    let former = kid_of(&before);
    let kid = rotate(&issuer, None).await.unwrap();
    assert_ne!(kid, former);
    issuer.advance(PUBLICATION_DELAY - Duration::from_millis(1));
    let waiting = issuer.login("admin").await.unwrap().access;
    assert_eq!(kid_of(&waiting), former);
    assert_eq!(states(&set_of(&issuer.core).await), [KeyState::Signing, KeyState::Published]);

    issuer.advance(VIEW_AGE);
    let after = issuer.login("admin").await.unwrap().access;
    assert_eq!(kid_of(&after), kid);
    assert_eq!(states(&set_of(&issuer.core).await), [KeyState::Retired, KeyState::Signing]);
    for token in [before, waiting, after] {
        assert_eq!(issuer.refusal(&token).await, None);
    }
    assert!(!private_key_is_there(&issuer, &former).await, "it signs nothing more");
}

#[tokio::test]
async fn a_retired_key_leaves_the_set_when_its_last_token_has_expired() {
    let issuer = Issuer::start().await;
    rotate(&issuer, None).await.unwrap();
    issuer.advance(PUBLICATION_DELAY);
    let set = issuer.core.tend_keys().await.unwrap().set.clone();
    let end = set.keys[0].verifies_until().unwrap();
    assert_eq!(end, issuer.core.now().after(TTL).after(SLACK));
    issuer.advance(TTL + SLACK - Duration::from_millis(1));
    assert_eq!(issuer.core.tend_keys().await.unwrap().set.keys.len(), 2);
    issuer.advance(Duration::from_millis(1));
    assert_eq!(states(&issuer.core.tend_keys().await.unwrap().set), [KeyState::Signing]);
}

#[tokio::test]
async fn a_rotation_asked_for_twice_is_one() {
    let issuer = Issuer::start().await;
    let one = rotate(&issuer, Some(Algorithm::EdDsa)).await.unwrap();
    assert_eq!(rotate(&issuer, Some(Algorithm::EdDsa)).await.unwrap(), one);
    let other = rotate(&issuer, Some(Algorithm::Es256)).await.unwrap_err();
    assert!(matches!(other, Failure::RotationUnderWay));
    assert_eq!(set_of(&issuer.core).await.keys.len(), 2);
}

#[tokio::test]
async fn a_rotation_changes_the_algorithm() {
    let issuer = Issuer::start().await;
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let kid = rotate(&issuer, Some(algorithm)).await.unwrap();
        issuer.advance(PUBLICATION_DELAY);
        let token = issuer.login("admin").await.unwrap().access;
        assert_eq!(kid_of(&token), kid);
        assert_eq!(issuer.refusal(&token).await, None);
        assert_eq!(set_of(&issuer.core).await.signing().unwrap().public.algorithm(), algorithm);
    }
}

async fn several(issuer: &Issuer, rules: impl Fn() -> KeyRules) -> Vec<Arc<Core>> {
    let mut cores = vec![issuer.core.clone()];
    for _ in 0..3 {
        cores.push(issuer.another(rules()).await);
    }
    cores
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_issuers_exactly_one_rotates_by_age_and_all_sign_with_the_new_key() {
    let period = Duration::from_hours(24);
    let rules = || KeyRules { rotation_period: Some(period), ..key_rules() };
    let issuer = Issuer::start_with(rules()).await;
    let cores = several(&issuer, rules).await;
    let first = signs_with(&issuer.core).await;
    for round in 1..=3 {
        at_once(&cores, |core| async move { core.rotate_by_age().await.unwrap() }).await;
        assert!(set_of(&issuer.core).await.waiting().is_none(), "not old enough");
        issuer.advance(period);
        at_once(&cores, |core| async move { core.rotate_by_age().await.unwrap() }).await;
        let set = set_of(&issuer.core).await;
        let waiting = set.keys.iter().filter(|entry| entry.state == KeyState::Published);
        assert_eq!(waiting.count(), 1, "round {round}");
        let kid = set.waiting().unwrap().public.kid().to_owned();
        issuer.advance(PUBLICATION_DELAY);
        let expected = kid.clone();
        at_once(&cores, |core| {
            let expected = expected.clone();
            async move {
                core.tend_keys().await.unwrap();
                assert_eq!(signs_with(&core).await, expected);
            }
        })
        .await;
        assert_ne!(kid, first);
    }
}

/// Does the same at every issuer at once.
async fn at_once<F>(cores: &[Arc<Core>], act: impl Fn(Arc<Core>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<_> = cores.iter().map(|core| tokio::spawn(act(core.clone()))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn an_issuer_with_an_old_view_looks_before_it_signs() {
    let issuer = Issuer::start().await;
    let other = issuer.another(key_rules()).await;
    let former = signs_with(&other).await;
    let kid = rotate(&issuer, None).await.unwrap();
    issuer.advance(PUBLICATION_DELAY);
    issuer.core.tend_keys().await.unwrap();
    assert_eq!(signs_with(&other).await, kid, "its view was {PUBLICATION_DELAY:?} old");
    assert_ne!(kid, former);

    issuer.advance(VIEW_AGE);
    issuer.store.fail_reads(true);
    let unknown = other.signing().await.err().unwrap();
    assert!(matches!(unknown, Failure::StoreUnavailable(_)), "it does not sign blindly");
    issuer.clock.set(crate::testing::START);
    assert!(other.signing().await.is_err(), "a clock set back makes no view young");
}

#[tokio::test]
async fn a_rotation_that_dies_between_two_writes_leaves_a_key_that_signs() {
    for writes in 0..8 {
        let issuer = Issuer::start().await;
        let admin = issuer.admin().await;
        issuer.store.die_after(writes);
        let _ = issuer.core.rotate_signing_key(&admin, None).await;
        issuer.advance(PUBLICATION_DELAY);
        let _ = issuer.core.tend_keys().await;
        issuer.store.live();
        let restarted = issuer.another(key_rules()).await;
        let kid = signs_with(&restarted).await;
        let set = set_of(&restarted).await;
        assert_eq!(set.signing().unwrap().public.kid(), kid, "after {writes} writes");
        let token = issuer.login("admin").await.unwrap().access;
        assert_eq!(issuer.refusal(&token).await, None);
    }
}

#[tokio::test]
async fn a_waiting_key_that_can_not_be_opened_does_not_sign() {
    let issuer = Issuer::start().await;
    let former = signs_with(&issuer.core).await;
    let kid = rotate(&issuer, None).await.unwrap();
    let place = Key::PrivateKey(kid.clone());
    let old = issuer.store.read(std::slice::from_ref(&place)).await.unwrap().pop().unwrap();
    issuer.store.swap(&place, old.as_deref(), Some(b"damaged"), None).await.unwrap();
    issuer.advance(PUBLICATION_DELAY);
    assert_eq!(signs_with(&issuer.core).await, former);
    let restarted = issuer.another(key_rules()).await;
    assert_eq!(signs_with(&restarted).await, former);
    issuer.core.retire_signing_key(&issuer.admin().await, &kid, false).await.unwrap();
    let next = rotate(&issuer, None).await.unwrap();
    issuer.advance(PUBLICATION_DELAY);
    assert_eq!(signs_with(&restarted).await, next);
}

fn sealed_with(present: char, others: &str) -> KeyRules {
    let key = |digit: char| digit.to_string().repeat(64).parse().unwrap();
    let encryption =
        EncryptionKeys { present: Some(key(present)), others: others.chars().map(key).collect() };
    KeyRules { encryption, ..key_rules() }
}

#[tokio::test]
async fn a_new_key_encryption_key_seals_every_private_key_anew() {
    let issuer = Issuer::start_with(sealed_with('a', "")).await;
    let signing = signs_with(&issuer.core).await;
    let waiting = rotate(&issuer, None).await.unwrap();
    issuer.another(sealed_with('b', "a")).await;
    let only_new = issuer.another(sealed_with('b', "")).await;
    assert_eq!(signs_with(&only_new).await, signing);
    issuer.advance(PUBLICATION_DELAY);
    assert_eq!(signs_with(&only_new).await, waiting);
}

#[tokio::test]
async fn an_imported_key_is_published_once_and_never_returns() {
    let issuer = Issuer::start().await;
    let key = PrivateKey::generate(Algorithm::EdDsa, &SystemRandom::new()).unwrap();
    let kid = key.public().kid();
    for _ in 0..2 {
        issuer.core.import_signing_key(&key).await.unwrap();
        assert_eq!(states(&set_of(&issuer.core).await), [KeyState::Signing, KeyState::Published]);
    }
    issuer.advance(PUBLICATION_DELAY);
    assert_eq!(signs_with(&issuer.core).await, kid);
    issuer.core.retire_signing_key(&issuer.admin().await, kid, true).await.unwrap();
    issuer.core.import_signing_key(&key).await.unwrap();
    assert!(set_of(&issuer.core).await.by_kid(kid).is_none());
    assert_ne!(signs_with(&issuer.core).await, kid);
}
