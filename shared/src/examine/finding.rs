//! What was found about a token, before the time and a question are put to it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Question, Reason};
use crate::{clock::Timestamp, id::TokenId, principal::Principal, role::ScopeSet};

/// What the records say of one plain string: true for as long as none of them changes.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The permanent token that it is about, itself or by an access token exchanged for it.
    pub token: Option<TokenId>,
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
            return Some(self.token.map_or(Reason::Revoked, Reason::Replaced));
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
        let Principal { audiences, scopes, .. } = &self.principal;
        let networks = self.networks();
        Terms { audiences, scopes, networks: networks.as_deref() }.refusal_of(question)
    }

    /// Where the token may be used from; `None`: anywhere.
    pub fn networks(&self) -> Option<Box<[IpNet]>> {
        networks(&self.allowed_cidrs)
    }
}

/// The networks that a token is limited to; `None`: it is not. What is no network matches
/// nothing, and limits the token all the same.
pub fn networks(allowed_cidrs: &[String]) -> Option<Box<[IpNet]>> {
    let networks = allowed_cidrs.iter().filter_map(|cidr| cidr.parse().ok());
    (!allowed_cidrs.is_empty()).then(|| networks.collect())
}

/// For which questions a token is good.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The services at which it is used.
    pub audiences: &'a [String],
    /// What it may do.
    pub scopes: &'a ScopeSet,
    /// Where it may be used from; `None`: anywhere.
    pub networks: Option<&'a [IpNet]>,
}

impl Terms<'_> {
    /// Why the token is refused to who asks this.
    pub fn refusal_of(&self, question: &Question) -> Option<Reason> {
        if question.audience.as_ref().is_some_and(|asked| !self.audiences.contains(asked)) {
            return Some(Reason::WrongAudience);
        }
        if !self.allow_address(question.client_address) {
            return Some(Reason::AddressNotAllowed);
        }
        let held = |scope: &String| self.scopes.contains(scope);
        (!question.required_scopes.iter().all(held)).then_some(Reason::InsufficientScope)
    }

    fn allow_address(&self, address: Option<IpAddr>) -> bool {
        let Some(networks) = self.networks else { return true };
        let address = address.map(|address| address.to_canonical());
        address.is_some_and(|address| networks.iter().any(|net| net.contains(&address)))
    }
}
