//! What was found about a token, before the time and a question are put to it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Question, Reason};
use crate::{clock::Timestamp, principal::Principal};

/// What the records say of one plain string: true for as long as none of them changes.
#[derive(Clone, Debug)]
pub struct Finding {
    /// When this secret ceases to work, since a rotation replaced it; else
    /// [`Timestamp::NEVER`].
    pub replaced_at: Timestamp,
    /// Whether the token is good in itself.
    pub outcome: Result<Good, Reason>,
}

/// A token that is good in itself, at its time, for some questions.
#[derive(Clone, Debug)]
pub struct Good {
    /// Whom it speaks for.
    pub principal: Principal,
    /// The first instant at which it is good.
    pub not_before: Timestamp,
    /// Where it may be used from, CIDR notation; empty: anywhere.
    pub allowed_cidrs: Vec<String>,
}

impl Finding {
    /// Why the token is refused at `now`, whatever is asked.
    pub fn refusal_at(&self, now: Timestamp) -> Option<Reason> {
        if now >= self.replaced_at {
            return Some(Reason::Revoked);
        }
        match &self.outcome {
            Ok(good) => good.refusal_at(now),
            Err(reason) => Some(*reason),
        }
    }
}

impl Good {
    /// Why the token is refused at `now`, whatever is asked.
    pub fn refusal_at(&self, now: Timestamp) -> Option<Reason> {
        if self.principal.expires_at.is_some_and(|expires_at| now >= expires_at) {
            return Some(Reason::Expired);
        }
        (now < self.not_before).then_some(Reason::NotYetValid)
    }

    /// Why the token is refused to who asks this, if it is good otherwise.
    pub fn refusal_of(&self, question: &Question) -> Option<Reason> {
        let principal = &self.principal;
        if question.audience.as_ref().is_some_and(|asked| !principal.audiences.contains(asked)) {
            return Some(Reason::WrongAudience);
        }
        if !self.allows_address(question.client_address) {
            return Some(Reason::AddressNotAllowed);
        }
        let held = |scope: &String| principal.scopes.contains(scope);
        (!question.required_scopes.iter().all(held)).then_some(Reason::InsufficientScope)
    }

    fn allows_address(&self, address: Option<IpAddr>) -> bool {
        let within = |address: IpAddr| {
            let nets = self.allowed_cidrs.iter().filter_map(|cidr| cidr.parse::<IpNet>().ok());
            nets.into_iter().any(|net| net.contains(&address))
        };
        self.allowed_cidrs.is_empty() || address.map(|a| a.to_canonical()).is_some_and(within)
    }
}
