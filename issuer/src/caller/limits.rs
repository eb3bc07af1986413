//! What a permanent token that calls may not go beyond, in what it makes and manages.

use ipnet::IpNet;
use tessera_shared::{clock::Timestamp, examine::networks, record::PermanentToken};

use crate::failure::Failure;

/// The end of a permanent token, and where it may be used.
#[derive(Debug)]
pub(crate) struct Limits {
    /// No later than the secret that was presented.
    ends_at: Timestamp,
    pub(crate) audiences: Vec<String>,
    /// Empty: anywhere.
    pub(crate) allowed_cidrs: Vec<String>,
    /// A rotation replaced the secret that was presented.
    pub(crate) is_replaced: bool,
    /// When the access token ends that was exchanged for it; `None`: it calls itself.
    pub(crate) exchanged_until: Option<Timestamp>,
}

impl Limits {
    /// Those of a token of which secret `version` was presented.
    pub(crate) fn of(token: &PermanentToken, version: u32) -> Self {
        Self {
            ends_at: token.ends_at().min(token.replaced_at(version)),
            audiences: token.audiences.clone(),
            allowed_cidrs: token.allowed_cidrs.clone(),
            is_replaced: token.secret_version != version,
            exchanged_until: None,
        }
    }

    /// As an access token has them that was exchanged for it, until then.
    pub(crate) fn exchanged(self, until: Option<Timestamp>) -> Self {
        Self { exchanged_until: until, ..self }
    }

    /// Refuses a new token that goes beyond any of these, or outlives the access token that
    /// calls: who was given something short-lived makes nothing that lasts.
    pub(crate) fn allow_new(&self, token: &PermanentToken) -> Result<(), Failure> {
        self.allow(token)?;
        let lasts = self.exchanged_until.is_some_and(|until| token.ends_at() > until);
        if lasts { Err(Failure::OutlivesCaller) } else { Ok(()) }
    }

    /// Refuses a token that goes beyond any of these.
    pub(crate) fn allow(&self, token: &PermanentToken) -> Result<(), Failure> {
        self.allow_end(token)?;
        self.allow_audiences(token)?;
        self.allow_networks(token)
    }

    /// Refuses a token that ends later.
    pub(crate) fn allow_end(&self, token: &PermanentToken) -> Result<(), Failure> {
        if token.ends_at() <= self.ends_at { Ok(()) } else { Err(Failure::OutlivesCaller) }
    }

    /// Refuses a token that may be used at another service.
    pub(crate) fn allow_audiences(&self, token: &PermanentToken) -> Result<(), Failure> {
        let is_within = token.audiences.iter().all(|audience| self.audiences.contains(audience));
        if is_within { Ok(()) } else { Err(Failure::BeyondCaller("audiences")) }
    }

    /// Refuses a token that may be used from another network.
    pub(crate) fn allow_networks(&self, token: &PermanentToken) -> Result<(), Failure> {
        let is_within = match (networks(&token.allowed_cidrs), networks(&self.allowed_cidrs)) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(inner), Some(outer)) => {
                // Two halves of a network are the whole.
                let outer = IpNet::aggregate(&outer.into_vec());
                inner.iter().all(|inner| outer.iter().any(|outer| outer.contains(inner)))
            }
        };
        if is_within { Ok(()) } else { Err(Failure::BeyondCaller("allowed_cidrs")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(allowed_cidrs: &[&str]) -> PermanentToken {
        let allowed_cidrs = allowed_cidrs.iter().map(|&cidr| cidr.to_owned()).collect();
        PermanentToken { allowed_cidrs, ..PermanentToken::default() }
    }

    #[test]
    fn networks_lie_within_networks_and_no_limit_is_wider_than_any() {
        for (inner, outer, is_within) in [
            (&[] as &[_], &[] as &[_], true),
            (&["10.0.0.0/8"], &[], true),
            (&[], &["0.0.0.0/0", "::/0"], false),
            (&["10.1.0.0/16", "2001:db8::1/128"], &["10.0.0.0/8", "2001:db8::/32"], true),
            (&["10.1.0.0/16", "11.0.0.0/16"], &["10.0.0.0/8"], false),
            (&["10.0.0.0/7"], &["10.0.0.0/8"], false),
            (&["10.0.0.0/8"], &["10.128.0.0/9", "10.0.0.0/9"], true),
            (&["::/0"], &["0.0.0.0/0"], false),
        ] {
            let allowed = Limits::of(&token(outer), 0).allow_networks(&token(inner));
            assert_eq!(allowed.is_ok(), is_within, "{inner:?} in {outer:?}");
        }
    }
}
