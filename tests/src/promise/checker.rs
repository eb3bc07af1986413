//! Which answers break the promise. A pure function of the history.
//!
//! For each answer there is a window: from the oldest view that it may rest on, which
//! is the staleness allowed before its question was sent, to its arrival. Inside
//! a window every state counts as possible that an operation may have left. So what
//! is reported here is certainly wrong; what is only doubtful passes.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tessera_proto::v1::{DenialReason, Principal, PrincipalKind};
use tonic::Code;

use super::{
    case::{Case, Gate, Index},
    history::{Answer, Credential, History, Instant, Kind, Moment, Said, Span},
};

/// For clocks that are read in milliseconds, and set right while the test runs.
pub(super) const SLOP_MILLIS: i64 = 10;

/// The rules of the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A grant for what ended longer ago than the answer's view may be old.
    LateGrant,
    /// A denial of what was good all along, or for a reason that never held.
    WrongDenial,
    /// A verdict that was not true at `as_of` nor later.
    UntrueView,
    /// A grant for somebody else.
    WrongPrincipal,
    /// `as_of` is older than allowed.
    OldView,
    /// `as_of` is in the future.
    FutureView,
    /// An error that is not an outage.
    WrongError,
}

/// An answer that breaks a rule.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Its place in [`History::answers`].
    pub answer: usize,
    /// The rule.
    pub rule: Rule,
    /// What is wrong.
    pub what: String,
}

/// Finds every answer that certainly breaks a rule, under this staleness bound.
pub fn violations(history: &History, bound: Duration) -> Vec<Violation> {
    let index = Index::new(history);
    let mut cases = HashMap::new();
    let mut found = Vec::new();
    for (number, answer) in history.answers.iter().enumerate() {
        let credential = &history.credentials[answer.credential];
        let case = cases
            .entry(answer.credential)
            .or_insert_with(|| Case::new(history, credential, &index));
        let judge = Judge { history, credential, case, answer, bound };
        if let Err((rule, what)) = judge.check() {
            found.push(Violation { answer: number, rule, what });
        }
    }
    found
}

struct Judge<'a> {
    history: &'a History,
    credential: &'a Credential,
    case: &'a Case,
    answer: &'a Answer,
    bound: Duration,
}

