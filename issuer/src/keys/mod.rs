//! The signing keys of this installation.
//!
//! | module | what lives there |
//! |---|---|
//! | here | the key that this issuer holds, and how old its view of the set may be |
//! | `tend` | reading the set, and moving keys on whose time has come |
//! | `rotate` | new keys, by hand and by age |
//! | `retire` | the end of a key, in order and in an emergency |
//! | `private` | private keys in the store: sealed, sealed anew, ended |
//!
//! Any number of issuers run over one store. The key set is one record, changed by
//! compare-and-swap alone, so that of several that want the same change exactly one
//! makes it; the others read on and find it done.

mod private;
mod retire;
mod rotate;
mod tend;

#[cfg(test)]
mod retire_tests;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tessera_shared::{
    clock::Timestamp,
    id::NoRandomness,
    jwt::{AccessClaims, AccessSigner},
    keys::{Algorithm, EncryptionKeys, KeySet},
};

use crate::{core::Core, failure::Failure};

/// How old the view of the key set may be that a token is signed under. Of what
/// another issuer changes, this one knows after so long at the latest.
const VIEW_AGE: Duration = Duration::from_secs(1);

/// How the keys of this installation are kept.
#[derive(Debug)]
pub(crate) struct KeyRules {
    /// What a new key signs with, where nobody says otherwise.
    pub(crate) algorithm: Algorithm,
    /// What private keys are sealed with in the store.
    pub(crate) encryption: EncryptionKeys,
    /// How long a key is published before it signs.
    pub(crate) publication_delay: Duration,
    /// How old a signing key gets before it is replaced; `None`: nobody minds.
    pub(crate) rotation_period: Option<Duration>,
}

/// The rules, and what this issuer holds.
pub(crate) struct Keys {
    pub(crate) rules: KeyRules,
    /// `None` until the key set was first read.
    held: ArcSwapOption<Held>,
    /// The waiting key that can't be opened, so that it is complained of once.
    unusable: ArcSwapOption<String>,
}

/// The key set as last read, and the key that signs in it.
pub(crate) struct Held {
    pub(crate) set: KeySet,
    signer: Arc<AccessSigner>,
    /// When it was asked for.
    seen_at: Timestamp,
}

impl Keys {
    pub(crate) fn new(rules: KeyRules) -> Self {
        Self { rules, held: ArcSwapOption::empty(), unusable: ArcSwapOption::empty() }
    }

    /// The key set as last read, however long ago; for the metrics.
    pub(crate) fn present(&self) -> Option<Arc<Held>> {
        self.held.load_full()
    }

    /// Holds `new`, unless what is held was seen later.
    fn hold(&self, new: &Arc<Held>) {
        self.held.rcu(|old| match old {
            Some(old) if old.seen_at > new.seen_at => Some(old.clone()),
            _ => Some(new.clone()),
        });
    }
}

impl Held {
    /// The `iss` of access tokens.
    pub(crate) fn issuer(&self) -> &str {
        &self.set.issuer
    }

    /// When it was asked for.
    pub(crate) const fn seen_at(&self) -> Timestamp {
        self.seen_at
    }

    /// A signed access token.
    pub(crate) fn sign(&self, claims: &AccessClaims) -> Result<String, Failure> {
        self.signer.sign(claims).map_err(|error| Failure::Internal(error.to_string()))
    }

    /// A clock that was set back makes no view young.
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.seen_at <= now && now < self.seen_at.after(VIEW_AGE)
    }
}

impl Core {
    /// The key that signs now. It is read from the store when the view is not fresh,
    /// so that a key which another issuer retired signs for [`VIEW_AGE`] at most.
    pub(crate) async fn signing(&self) -> Result<Arc<Held>, Failure> {
        match self.keys.held.load_full() {
            None => Err(Failure::NotReady),
            Some(held) if held.is_fresh(self.now()) => Ok(held),
            Some(_) => self.tend_keys().await,
        }
    }

    /// A `jti` that no other access token has.
    pub(crate) fn jti(&self, now: Timestamp) -> Result<String, Failure> {
        let mut random = [0; 8];
        self.rng.fill(&mut random).map_err(|_| NoRandomness)?;
        Ok(format!("{:x}-{:016x}", now.millis(), u64::from_be_bytes(random)))
    }
}
