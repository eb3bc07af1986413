//! How much of what is held is still true, and since when that is known.
//!
//! The rule that no fill breaks: **a copy bears the number of the last change that was
//! told before its read was sent.** Every change gets the next number, leaves it on
//! the stripe of its key, and then lets it be seen: in that order, since what is made of a copy
//! that is held bears a birth of its own, and is looked at before it is made. So a copy is good while no stripe that it rests on bears a
//! higher number, and there is nothing to remove, and no order in which a slow
//! read and a quick change could go wrong: a copy from before the change is born dead.
//! Keys share stripes; a neighbour's change costs a read, never an answer.
//!
//! The second rule: **the proof is read before the stripes.** The store tells all
//! changes up to an instant, and then proves that instant. Who sees the proof first sees
//! the stripes as the proof found them, or newer.
//!
//! The module knows no clock and no store, so that its interleavings can be tried
//! out one by one (`tests/interleavings.rs`).

use super::sync::{
    AtomicU64, Mutex,
    Ordering::{AcqRel, Acquire},
};

/// The number of the last change that was told before a read was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth(u64);

/// Stands for the keys that are invalidated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stripe(pub(crate) u16);

/// A proof that is never too old, of a store that tells before it acknowledges.
pub(crate) const ALWAYS: u64 = u64::MAX;

/// The changes of one store, as they are told.
pub(crate) struct View {
    changes: AtomicU64,
    /// Of those who tell changes: each has a number to itself.
    turn: Mutex<()>,
    last_change: Box<[AtomicU64]>,
    /// In nanoseconds after the start of the process; 0: never.
    proven: AtomicU64,
}

impl View {
    pub(crate) fn new(stripes: u16) -> Self {
        let last_change = (0..stripes).map(|_| AtomicU64::new(0)).collect();
        Self {
            changes: AtomicU64::new(0),
            turn: Mutex::new(()),
            last_change,
            proven: AtomicU64::new(0),
        }
    }

    /// Call it before the read is sent.
    pub(crate) fn birth(&self) -> Birth {
        Birth(self.changes.load(Acquire))
    }

    /// Whether no change to `stripe` was told since. Call it after [`Self::proof`].
    pub(crate) fn is_unchanged(&self, stripe: Stripe, birth: Birth) -> bool {
        let last_change = self.last_change.get(usize::from(stripe.0));
        last_change.is_some_and(|last_change| last_change.load(Acquire) <= birth.0)
    }

    /// The latest instant up to which all changes are told.
    pub(crate) fn proof(&self) -> u64 {
        self.proven.load(Acquire)
    }

    /// A key of `stripe` changed.
    pub(crate) fn change(&self, stripe: Stripe) {
        let _turn = self.turn.lock();
        let change = self.changes.load(Acquire) + 1;
        if let Some(last_change) = self.last_change.get(usize::from(stripe.0)) {
            last_change.fetch_max(change, AcqRel);
        }
        self.changes.fetch_max(change, AcqRel);
    }

    /// Any key may have changed.
    pub(crate) fn change_all(&self) {
        let _turn = self.turn.lock();
        let change = self.changes.load(Acquire) + 1;
        for last_change in &self.last_change {
            last_change.fetch_max(change, AcqRel);
        }
        self.changes.fetch_max(change, AcqRel);
    }

    /// All changes up to `instant` have been told.
    pub(crate) fn prove(&self, instant: u64) {
        self.proven.fetch_max(instant, AcqRel);
    }
}
