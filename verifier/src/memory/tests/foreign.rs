//! Strings of other systems: none is looked for unless one was imported.

use std::time::Duration;

use prost::Message as _;
use tessera_shared::{
    examine::Reason,
    opaque::TokenHash,
    record::{Foreign, Imports},
    store::Key,
};

use super::World;

const PLAIN: &str = "old-system-0123456789abcdef";

fn import(world: &World, plain: &str, id: i64) {
    let hash = *TokenHash::of(plain).as_bytes();
    world.store.put_token(id, |token| token.hash = hash.to_vec());
    world.store.put(Key::Foreign(hash), Foreign { token: id, forget_at: 0 }.encode_to_vec());
    world.store.put(Key::Imports, Imports { since: 1 }.encode_to_vec());
}

#[tokio::test]
async fn a_flood_of_bogus_strings_reads_nothing_where_nothing_was_imported() {
    let world = World::new();
    world.memory.warm().await.unwrap();
    world.store.reads();
    for number in 0..1000 {
        let bogus = format!("a-bogus-string-{number:020}");
        assert_eq!(world.ask(&bogus).await.unwrap(), Some(Reason::Malformed));
    }
    assert_eq!(world.store.reads(), 0);
}

#[tokio::test]
async fn an_import_is_told_and_its_string_is_good_and_then_held() {
    let world = World::new();
    world.memory.warm().await.unwrap();
    assert_eq!(world.ask(PLAIN).await.unwrap(), Some(Reason::Malformed));
    import(&world, PLAIN, 7);
    assert_eq!(world.ask(PLAIN).await.unwrap(), None);
    world.store.reads();
    world.store.cut();
    assert_eq!(world.ask(PLAIN).await.unwrap(), None);
    assert_eq!(world.store.reads(), 0);
    world.store.mend();
    world.store.put_token(7, |token| token.revoked_at = 1);
    assert_eq!(world.ask(PLAIN).await.unwrap(), Some(Reason::Unknown), "another hash");
}

#[tokio::test]
async fn where_something_was_imported_an_outage_is_no_denial() {
    let world = World::new();
    import(&world, PLAIN, 7);
    world.memory.warm().await.unwrap();
    world.store.cut();
    world.ask("a-string-that-may-be-of-old").await.expect_err("not known");
    let world = World::new();
    world.memory.warm().await.unwrap();
    world.store.cut();
    world.ask_within(PLAIN, Duration::ZERO).await.expect_err("it may have come since");
    // Too short for any, and of our own form: the form alone decides.
    for form in ["short", "tessera_7_mistyped-and-so-not-looked-for"] {
        assert_eq!(world.ask_within(form, Duration::ZERO).await.unwrap(), Some(Reason::Malformed));
    }
}

#[tokio::test]
async fn a_batch_finds_foreign_strings_among_the_others() {
    let world = World::new();
    import(&world, PLAIN, 7);
    let own = world.store.put_token(8, |_| {});
    let questions = [own.as_str(), PLAIN, "a-bogus-string-of-nobody"].map(|it| (it, Duration::MAX));
    let found = world.memory.find_all(&questions).await.unwrap();
    let verdicts: Vec<_> = found.iter().map(|it| it.verdict(crate::testing::NOW).err()).collect();
    assert_eq!(verdicts, [None, None, Some(Reason::Malformed)]);
}