impl Judge<'_> {
    fn check(&self) -> Result<(), (Rule, String)> {
        let Answer { start, end, max_staleness, .. } = self.answer;
        if let Said::Failed(failure) = &self.answer.said {
            let is_outage = matches!(
                failure.code,
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
            );
            let is_allowed = is_outage || failure.is_lost && failure.code == Code::Unknown;
            return if is_allowed {
                Ok(())
            } else {
                Err((Rule::WrongError, format!("{:?}: {}", failure.code, failure.message)))
            };
        }
        let allowed = max_staleness.unwrap_or(self.bound).min(self.bound);
        let as_of = self.answer.said.as_of().unwrap_or_default();
        let oldest = start.wall - signed_millis(allowed);
        if as_of + SLOP_MILLIS < oldest {
            let age = start.wall - as_of;
            return Err((Rule::OldView, format!("as_of is {age} ms before the question")));
        }
        if as_of > end.wall + SLOP_MILLIS {
            let ahead = as_of - end.wall;
            return Err((Rule::FutureView, format!("as_of is {ahead} ms after the answer")));
        }
        let window = |from: Instant| Span { start: from, end: end.at };
        let rule = match self.answer.said {
            Said::Granted { .. } => Rule::LateGrant,
            _ => Rule::WrongDenial,
        };
        self.judge(window(start.at.saturating_sub(allowed))).map_err(|what| (rule, what))?;
        if let Said::Granted { principal, .. } = &self.answer.said {
            self.names(principal).map_err(|what| (Rule::WrongPrincipal, what))?;
        }
        let claimed = window(instant_of(as_of - SLOP_MILLIS, *start));
        self.judge(claimed).map_err(|what| (Rule::UntrueView, what))
    }

    /// Whether the verdict may have been right at some instant of `window`.
    fn judge(&self, window: Span) -> Result<(), String> {
        match &self.answer.said {
            Said::Granted { principal, .. } => self.may_be_granted(principal, window),
            Said::Denied { reason, .. } => self.may_be_denied(*reason, window),
            Said::Failed(_) => Ok(()),
        }
    }

    fn may_be_granted(&self, principal: &Principal, window: Span) -> Result<(), String> {
        for (name, gate) in &self.case.gates {
            let states: Vec<_> = gate.possible(window).collect();
            if !states.contains(&Gate::Open) {
                return Err(format!("granted, but {name} was certainly {states:?}"));
            }
        }
        if let Some(expires_at) = self.credential.expires_at
            && expires_at + SLOP_MILLIS <= self.answer.start.wall
        {
            let ago = self.answer.start.wall - expires_at;
            return Err(format!("granted {ago} ms after it expired"));
        }
        let held = |scopes: &BTreeSet<&str>, role: &str| {
            role == principal.role && scopes.iter().copied().eq(principal.scopes.iter())
        };
        if !self.rights(window).any(|(role, scopes)| held(&scopes, role)) {
            let rights: Vec<_> = self.rights(window).collect();
            return Err(format!(
                "granted as {} with {:?}, but possible was only {rights:?}",
                principal.role, principal.scopes
            ));
        }
        match &self.answer.required_scope {
            Some(scope) if !principal.scopes.contains(scope) => {
                Err(format!("granted without {scope}, which was required"))
            }
            _ => Ok(()),
        }
    }

    fn may_be_denied(&self, reason: DenialReason, window: Span) -> Result<(), String> {
        let explained = match reason {
            DenialReason::Expired => {
                let end = self.answer.end.wall + SLOP_MILLIS;
                self.credential.expires_at.is_some_and(|expires_at| expires_at <= end)
            }
            DenialReason::InsufficientScope => {
                let lacked = |scope: &String| {
                    self.rights(window).any(|(_, held)| !held.contains(scope.as_str()))
                };
                self.answer.required_scope.as_ref().is_some_and(lacked)
            }
            reason => self.case.gates.iter().any(|(_, gate)| {
                gate.possible(window).any(|gate| gate.explains(reason, self.credential.kind))
            }),
        };
        let name = reason.as_str_name();
        if explained {
            Ok(())
        } else {
            Err(format!("denied as {name}, for which there was no cause"))
        }
    }

    /// The role's name and the scopes that a grant may have. An access token keeps
    /// those that it was made with.
    fn rights(&self, window: Span) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
        let is_permanent = matches!(self.credential.kind, Kind::Permanent { .. });
        let window = if is_permanent { window } else { self.credential.made };
        let owners = self.case.user_role.possible(window);
        owners.flat_map(move |owner| {
            let own = self.case.token_role.as_ref();
            let roles: Vec<_> = own.map_or(vec![owner], |own| own.possible(window).collect());
            roles.into_iter().map(move |role| {
                let (role, owner) = (&self.history.roles[role], &self.history.roles[owner]);
                let both = role.scopes.iter().filter(|scope| owner.scopes.contains(scope));
                (role.name.as_str(), both.map(String::as_str).collect())
            })
        })
    }

    fn names(&self, principal: &Principal) -> Result<(), String> {
        let (kind, token, session) = match self.credential.kind {
            Kind::Permanent { token, .. } | Kind::Exchanged { token } => {
                (PrincipalKind::PermanentToken, token, 0)
            }
            Kind::Session { session } => (PrincipalKind::Session, 0, session),
            Kind::Bogus => (PrincipalKind::Unspecified, 0, 0),
        };
        let expected = (kind, token, session, self.credential.user, self.credential.account);
        let Principal { token_id, session_id, user_id, account_id, .. } = *principal;
        let named = (principal.kind(), token_id, session_id, user_id, account_id);
        if named == expected { Ok(()) } else { Err(format!("{named:?} instead of {expected:?}")) }
    }
}

fn signed_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Where `wall` is on the monotonic clock, by a moment at which both were read.
fn instant_of(wall: i64, moment: Moment) -> Instant {
    let ahead = Duration::from_millis((wall - moment.wall).unsigned_abs());
    if wall < moment.wall { moment.at.saturating_sub(ahead) } else { moment.at + ahead }
}
