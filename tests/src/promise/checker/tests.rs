//! Histories with one violation each, which must be found, and histories that are
//! only doubtful, which must pass. Times are in milliseconds; the bound is 1,000.

mod ends;
mod views;

use super::*;
use crate::promise::history::{Act, Failure, Operation, Outcome, Role};

const BOUND: Duration = Duration::from_secs(1);
const NOTHING: Option<Duration> = Some(Duration::ZERO);
/// The machine's clock at the start of the test.
const WALL: i64 = 3_600_000;

const TOKEN: i64 = 7;
const USER: i64 = 8;
const ACCOUNT: i64 = 9;
const SESSION: i64 = 10;
const ADMIN: usize = 0;
const READER: usize = 1;
/// What an administrator may do.
const ALL: &[&str] = &["a:read", "a:write"];

const PERMANENT: Kind = Kind::Permanent { token: TOKEN, version: 1 };
const EXCHANGED: Kind = Kind::Exchanged { token: TOKEN };
const LOGGED_IN: Kind = Kind::Session { session: SESSION };

fn at(millis: i64) -> Instant {
    Duration::from_millis(millis.unsigned_abs())
}

fn span(start: i64, end: i64) -> Span {
    Span { start: at(start), end: at(end) }
}

fn moment(millis: i64) -> Moment {
    Moment { at: at(millis), wall: WALL + millis }
}

/// A history of one credential, made from 100 to 200 by a user who is an administrator.
struct Told(History);

impl Told {
    fn of(kind: Kind) -> Self {
        let role = |name: &str, scopes: &[&str]| Role {
            name: name.into(),
            scopes: scopes.iter().map(|&scope| scope.into()).collect(),
        };
        let credential = Credential {
            kind,
            user: USER,
            account: ACCOUNT,
            made: span(100, 200),
            expires_at: None,
        };
        Self(History {
            roles: vec![role("Admin", ALL), role("Reader", &["a:read"])],
            users: [(USER, ADMIN)].into(),
            tokens: [(TOKEN, ADMIN)].into(),
            credentials: vec![credential],
            ..History::default()
        })
    }

    fn expiring(mut self, millis: i64) -> Self {
        self.0.credentials[0].expires_at = Some(WALL + millis);
        self
    }

    /// An acknowledged operation.
    fn act(self, start: i64, end: i64, act: Act) -> Self {
        self.operation(start, Outcome::Acknowledged(at(end)), act)
    }

    fn operation(mut self, start: i64, outcome: Outcome, act: Act) -> Self {
        self.0.operations.push(Operation { act, start: at(start), outcome, tries: 1 });
        self
    }

    /// What is found of an answer that came from `start` to `end`.
    fn says(&self, start: i64, end: i64, allowed: Option<Duration>, said: Said) -> Option<Rule> {
        self.answers(start, end, allowed, None, said)
    }

    fn answers(
        &self,
        start: i64,
        end: i64,
        max_staleness: Option<Duration>,
        required_scope: Option<&str>,
        said: Said,
    ) -> Option<Rule> {
        let answer = Answer {
            verifier: 0,
            credential: 0,
            max_staleness,
            required_scope: required_scope.map(str::to_owned),
            start: moment(start),
            end: moment(end),
            said,
        };
        let history = History { answers: vec![answer], ..self.0.clone() };
        let found = violations(&history, BOUND);
        if !found.is_empty() {
            let told = crate::promise::report::tell(&history, &found);
            assert!(told.contains("credential 0"), "{told}");
        }
        found.first().map(|violation| violation.rule)
    }

    /// As [`Self::says`], of a grant of all scopes with the oldest view that is allowed.
    fn grants(&self, start: i64, end: i64, allowed: Option<Duration>) -> Option<Rule> {
        let view = start - signed_millis(allowed.unwrap_or(BOUND));
        self.says(start, end, allowed, self.grant("Admin", ALL, view))
    }

    /// As [`Self::says`], of a denial with the oldest view that is allowed.
    fn denies(
        &self,
        start: i64,
        end: i64,
        allowed: Option<Duration>,
        reason: DenialReason,
    ) -> Option<Rule> {
        let as_of = WALL + start - signed_millis(allowed.unwrap_or(BOUND));
        self.says(start, end, allowed, Said::Denied { reason, as_of })
    }

    fn grant(&self, role: &str, scopes: &[&str], view: i64) -> Said {
        let (kind, token_id, session_id) = match self.0.credentials[0].kind {
            Kind::Session { session } => (PrincipalKind::Session, 0, session),
            _ => (PrincipalKind::PermanentToken, TOKEN, 0),
        };
        let principal = Principal {
            kind: kind.into(),
            token_id,
            session_id,
            user_id: USER,
            account_id: ACCOUNT,
            role: role.into(),
            scopes: scopes.iter().map(|&scope| scope.into()).collect(),
            ..Principal::default()
        };
        Said::Granted { principal: Box::new(principal), as_of: WALL + view }
    }
}
