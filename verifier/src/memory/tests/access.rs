//! Access tokens: what they rest on is the key set and the revocations.

use tessera_shared::examine::Reason;

use super::World;
use crate::testing::Access;

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
