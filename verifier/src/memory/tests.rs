//! The memory over a store that a test holds in its hand.

mod access;
mod flights;
mod foreign;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use prost::Message as _;
use ring::rand::SystemRandom;
use tessera_shared::{
    clock::ManualClock,
    examine::Reason,
    id::{AccountId, UserId},
    opaque::Opaque,
    record::{OlderSecret, PermanentToken, User},
    role::Catalogue,
    store::{Key, StoreError},
};

use super::Memory;
use crate::testing::{FakeStore, NOW};

/// No test is so slow that a view proven in it is older than this.
const BOUND: Duration = Duration::from_secs(600);

pub(super) struct World {
    pub(super) store: Arc<FakeStore>,
    clock: Arc<ManualClock>,
    pub(super) memory: Arc<Memory>,
}

impl World {
    /// A memory with a view that is proven now.
    pub(super) fn new() -> Self {
        let world = Self::unproven(1 << 20, BOUND);
        world.prove();
        world
    }

    fn unproven(bytes: u64, bound: Duration) -> Self {
        let (store, clock) = (FakeStore::telling(), Arc::new(ManualClock::at(NOW)));
        store.put_owner();
        let opaque = Opaque::new("tessera");
        let memory = Memory::new(store.clone(), clock.clone(), opaque, bound, bytes);
        Self { store, clock, memory }
    }

    fn prove(&self) {
        self.store.follower().unwrap().proven(Instant::now());
    }

    pub(super) async fn ask(&self, token: &str) -> Result<Option<Reason>, StoreError> {
        self.ask_within(token, Duration::MAX).await
    }

    pub(super) async fn ask_within(
        &self,
        token: &str,
        limit: Duration,
    ) -> Result<Option<Reason>, StoreError> {
        let found = self.memory.find(token, limit).await?;
        let now = tessera_shared::clock::Clock::now(&*self.clock);
        Ok(found.verdict(now).err())
    }
}

