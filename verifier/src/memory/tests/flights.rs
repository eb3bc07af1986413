//! Many who miss at the same time: one read for all of them, and a fault of one record is
//! nobody else's.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tessera_shared::{examine::Reason, id::TokenId, store::StoreError};

use super::World;

fn tokens(world: &World, count: i64) -> Vec<String> {
    (7..7 + count).map(|id| world.store.put_token(id, |_| {})).collect()
}

/// A world that holds the owner of all tokens, and counts from now on.
async fn warmed() -> World {
    let world = World::new();
    let first = world.store.put_token(1_000, |_| {});
    world.ask(&first).await.unwrap();
    world.store.first_arrival().await;
    world.store.reads();
    world
}

#[tokio::test]
async fn who_misses_in_the_same_turn_reads_together() {
    let world = warmed().await;
    let tokens = tokens(&world, 100);
    let twice = tokens.iter().chain(&tokens);
    for verdict in join_all(twice.map(|token| world.ask(token))).await {
        assert_eq!(verdict.unwrap(), None);
    }
    assert_eq!(world.store.reads(), 1);
}

#[tokio::test]
async fn a_flight_has_a_limit_and_the_rest_takes_the_next() {
    let world = warmed().await;
    let tokens = tokens(&world, 300);
    for verdict in join_all(tokens.iter().map(|token| world.ask(token))).await {
        assert_eq!(verdict.unwrap(), None);
    }
    assert_eq!(world.store.reads(), 3, "of 128, 128 and 44");
}

#[tokio::test]
async fn strong_reads_of_the_same_turn_go_together_too() {
    let world = warmed().await;
    let tokens = tokens(&world, 100);
    let asked = tokens.iter().map(|token| world.ask_within(token, Duration::ZERO));
    for verdict in join_all(asked).await {
        assert_eq!(verdict.unwrap(), None);
    }
    assert_eq!(world.store.reads(), 2, "the tokens, and then their owners");
}

#[tokio::test]
async fn a_strong_read_never_joins_one_that_was_sent_before_it() {
    let world = warmed().await;
    let token = tokens(&world, 1).remove(0);
    // Neither look-up gets its answer before both are under way.
    world.store.gather(2);
    let (memory, plain) = (world.memory.clone(), token.clone());
    let first = tokio::spawn(async move { memory.find(&plain, Duration::ZERO).await.map(drop) });
    world.store.first_arrival().await;
    assert_eq!(world.ask_within(&token, Duration::ZERO).await.unwrap(), None);
    first.await.unwrap().unwrap();
    assert_eq!(world.store.reads(), 4, "two of the token, two of its owner");
}

#[tokio::test]
async fn a_damaged_record_is_the_fault_of_its_own_token_alone() {
    let world = warmed().await;
    let tokens = tokens(&world, 10);
    let damaged: TokenId = 12.try_into().unwrap();
    world.store.put(damaged, vec![0xff; 4]);
    let verdicts = join_all(tokens.iter().map(|token| world.ask(token))).await;
    for (number, verdict) in verdicts.into_iter().enumerate() {
        match verdict {
            Ok(verdict) => assert_eq!(verdict, None),
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
                assert_eq!(number, 5);
            }
        }
    }
}

#[tokio::test]
async fn an_outage_is_everybodys_and_is_over_when_it_is_over() {
    let world = warmed().await;
    let tokens = tokens(&world, 10);
    world.store.cut();
    for verdict in join_all(tokens.iter().map(|token| world.ask(token))).await {
        assert!(matches!(verdict, Err(StoreError::Unavailable(_))));
    }
    world.store.mend();
    for verdict in join_all(tokens.iter().map(|token| world.ask(token))).await {
        assert_eq!(verdict.unwrap(), None);
    }
}

/// The look-up goes on for the others; nobody waits for ever.
#[tokio::test]
async fn callers_that_give_up_take_nobody_along() {
    let world = warmed().await;
    let tokens = Arc::new(tokens(&world, 2));
    world.store.gather(2);
    let asking = |number: usize| {
        let (memory, tokens) = (world.memory.clone(), tokens.clone());
        tokio::spawn(async move { memory.find(&tokens[number], Duration::MAX).await })
    };
    let (gives_up, stays) = (asking(0), asking(1));
    world.store.first_arrival().await;
    gives_up.abort();
    world.store.release().await;
    let found = stays.await.unwrap().unwrap();
    assert_eq!(found.verdict(crate::testing::NOW).err(), None::<Reason>);
    assert_eq!(world.ask(&tokens[0]).await.unwrap(), None);
}
