//! When each request is meant to be sent.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

const SECOND: u128 = 1_000_000_000;

/// Requests at even distances. Each time is reckoned from the start, so that no error
/// adds up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    rate: u32,
    total: u64,
}

impl Schedule {
    /// `rate` requests a second for `duration`, the first at once.
    pub(super) fn new(rate: u32, duration: Duration) -> Self {
        let total = (duration.as_nanos() * u128::from(rate)).div_ceil(SECOND);
        Self { rate, total: u64::try_from(total).unwrap_or(u64::MAX) }
    }

    /// When request `number` is meant to be sent, from the start.
    pub(super) fn time_of(self, number: u64) -> Duration {
        let nanos = (u128::from(number) * SECOND).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many requests were meant to be sent within `elapsed`.
    pub(super) fn due(self, elapsed: Duration) -> u64 {
        let due = elapsed.as_nanos() * u128::from(self.rate) / SECOND + 1;
        u64::try_from(due).unwrap_or(u64::MAX).min(self.total)
    }

    /// Adds a permit for each request at its time, from a thread of its own, since the
    /// runtime's timers know whole milliseconds only. Ends when `permits` is closed.
    pub(super) fn give(self, permits: Arc<Semaphore>, start: Instant) -> JoinHandle<()> {
        thread::spawn(move || {
            let mut given = 0;
            while given < self.total && !permits.is_closed() {
                let due = self.due(start.elapsed());
                permits.add_permits(usize::try_from(due - given).unwrap_or_default());
                given = due;
                thread::park_timeout(self.time_of(given).saturating_sub(start.elapsed()));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stand_at_even_distances_and_the_first_at_once() {
        let schedule = Schedule::new(4, Duration::from_secs(10));
        let times: Vec<_> = (0..4).map(|number| schedule.time_of(number).as_millis()).collect();
        assert_eq!(times, [0, 250, 500, 750]);
    }

    #[test]
    fn a_rate_that_divides_nothing_does_not_drift() {
        let schedule = Schedule::new(7, Duration::from_secs(3600));
        assert_eq!(schedule.time_of(7 * 3599), Duration::from_secs(3599));
        assert_eq!(schedule.due(Duration::from_secs(3599)), 7 * 3599 + 1);
    }

    #[test]
    fn a_request_is_due_at_its_time_and_not_before() {
        for rate in [1, 3, 999, 5000, 10_000_000] {
            let schedule = Schedule::new(rate, Duration::from_secs(60));
            for number in [1, 2, 59, 60] {
                let time = schedule.time_of(number);
                assert_eq!(schedule.due(time), (number + 1).min(schedule.total), "{rate}");
                assert_eq!(schedule.due(time - Duration::from_nanos(1)), number, "{rate}");
            }
        }
    }

    #[test]
    fn there_are_as_many_requests_as_fit_into_the_duration() {
        let count = |rate, millis| {
            let duration = Duration::from_millis(millis);
            Schedule::new(rate, duration).due(Duration::from_secs(1_000_000))
        };
        assert_eq!(count(50, 1000), 50);
        assert_eq!(count(3, 1500), 5);
        assert_eq!(count(10, 0), 0);
    }

    #[test]
    fn a_permit_is_given_for_each_request_and_no_more() {
        let permits = Arc::new(Semaphore::new(0));
        let schedule = Schedule::new(100_000, Duration::from_millis(2));
        schedule.give(permits.clone(), Instant::now()).join().unwrap();
        assert_eq!(permits.available_permits(), 200);
    }
}
