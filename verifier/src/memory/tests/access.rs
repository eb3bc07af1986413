//! Access tokens: what they rest on is the key set and the revocations.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tessera_shared::examine::Reason;

use super::World;
use crate::{
    memory::finding::CHECKS_AT_A_TIME,
    testing::{Access, NOW},
};

#[tokio::test]
async fn access_tokens_need_no_read_once_the_memory_is_warm() {
    let world = World::new();
    let access = Access::new(&world.store);
    world.memory.warm().await.unwrap();
    world.store.reads();
    for _ in 0..3 {
        assert_eq!(world.ask(&access.token()).await.unwrap(), None);
    }
    assert_eq!(world.store.reads(), 0);
}

#[tokio::test]
async fn a_session_that_ends_takes_its_access_tokens_along() {
    let world = World::new();
    let access = Access::new(&world.store);
    world.memory.warm().await.unwrap();
    let token = access.token();
    assert_eq!(world.ask(&token).await.unwrap(), None);
    access.end(&world.store);
    world.store.reads();
    for _ in 0..3 {
        assert_eq!(world.ask(&token).await.unwrap(), Some(Reason::Revoked));
    }
    assert_eq!(world.store.reads(), 1, "the bucket that changed");
}

#[tokio::test]
async fn a_key_that_leaves_the_set_takes_its_access_tokens_along() {
    let world = World::new();
    let access = Access::new(&world.store);
    let token = access.token();
    assert_eq!(world.ask(&token).await.unwrap(), None);
    Access::new(&world.store);
    assert_eq!(world.ask(&token).await.unwrap(), Some(Reason::BadSignature));
}

#[tokio::test]
async fn unknown_keys_cost_no_read_while_the_view_is_proven() {
    let world = World::new();
    Access::new(&world.store);
    world.memory.warm().await.unwrap();
    let other = World::new();
    let forged = Access::new(&other.store);
    world.store.reads();
    for _ in 0..100 {
        assert_eq!(world.ask(&forged.token()).await.unwrap(), Some(Reason::BadSignature));
    }
    assert_eq!(world.store.reads(), 0);
}

#[tokio::test]
async fn a_batch_of_signatures_to_check_lets_others_in_between() {
    let world = World::new();
    let access = Access::new(&world.store);
    world.memory.warm().await.unwrap();
    let tokens: Vec<_> = (0..100).map(|_| access.token()).collect();
    let questions: Vec<_> = tokens.iter().map(|token| (token.as_str(), Duration::MAX)).collect();
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = turns.clone();
        async move {
            loop {
                turns.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let found = world.memory.find_all(&questions).await.unwrap();
    assert!(found.iter().all(|found| found.verdict(NOW).is_ok()));
    let turns = turns.load(Relaxed);
    other.abort();
    assert!(turns >= tokens.len() / CHECKS_AT_A_TIME, "{turns} turns");
}
