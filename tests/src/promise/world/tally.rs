//! What a run has seen, in numbers.

use std::{collections::BTreeMap, fmt};

use super::super::{
    checker::SLOP_MILLIS,
    history::{Act, Answer, History, Outcome, Said},
};

/// Counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    operations: BTreeMap<&'static str, Operations>,
    granted: BTreeMap<usize, usize>,
    granted_fresh: usize,
    /// From a view of before the question.
    granted_from_memory: usize,
    /// In milliseconds before the question.
    oldest_view: i64,
    denied: BTreeMap<&'static str, usize>,
    failed: BTreeMap<String, usize>,
    faults: BTreeMap<String, usize>,
    credentials: usize,
}

#[derive(Clone, Debug, Default)]
struct Operations {
    acknowledged: usize,
    refused: usize,
    unknown: usize,
    repeated: usize,
}

impl Tally {
    pub(super) fn new(verifiers: usize) -> Self {
        Self { granted: (0..verifiers).map(|number| (number, 0)).collect(), ..Self::default() }
    }

    /// Counts new answers. All else is in the history each time, and counted anew.
    pub(super) fn add(&mut self, history: &History) {
        history.answers.iter().for_each(|answer| self.count(answer));
        self.credentials = history.credentials.len();
        self.operations.clear();
        for operation in &history.operations {
            let operations = self.operations.entry(name(operation.act)).or_default();
            operations.repeated += usize::from(operation.tries > 1);
            *match operation.outcome {
                Outcome::Acknowledged(_) => &mut operations.acknowledged,
                Outcome::Refused => &mut operations.refused,
                Outcome::Unknown => &mut operations.unknown,
            } += 1;
        }
        self.faults.clear();
        for fault in &history.faults {
            // Without the figures: a delay is a delay.
            let words = fault.what.split(' ');
            let words = words.map(|word| if word.parse::<u64>().is_ok() { "N" } else { word });
            let what = words.collect::<Vec<_>>().join(" ");
            *self.faults.entry(what).or_default() += 1;
        }
    }

    fn count(&mut self, answer: &Answer) {
        match &answer.said {
            Said::Granted { as_of, .. } => {
                let age = answer.start.wall - as_of;
                self.granted_from_memory += usize::from(age > SLOP_MILLIS);
                self.oldest_view = self.oldest_view.max(age);
                *self.granted.entry(answer.verifier).or_default() += 1;
                let is_fresh = answer.max_staleness.is_some_and(|span| span.is_zero());
                self.granted_fresh += usize::from(is_fresh);
            }
            Said::Denied { reason, .. } => {
                *self.denied.entry(reason.as_str_name()).or_default() += 1
            }
            Said::Failed(failure) => {
                let lost = if failure.is_lost { ", connection lost" } else { "" };
                let name = format!("{:?}{lost}", failure.code);
                *self.failed.entry(name).or_default() += 1;
            }
        }
    }

    /// What has to be seen yet, if anything.
    pub(super) fn lack(&self) -> Option<&'static str> {
        let granted: usize = self.granted.values().sum();
        let denials_of_the_ended = self.denied.get("DENIAL_REASON_REVOKED").copied();
        let seen = [
            ("a grant of each verifier", self.granted.values().all(|count| *count > 0)),
            ("a grant from a view as old as the bound", granted > self.granted_fresh),
            ("a grant from a forced read", self.granted_fresh > 0),
            ("a denial of what was ended", denials_of_the_ended.is_some()),
            ("an acknowledged end", self.operations.values().any(|o| o.acknowledged > 0)),
            ("a fault", !self.faults.is_empty()),
        ];
        seen.into_iter().find(|(_, is_seen)| !is_seen).map(|(what, _)| what)
    }
}

const fn name(act: Act) -> &'static str {
    match act {
        Act::Revoke { .. } => "a token is revoked",
        Act::Rotate { .. } => "a token is rotated",
        Act::TokenRole { .. } => "a token gets another role",
        Act::UserRole { .. } => "a user gets another role",
        Act::UserState { .. } => "a user is disabled or enabled",
        Act::AccountState { .. } => "an account is disabled or enabled",
        Act::Logout { .. } => "a session logs out",
        Act::LogoutAll { .. } => "a user logs all sessions out",
        Act::EndSessions { .. } => "a user's sessions are ended",
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} strings were made", self.credentials)?;
        writeln!(f, "operations (acknowledged, refused, unknown; repeated):")?;
        for (name, operations) in &self.operations {
            let Operations { acknowledged, refused, unknown, repeated } = operations;
            writeln!(f, "  {name}: {acknowledged}, {refused}, {unknown}; {repeated}")?;
        }
        let granted: usize = self.granted.values().sum();
        writeln!(f, "granted: {granted}, by verifier {:?}", self.granted.values())?;
        writeln!(f, "  of them from a forced read: {}", self.granted_fresh)?;
        let (remembered, oldest) = (self.granted_from_memory, self.oldest_view);
        writeln!(f, "  of them as of before the question: {remembered}, at most {oldest} ms")?;
        writeln!(f, "denied: {}", self.denied.values().sum::<usize>())?;
        for (reason, count) in &self.denied {
            writeln!(f, "  {}: {count}", reason.trim_start_matches("DENIAL_REASON_"))?;
        }
        writeln!(f, "without a verdict: {}", self.failed.values().sum::<usize>())?;
        for (code, count) in &self.failed {
            writeln!(f, "  {code}: {count}")?;
        }
        writeln!(f, "faults: {}", self.faults.values().sum::<usize>())?;
        for (what, count) in &self.faults {
            writeln!(f, "  {what}: {count}")?;
        }
        Ok(())
    }
}
