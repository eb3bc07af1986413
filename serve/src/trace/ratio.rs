//! One request in so many, by a cheap throw of dice.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

thread_local! {
    /// Never zero.
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish() | 1);
}

/// How many of 2⁶⁴ throws pick; all of them, if it is the largest number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio(u64);

impl Ratio {
    pub(super) fn of(ratio: f64) -> Self {
        // What is beyond the range becomes the end of it.
        Self((ratio * 2_f64.powi(64)) as u64)
    }

    /// Whether this one is picked. Nobody is harmed by who foresees that: no caller is told.
    pub(super) fn picks(self) -> bool {
        self.0 == u64::MAX || throw() < self.0
    }
}

/// Marsaglia's xorshift64, with Vigna's multiplier: a few nanoseconds, and no lock.
fn throw() -> u64 {
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_all_or_about_as_many_as_asked_are_picked() {
        let picked = |ratio| (0..100_000).filter(|_| Ratio::of(ratio).picks()).count();
        assert_eq!((picked(0.0), picked(1.0)), (0, 100_000));
        // 1,000 expected; the deviation is 31.
        assert!((700..1_300).contains(&picked(0.01)));
    }
}