/// Returns when more than this is over.
fn pass(span: Duration) {
    let begun = Instant::now();
    while begun.elapsed() <= span {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_was_seen_before_is_answered_with_no_read() {
    let world = World::new();
    let good = world.store.put_token(7, |_| {});
    let revoked = world.store.put_token(8, |token| token.revoked_at = 1);
    assert_eq!(world.ask(&good).await.unwrap(), None);
    assert_eq!(world.ask(&revoked).await.unwrap(), Some(Reason::Revoked));
    world.store.reads();
    world.store.cut();
    assert_eq!(world.ask(&good).await.unwrap(), None);
    assert_eq!(world.ask(&revoked).await.unwrap(), Some(Reason::Revoked));
    assert_eq!(world.store.reads(), 0);
}

#[tokio::test]
async fn one_read_is_enough_once_the_owner_is_known() {
    let world = World::new();
    let tokens: Vec<_> = (7..17).map(|id| world.store.put_token(id, |_| {})).collect();
    world.ask(&tokens[0]).await.unwrap();
    world.store.reads();
    for token in &tokens[1..] {
        assert_eq!(world.ask(token).await.unwrap(), None);
    }
    assert_eq!(world.store.reads(), 9);
}

#[tokio::test]
async fn a_change_that_is_told_is_seen_at_once_whatever_it_is() {
    let world = World::new();
    let token = world.store.put_token(7, |_| {});
    assert_eq!(world.ask(&token).await.unwrap(), None);
    let user = |disabled| User { id: 1, account: 1, role: 1, disabled, ..User::default() };
    for (disabled, verdict) in [(true, Some(Reason::PrincipalDisabled)), (false, None)] {
        world.store.put(UserId::FIRST, user(disabled).encode_to_vec());
        assert_eq!(world.ask(&token).await.unwrap(), verdict);
    }
    let account = |disabled| tessera_shared::record::Account { id: 1, disabled, ..<_>::default() };
    for (disabled, verdict) in [(true, Some(Reason::PrincipalDisabled)), (false, None)] {
        world.store.put(AccountId::FIRST, account(disabled).encode_to_vec());
        assert_eq!(world.ask(&token).await.unwrap(), verdict);
    }
    let mut toml = String::from("roles = [{id=1,name='A',scopes=['tessera:admin']},");
    toml.push_str("{id=3022,name='P',scopes=['cdn:other']}]");
    world.store.put(Key::Roles, Catalogue::from_toml(&toml).unwrap().to_bytes());
    let found = world.memory.find(&token, Duration::MAX).await.unwrap();
    assert_eq!(found.verdict(NOW).unwrap().terms().scopes.iter().count(), 0, "not the owner's");
}

#[tokio::test]
async fn a_fill_that_began_before_a_change_never_lands_after_it() {
    let world = World::new();
    let token = world.store.put_token(7, |_| {});
    let record = |revoked_at| {
        let hash = tessera_shared::opaque::TokenHash::of(&token).as_bytes().to_vec();
        PermanentToken { id: 7, account: 1, user: 1, hash, revoked_at, ..<_>::default() }
    };
    let revoked = record(1).encode_to_vec();
    let id: tessera_shared::id::TokenId = 7.try_into().unwrap();
    // The record was looked up as it was; then it is revoked, and that is told, before
    // the answer arrives.
    world.store.meanwhile({
        let store = Arc::downgrade(&world.store);
        move || store.upgrade().unwrap().put(id, revoked.clone())
    });
    let racing = world.ask(&token).await.unwrap();
    assert_eq!(racing, Some(Reason::Revoked), "what was told meanwhile speaks against it");
    world.store.meanwhile(|| ());
    assert_eq!(world.ask(&token).await.unwrap(), Some(Reason::Revoked));
}

#[tokio::test]
async fn a_view_that_is_not_proven_asks_the_store_each_time() {
    let world = World::unproven(1 << 20, BOUND);
    let token = world.store.put_token(7, |_| {});
    for _ in 0..3 {
        world.store.reads();
        assert_eq!(world.ask(&token).await.unwrap(), None);
        assert_eq!(world.store.reads(), 2);
    }
    world.store.cut();
    assert!(matches!(world.ask(&token).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_view_past_the_bound_asks_the_store_each_time() {
    const SHORT: Duration = Duration::from_millis(500);
    let world = World::unproven(1 << 20, SHORT);
    world.prove();
    pass(SHORT);
    let token = world.store.put_token(7, |_| {});
    assert_eq!(world.ask(&token).await.unwrap(), None);
    world.store.cut();
    assert!(matches!(world.ask(&token).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_caller_that_wants_no_staleness_has_the_store_read() {
    let world = World::new();
    let token = world.store.put_token(7, |_| {});
    assert_eq!(world.ask(&token).await.unwrap(), None);
    let id: tessera_shared::id::TokenId = 7.try_into().unwrap();
    let revoked = PermanentToken {
        id: 7,
        account: 1,
        user: 1,
        hash: tessera_shared::opaque::TokenHash::of(&token).as_bytes().to_vec(),
        revoked_at: 1,
        ..<_>::default()
    };
    world.store.put_silently(id, revoked.encode_to_vec());
    assert_eq!(world.ask(&token).await.unwrap(), None, "the word of it is on its way");
    let fresh = world.ask_within(&token, Duration::ZERO).await.unwrap();
    assert_eq!(fresh, Some(Reason::Revoked));
}

#[tokio::test]
async fn many_who_ask_the_same_ask_the_store_once() {
    let world = World::new();
    let warm = world.store.put_token(6, |_| {});
    world.ask(&warm).await.unwrap();
    world.store.reads();
    let token = world.store.put_token(7, |_| {});
    let asking = (0..100).map(|_| world.ask(&token));
    for verdict in futures_util::future::join_all(asking).await {
        assert_eq!(verdict.unwrap(), None);
    }
    assert_eq!(world.store.reads(), 1);
}

#[tokio::test]
async fn an_outage_is_not_remembered() {
    let world = World::new();
    let token = world.store.put_token(7, |_| {});
    world.store.cut();
    assert!(world.ask(&token).await.is_err());
    world.store.mend();
    assert_eq!(world.ask(&token).await.unwrap(), None);
}

#[tokio::test]
async fn time_is_asked_at_each_use() {
    let world = World::new();
    let later = NOW.after(Duration::from_secs(1));
    let expiring = world.store.put_token(7, |token| token.expires_at = later.millis());
    let beginning = world.store.put_token(8, |token| token.not_before = later.millis());
    let replaced = world.store.put_token(9, |token| {
        token.previous_hash = std::mem::take(&mut token.hash);
        token.previous_expires_at = later.millis();
    });
    let verdicts = async || {
        let mut verdicts = Vec::new();
        for token in [&expiring, &beginning, &replaced] {
            verdicts.push(world.ask(token).await.unwrap());
        }
        verdicts
    };
    assert_eq!(verdicts().await, [None, Some(Reason::NotYetValid), None]);
    world.clock.set(later);
    world.store.cut();
    let replaced = Reason::Replaced(9.try_into().unwrap());
    assert_eq!(verdicts().await, [Some(Reason::Expired), None, Some(replaced)]);
}

#[tokio::test]
async fn what_is_kept_of_a_replaced_secret_ends_with_its_own_overlap() {
    let world = World::new();
    let [soon, later] = [1, 2].map(|seconds| NOW.after(Duration::from_secs(seconds)));
    let other = Opaque::new("tessera").permanent(7.try_into().unwrap(), &SystemRandom::new());
    let other = other.unwrap();
    let oldest = world.store.put_token(7, |token| {
        let hash = std::mem::take(&mut token.hash);
        token.older = vec![OlderSecret { version: 1, hash, expires_at: later.millis() }];
        token.previous_hash = other.hash().as_bytes().to_vec();
        (token.previous_expires_at, token.secret_version) = (soon.millis(), 3);
    });
    let verdicts =
        async || [world.ask(&oldest).await.unwrap(), world.ask(other.expose()).await.unwrap()];
    assert_eq!(verdicts().await, [None, None]);
    world.store.cut();
    let replaced = Some(Reason::Replaced(7.try_into().unwrap()));
    world.clock.set(soon);
    assert_eq!(verdicts().await, [None, replaced]);
    world.clock.set(later);
    assert_eq!(verdicts().await, [replaced, replaced]);
}

#[tokio::test]
async fn a_flood_of_bogus_tokens_pushes_out_no_good_one() {
    let world = World::new();
    let good: Vec<_> = (1..100).map(|id| world.store.put_token(id, |_| {})).collect();
    for token in &good {
        world.ask(token).await.unwrap();
    }
    for id in 1_000..6_000 {
        let bogus = Opaque::new("tessera").permanent(id.try_into().unwrap(), &SystemRandom::new());
        let verdict = world.ask(bogus.unwrap().expose()).await.unwrap();
        assert_eq!(verdict, Some(Reason::Unknown));
    }
    world.store.cut();
    for token in &good {
        assert_eq!(world.ask(token).await.unwrap(), None);
    }
    assert!(world.memory.refused.weight() <= world.memory.refused.capacity());
}

#[tokio::test]
async fn a_batch_reads_all_that_it_lacks_at_once() {
    let world = World::new();
    let tokens: Vec<_> = (1..=100).map(|id| world.store.put_token(id, |_| {})).collect();
    world.store.reads();
    let questions: Vec<_> = tokens.iter().map(|token| (token.as_str(), Duration::MAX)).collect();
    for found in world.memory.find_all(&questions).await.unwrap() {
        assert!(found.verdict(NOW).is_ok());
    }
    assert_eq!(world.store.reads(), 2, "the tokens, and their owner");
    world.store.cut();
    assert_eq!(world.memory.find_all(&questions).await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_batch_that_took_long_looks_again_at_what_it_found_first() {
    const SHORT: Duration = Duration::from_millis(200);
    let world = World::unproven(1 << 20, SHORT);
    let (held, other) = (world.store.put_token(7, |_| {}), world.store.put_token(8, |_| {}));
    world.prove();
    world.ask(&held).await.unwrap();
    let (store, begun) = (Arc::downgrade(&world.store), AtomicBool::new(false));
    world.store.meanwhile(move || {
        let Some(store) = store.upgrade().filter(|_| !begun.swap(true, Relaxed)) else { return };
        pass(SHORT);
        store.put_token(7, |token| token.revoked_at = 1);
        store.follower().unwrap().proven(Instant::now());
    });
    world.prove();
    let questions = [&held, &other].map(|token| (token.as_str(), Duration::MAX));
    let found = world.memory.find_all(&questions).await.unwrap();
    assert!(found[0].verdict(NOW).is_err(), "it was held a bound ago");
    assert!(found[1].verdict(NOW).is_ok());
}

#[tokio::test]
async fn what_tokens_share_is_counted_as_well() {
    let world = World::new();
    for id in 1..300 {
        let audiences = (0..16).map(|n| format!("{id}-{n}-{}", "a".repeat(240))).collect();
        let token = world.store.put_token(id, |token| token.audiences = audiences);
        assert_eq!(world.ask(&token).await.unwrap(), None);
    }
    let Memory { granted, grants, .. } = &*world.memory;
    assert!(granted.weight() + grants.weight() <= 1 << 20);
    // Each of them alone takes 8 kB.
    assert!(granted.len() < 200, "{} are held", granted.len());
}
