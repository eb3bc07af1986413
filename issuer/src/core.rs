//! What every call needs: the store, the time, and the rules of this installation.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use ring::rand::SecureRandom;
use tessera_shared::{
    clock::{Clock, Timestamp},
    examine::Examiner,
    keys::LONGEST_LIFETIME,
    opaque::Opaque,
    password::PasswordHasher,
    revocation::{Revocation, Subject},
    role::{Catalogue, Role},
    store::{StoreWriter, records},
    usage::UsageNotes,
};

use crate::{failure::Failure, keys::Keys, metrics::Logins, throttle::Throttle};

/// An access token made from a read just before a revocation may come to life this
/// long after it: the longest that a call may take, and some skew between clocks.
const SLACK: Duration = Duration::from_mins(5);

/// The rules that an operator sets.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) tokens_per_account: u32,
    pub(crate) access_ttl: Duration,
    pub(crate) refresh_ttl: Duration,
    pub(crate) refresh_grace: Duration,
    pub(crate) default_audiences: Vec<String>,
    pub(crate) password_min_length: usize,
}

/// The issuer, without its gRPC face.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn StoreWriter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn SecureRandom + Send + Sync>,
    pub(crate) opaque: Opaque,
    pub(crate) examiner: Examiner,
    pub(crate) passwords: PasswordHasher,
    pub(crate) throttle: Throttle,
    pub(crate) catalogue: Catalogue,
    pub(crate) policy: Policy,
    pub(crate) keys: Keys,
    /// The use of permanent tokens by callers of this issuer.
    pub(crate) usage: UsageNotes,
    pub(crate) logins: Logins,
    /// The first start has come to its end: see `bootstrap`.
    pub(crate) prepared: AtomicBool,
}

impl Core {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The role of this name.
    pub(crate) fn role_named(&self, field: &'static str, name: &str) -> Result<&Role, Failure> {
        let names = || {
            let names: Vec<_> = self.catalogue.roles().iter().map(|r| r.name.as_str()).collect();
            format!("no such role; there are: {}", names.join(", "))
        };
        self.catalogue.by_name(name).ok_or_else(|| Failure::field(field, names()))
    }

    /// The name of a role; empty if it left the catalogue.
    pub(crate) fn role_name(&self, id: i64) -> String {
        self.catalogue.by_id(id).map(|role| role.name.clone()).unwrap_or_default()
    }

    /// Denies access tokens of `subject` below `min_version`, for as long as any that there
    /// is may live. `revision` is the version of the record that this follows from.
    pub(crate) async fn revoke(
        &self,
        subject: Subject,
        min_version: u32,
        revision: u32,
    ) -> Result<(), Failure> {
        let longest = self.longest_lifetime().await;
        let now = self.now();
        let garbage_at = now.after(longest).after(SLACK);
        let revocation = Revocation { min_version, revision, garbage_at };
        Ok(records::revoke(&*self.store, subject, revocation, now).await?)
    }

    /// The longest that an access token which there is may live: another issuer's setting
    /// may be longer than ours, and ours was perhaps. Each issuer notes its own in the key
    /// set before it signs, so the set as it is now knows of every token that there is.
    async fn longest_lifetime(&self) -> Duration {
        match self.key_set().await {
            Ok(Some((set, _))) => set.longest_lifetime().max(self.policy.access_ttl),
            Ok(None) | Err(_) => LONGEST_LIFETIME,
        }
    }
}

/// A record that names what can't be an id.
pub(crate) fn damaged_id() -> Failure {
    Failure::Internal("a record holds a number that is no id".to_owned())
}
