//! What was answered, and how long it took.

use std::{collections::BTreeMap, io, time::Duration};

use hdrhistogram::Histogram;
use tessera_proto::v1::{DenialReason, VerifyResponse, verify_response::Verdict};
use tonic::Code;

use super::schedule::Schedule;
use crate::failure::Failure;

/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// Counts, and latencies in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Requests by their `grpc-status`.
    pub(super) statuses: BTreeMap<i32, u64>,
    /// Tokens granted.
    pub(super) granted: u64,
    /// Tokens denied, by reason.
    pub(super) denied: BTreeMap<i32, u64>,
    /// Entries of batches that asked a wrong question, by code.
    pub(super) wrong: BTreeMap<i32, u64>,
    /// Requests that were due and never sent.
    pub(super) unsent: u64,
    latencies: Histogram<u64>,
}

/// Nothing yet.
///
/// # Errors
/// Never: the digits are within the histogram's bounds.
pub(super) fn new() -> Result<Tally, Failure> {
    let latencies = Histogram::new(DIGITS);
    let latencies = latencies.map_err(|error| Failure::Runtime(io::Error::other(error)))?;
    Ok(Tally {
        statuses: BTreeMap::new(),
        granted: 0,
        denied: BTreeMap::new(),
        wrong: BTreeMap::new(),
        unsent: 0,
        latencies,
    })
}

impl Tally {
    /// A request ended with `status`, `latency` after the time it was meant to be sent.
    pub(super) fn ended(&mut self, status: Code, latency: Duration) {
        *self.statuses.entry(status.into()).or_default() += 1;
        self.record(latency);
    }

    /// A token's verdict.
    ///
    /// # Errors
    /// There is none in it.
    pub(super) fn verdict(&mut self, answer: &VerifyResponse) -> Result<(), Failure> {
        match answer.verdict.as_ref().ok_or(Failure::Incomplete("verdict"))? {
            Verdict::Principal(_) => self.granted += 1,
            Verdict::Denial(denial) => *self.denied.entry(denial.reason).or_default() += 1,
            Verdict::Error(status) => *self.wrong.entry(status.code).or_default() += 1,
        }
        Ok(())
    }

    /// The requests of `schedule` from number `sent` on were due and not sent when it
    /// ended, `elapsed` after the start. Each has waited, and counts with that.
    pub(super) fn left_behind(&mut self, schedule: Schedule, sent: u64, elapsed: Duration) {
        for number in sent..schedule.due(elapsed) {
            self.unsent += 1;
            self.record(elapsed.saturating_sub(schedule.time_of(number)));
        }
    }

    fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1);
        // A histogram that grows takes every latency from 1 up.
        let _ = self.latencies.record(nanos);
    }

    /// Adds another's counts to these.
    pub(super) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.statuses, &other.statuses),
            (&mut self.denied, &other.denied),
            (&mut self.wrong, &other.wrong),
        ];
        for (own, theirs) in pairs {
            theirs.iter().for_each(|(key, count)| *own.entry(*key).or_default() += count);
        }
        self.granted += other.granted;
        self.unsent += other.unsent;
        let _ = self.latencies.add(&other.latencies);
    }

    /// Requests answered, with whatever status.
    pub(super) fn requests(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Tokens denied.
    pub(super) fn denials(&self) -> u64 {
        self.denied.values().sum()
    }

    /// The status other than OK that came most often, entries of batches included.
    pub(super) fn worst_status(&self) -> Option<Code> {
        let ok = i32::from(Code::Ok);
        let bad = self.statuses.iter().filter(|(code, _)| **code != ok).chain(&self.wrong);
        bad.max_by_key(|(_, count)| **count).map(|(code, _)| Code::from_i32(*code))
    }

    /// The latency that a share of the requests, from 0 to 1, did not exceed.
    pub(super) fn latency_at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(share))
    }

    /// The mean latency.
    pub(super) fn mean_latency(&self) -> Duration {
        Duration::from_nanos(self.latencies.mean() as u64)
    }
}

/// The name of a reason without the prefix that the contract gives it.
pub(super) fn reason(number: i32) -> &'static str {
    let name = DenialReason::try_from(number).unwrap_or_default().as_str_name();
    name.strip_prefix("DENIAL_REASON_").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use tessera_proto::v1::{Denial, Principal};

    use super::*;

    fn answer(verdict: Verdict) -> VerifyResponse {
        VerifyResponse { verdict: Some(verdict), as_of: None }
    }

    /// How one caller with one request in flight fares at 1,000 a second with a server
    /// that answers in 1 ms, and stalls once for a second.
    fn after_a_stall() -> Tally {
        let schedule = Schedule::new(1000, Duration::from_secs(10));
        let mut tally = new().unwrap();
        let mut free = Duration::ZERO;
        for number in 0..10_000 {
            let meant = schedule.time_of(number);
            let takes = if number == 5000 { 1000 } else { 1 };
            free = free.max(meant) + Duration::from_millis(takes);
            tally.ended(Code::Ok, free - meant);
        }
        tally
    }

    #[test]
    fn a_stall_is_felt_by_every_request_that_was_due_in_it() {
        let tally = after_a_stall();
        // One request of 10,000 was slow, but half of all had to wait behind it.
        assert!(tally.latency_at(0.99) > Duration::from_millis(900), "{tally:?}");
        assert!(tally.latency_at(0.40) < Duration::from_millis(2), "{tally:?}");
        assert!(tally.mean_latency() > Duration::from_millis(100), "{tally:?}");
    }

    #[test]
    fn what_was_due_and_never_sent_counts_with_its_waiting() {
        let schedule = Schedule::new(10, Duration::from_secs(10));
        let mut tally = new().unwrap();
        tally.left_behind(schedule, 50, Duration::from_secs(10));
        assert_eq!(tally.unsent, 50);
        assert!(tally.latency_at(1.0) >= Duration::from_secs(5));
        assert_eq!(tally.requests(), 0);
    }

    #[test]
    fn percentiles_keep_three_digits_over_a_wide_range() {
        let mut tally = new().unwrap();
        for _ in 0..99 {
            tally.ended(Code::Ok, Duration::from_nanos(73_210));
        }
        tally.ended(Code::Ok, Duration::from_secs(15));
        let p50 = tally.latency_at(0.5).as_nanos();
        assert!(p50.abs_diff(73_210) < 100, "{p50}");
        assert!(tally.latency_at(1.0) >= Duration::from_secs(15));
    }

    #[test]
    fn verdicts_and_statuses_are_counted_apart_and_add_up() {
        let mut tally = new().unwrap();
        tally.verdict(&answer(Verdict::Principal(Principal::default()))).unwrap();
        tally.verdict(&answer(Verdict::Denial(Denial { reason: 3 }))).unwrap();
        tally.verdict(&answer(Verdict::Denial(Denial { reason: 5 }))).unwrap();
        tally.ended(Code::Ok, Duration::from_millis(1));
        tally.ended(Code::Unavailable, Duration::from_millis(1));
        let mut both = tally.clone();
        both.add(&tally);
        assert_eq!((both.granted, both.denials(), both.requests()), (2, 4, 4));
        assert_eq!(both.worst_status(), Some(Code::Unavailable));
        assert_eq!(
            both.denied.keys().copied().map(reason).collect::<Vec<_>>(),
            ["EXPIRED", "REVOKED"]
        );
    }

    #[test]
    fn an_answer_without_verdict_is_a_failure() {
        let mut tally = new().unwrap();
        let empty = VerifyResponse::default();
        assert!(matches!(tally.verdict(&empty), Err(Failure::Incomplete("verdict"))));
    }
}
