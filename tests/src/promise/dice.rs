//! Chance that repeats: the same seed makes the same choices.

use std::{ops::RangeInclusive, time::Duration};

use tessera_shared::clock::{Clock as _, SystemClock};

/// Another seed each time: every run looks where none has looked before.
pub fn any_seed() -> u64 {
    let now = SystemClock.now().millis().unsigned_abs();
    Dice::new(now, u64::from(std::process::id())).roll() >> 32
}

/// A small generator of numbers (SplitMix64, Steele et al., OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The generator of one task: its choices depend on nothing that others do.
    pub fn new(seed: u64, task: u64) -> Self {
        let mut dice = Self(seed ^ task.wrapping_mul(0xA24B_AED4_963E_E407));
        dice.roll();
        dice
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end).unwrap()).unwrap()
    }

    /// Whether it happens, `percent` times of 100.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A span of so many milliseconds.
    pub fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        let width = range.end() - range.start() + 1;
        Duration::from_millis(range.start() + self.roll() % width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_task_choose_the_same_and_others_do_not() {
        let choices = |seed, task| {
            let mut dice = Dice::new(seed, task);
            std::array::from_fn::<_, 8, _>(|_| dice.roll())
        };
        assert_eq!(choices(1, 2), choices(1, 2));
        assert_ne!(choices(1, 2), choices(1, 3));
        assert_ne!(choices(1, 2), choices(2, 2));
    }

    #[test]
    fn a_span_is_within_its_range_and_reaches_both_ends() {
        let mut dice = Dice::new(7, 0);
        let spans: Vec<_> = (0..100).map(|_| dice.millis(3..=5).as_millis()).collect();
        assert!(spans.iter().all(|span| (3..=5).contains(span)));
        assert!([3, 4, 5].iter().all(|span| spans.contains(span)));
    }
}
