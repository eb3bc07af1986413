//! A histogram of durations.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The upper bounds of the buckets, in nanoseconds. An answer from memory takes a few
/// microseconds, one that needs the store some hundreds, a password check tens of
/// milliseconds.
const BOUNDS: [u64; 18] = [
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
];

const NANOS: f64 = 1e9;

/// Durations, counted in buckets. To fill it takes two relaxed additions.
#[derive(Debug, Default)]
pub struct Times {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Times {
    /// Counts one duration.
    pub fn observe(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(BOUNDS.partition_point(|bound| *bound < nanos)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.nanos.fetch_add(nanos, Relaxed);
    }

    /// The sum in seconds, and upper bounds in seconds with what is in each bucket; of all
    /// of these together, each duration counted so many times.
    pub(super) fn total(times: &[(&Self, u64)]) -> (f64, Vec<(f64, u64)>) {
        let sum_of = |each: &dyn Fn(&Self) -> u64| {
            times.iter().map(|(times, weight)| each(times).wrapping_mul(*weight)).sum::<u64>()
        };
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / NANOS).chain([f64::INFINITY]);
        let buckets = bounds.enumerate().map(|(place, bound)| {
            let count = |times: &Self| times.buckets.get(place).map_or(0, |one| one.load(Relaxed));
            (bound, sum_of(&count))
        });
        (sum_of(&|times| times.nanos.load(Relaxed)) as f64 / NANOS, buckets.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lies_in_the_first_bucket_that_takes_it_and_a_bound_is_inside() {
        let times = Times::default();
        for nanos in [0, 5_000, 5_001, 5_000_000_000, 5_000_000_001] {
            times.observe(Duration::from_nanos(nanos));
        }
        let (sum, buckets) = Times::total(&[(&times, 1)]);
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(5e-6, 2), (1e-5, 1), (5.0, 1), (f64::INFINITY, 1)]);
        assert!((sum - 10.000_010_002).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn what_is_sampled_counts_for_all_that_it_stands_for() {
        let (all, sampled) = (Times::default(), Times::default());
        all.observe(Duration::from_micros(20));
        sampled.observe(Duration::from_micros(3));
        let (sum, buckets) = Times::total(&[(&all, 1), (&sampled, 64)]);
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 65);
        assert!((sum - (20e-6 + 64.0 * 3e-6)).abs() < 1e-12, "{sum}");
    }
}
