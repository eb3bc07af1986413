//! What is shown at the end.

use std::{collections::BTreeMap, time::Duration};

use tonic::Code;

use super::{
    super::verify::Outcome,
    tally::{Tally, reason},
};
use crate::{
    record::{Field, Fields, Record, fields},
    status,
};

/// What is shown at the end.
pub(super) struct Summary {
    tally: Tally,
    took: Duration,
}

impl Summary {
    /// Of a load that took so long.
    pub(super) fn new(tally: Tally, took: Duration) -> Self {
        Self { tally, took }
    }

    /// As `tessera verify` would say of all tokens together. Where nothing was answered,
    /// nothing is granted.
    pub(super) fn outcome(&self) -> Outcome {
        match self.tally.worst_status() {
            Some(code) => Outcome::Wrong(code),
            None if self.tally.requests() == 0 => Outcome::Wrong(Code::Cancelled),
            None if self.tally.denials() > 0 => Outcome::SomeDenied,
            None => Outcome::AllGranted,
        }
    }

    fn per_second(&self, count: u64) -> Field {
        Field::Number((count as f64 / self.took.as_secs_f64().max(0.001)).round() as i64)
    }

    fn latency(&self) -> Field {
        let at = |share| Field::Number(micros(self.tally.latency_at(share)));
        Field::Record(fields([
            ("p50_us", at(0.50)),
            ("p90_us", at(0.90)),
            ("p99_us", at(0.99)),
            ("p999_us", at(0.999)),
            ("max_us", at(1.0)),
            ("mean_us", Field::Number(micros(self.tally.mean_latency()))),
        ]))
    }
}

impl Record for Summary {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        let tally = &self.tally;
        let tokens = tally.granted + tally.denials();
        let code = |number: i32| status::name(Code::from_i32(number));
        fields([
            ("duration_ms", count(u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX))),
            ("requests", count(tally.requests())),
            ("requests_per_second", self.per_second(tally.requests())),
            ("tokens_per_second", self.per_second(tokens)),
            ("grpc_status", counts(&tally.statuses, code)),
            ("granted", count(tally.granted)),
            ("denied", count(tally.denials())),
            ("denied_by_reason", counts(&tally.denied, reason)),
            ("wrong_entries", counts(&tally.wrong, code)),
            ("not_sent", count(tally.unsent)),
            ("latency", self.latency()),
        ])
    }
}

fn count(number: u64) -> Field {
    Field::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

fn counts(of: &BTreeMap<i32, u64>, name: impl Fn(i32) -> &'static str) -> Field {
    let each = of.iter().map(|(number, times)| (name(*number), count(*times)));
    Field::Record(fields(each.collect::<Vec<_>>()))
}

/// Whole microseconds.
pub(super) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tessera_proto::v1::{Denial, VerifyResponse, verify_response::Verdict};

    use super::{super::tally, *};

    fn summary(statuses: &[Code], denials: usize) -> Summary {
        let mut tally = tally::new().unwrap();
        for status in statuses {
            tally.ended(*status, Duration::from_millis(2));
        }
        let verdict = Some(Verdict::Denial(Denial { reason: 3 }));
        let denied = VerifyResponse { verdict, as_of: None };
        (0..denials).for_each(|_| tally.verdict(&denied).unwrap());
        Summary::new(tally, Duration::from_secs(2))
    }

    #[test]
    fn a_failure_is_more_than_a_denial_and_no_answer_at_all_is_no_grant() {
        assert_eq!(summary(&[Code::Ok], 0).outcome(), Outcome::AllGranted);
        assert_eq!(summary(&[Code::Ok], 1).outcome(), Outcome::SomeDenied);
        let failed = summary(&[Code::Ok, Code::Unavailable], 1).outcome();
        assert_eq!(failed, Outcome::Wrong(Code::Unavailable));
        assert_eq!(summary(&[], 0).outcome(), Outcome::Wrong(Code::Cancelled));
    }

    #[test]
    fn programs_get_counts_by_status_and_reason_and_latencies_in_microseconds() {
        let shown = summary(&[Code::Ok, Code::Ok, Code::Unavailable], 2);
        let json = serde_json::to_value(shown.fields()).unwrap();
        assert_eq!(json["grpc_status"]["OK"], 2);
        assert_eq!(json["grpc_status"]["UNAVAILABLE"], 1);
        assert_eq!(json["denied_by_reason"]["EXPIRED"], 2);
        assert_eq!(json["tokens_per_second"], 1);
        let p99 = json["latency"]["p99_us"].as_i64().unwrap();
        assert!((2000..2010).contains(&p99), "{p99}");
    }
}
