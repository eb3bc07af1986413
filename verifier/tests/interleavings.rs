//! The core of the verifier's memory under every interleaving of its threads, tried out
//! one by one by loom, memory orderings included.
//!
//! The view is the one that ships: only its atomics are loom's. The server is a number
//! that a writer replaces; it tells the view, and then proves an instant, in the order in
//! which a connection brings those.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use crate::view::{Birth, Stripe, View};

#[expect(dead_code, reason = "not all of it is under test")]
#[path = "../src/memory/view.rs"]
mod view;

mod sync {
    pub(crate) use loom::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };
}

const STRIPE: Stripe = Stripe(1);
const OLD: u64 = 1;
const NEW: u64 = 2;
/// Covers the change from OLD to NEW.
const INSTANT: u64 = 7;

struct World {
    view: View,
    server: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { view: View::new(3), server: AtomicU64::new(OLD) })
    }

    /// The record changes, and that is told.
    fn change(&self) {
        self.server.store(NEW, SeqCst);
        self.view.change(STRIPE);
    }

    /// As [`Self::change`], and then an instant after it is proven.
    fn change_and_prove(&self) {
        self.change();
        self.view.prove(INSTANT);
    }

    /// What a fill puts into the map.
    fn fill(&self) -> (Birth, u64) {
        let birth = self.view.birth();
        (birth, self.server.load(SeqCst))
    }
}

fn in_the_background(world: &Arc<World>, task: fn(&World)) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || task(&world))
}

#[test]
fn a_fill_that_began_before_a_change_never_lands_after_it() {
    loom::model(|| {
        let world = World::new();
        let changing = in_the_background(&world, World::change);
        let (birth, value) = world.fill();
        changing.join().unwrap();
        let lands = world.view.is_unchanged(STRIPE, birth);
        assert!(!lands || value == NEW, "an old copy outlived the change");
    });
}

#[test]
fn a_fill_that_began_before_everything_changed_never_lands_after_it() {
    loom::model(|| {
        let world = World::new();
        let changing = in_the_background(&world, |world| {
            world.server.store(NEW, SeqCst);
            world.view.change_all();
        });
        let (birth, value) = world.fill();
        changing.join().unwrap();
        assert!(!world.view.is_unchanged(STRIPE, birth) || value == NEW);
    });
}

#[test]
fn of_two_changes_the_later_one_stands() {
    loom::model(|| {
        let world = World::new();
        let birth = world.view.birth();
        let tasks = [(); 2].map(|()| in_the_background(&world, |w| w.view.change(STRIPE)));
        for task in tasks {
            task.join().unwrap();
        }
        assert!(!world.view.is_unchanged(STRIPE, birth));
        assert!(world.view.is_unchanged(STRIPE, world.view.birth()));
    });
}

#[test]
fn who_sees_a_proof_sees_every_change_that_it_covers() {
    loom::model(|| {
        let world = World::new();
        let (birth, value) = world.fill();
        assert_eq!(value, OLD);
        let telling = in_the_background(&world, World::change_and_prove);
        let proof = world.view.proof();
        let would_grant = world.view.is_unchanged(STRIPE, birth);
        assert!(!would_grant || proof < INSTANT, "an old copy under a proof of the change");
        telling.join().unwrap();
    });
}

/// The model would find the fault that the order of the two looks is there to prevent.
#[test]
#[should_panic(expected = "an old copy under a proof of the change")]
fn a_look_at_the_stripes_before_the_proof_would_be_wrong() {
    loom::model(|| {
        let world = World::new();
        let (birth, _) = world.fill();
        let telling = in_the_background(&world, World::change_and_prove);
        let would_grant = world.view.is_unchanged(STRIPE, birth);
        let proof = world.view.proof();
        assert!(!would_grant || proof < INSTANT, "an old copy under a proof of the change");
        telling.join().unwrap();
    });
}

/// And the fault of a birth that is read after the record.
#[test]
#[should_panic(expected = "an old copy outlived the change")]
fn a_birth_after_the_read_would_be_wrong() {
    loom::model(|| {
        let world = World::new();
        let changing = in_the_background(&world, World::change);
        let value = world.server.load(SeqCst);
        let birth = world.view.birth();
        changing.join().unwrap();
        let lands = world.view.is_unchanged(STRIPE, birth);
        assert!(!lands || value == NEW, "an old copy outlived the change");
    });
}

/// What is made from a copy that is held bears a birth of its own (`memory/learning.rs`).
#[test]
fn what_is_made_of_a_held_copy_never_outlives_its_change() {
    loom::model(|| {
        let world = World::new();
        let (held, value) = world.fill();
        let changing = in_the_background(&world, World::change);
        let birth = world.view.birth();
        let made = world.view.is_unchanged(STRIPE, held).then_some(value);
        changing.join().unwrap();
        let lands = world.view.is_unchanged(STRIPE, birth);
        assert!(!lands || made != Some(OLD), "an old copy outlived the change");
    });
}
