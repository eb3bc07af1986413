//! The key set: every public key that access tokens verify by, and who issues them.
//! How a key moves through its states is in [`super::life`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Algorithm, PublicKey};
use crate::clock::Timestamp;

/// Where a key is in its life: publish, wait until every verifier knows it, sign,
/// retire. So a rotation has no gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Verifiers know it; nothing is signed with it yet.
    Published,
    /// New tokens are signed with it. At most one key of a set is.
    Signing,
    /// It verifies what it signed, and signs nothing more.
    Retired,
}

/// A key of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// The public half.
    pub public: PublicKey,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Before it signs: the earliest time at which it may. After: when it began.
    pub signs_at: Timestamp,
    /// When it stopped signing.
    pub retired_at: Option<Timestamp>,
    /// The longest that a token signed with it lives.
    pub token_lifetime: Duration,
    /// Whether an operator brought it, and might again.
    pub imported: bool,
}

/// The longest that `--access-ttl` may be: what is assumed where no record says.
pub const LONGEST_LIFETIME: Duration = Duration::from_hours(24);

impl KeyEntry {
    /// A key of this installation that may sign from its making on.
    pub const fn new(public: PublicKey, state: KeyState, created_at: Timestamp) -> Self {
        Self {
            public,
            state,
            created_at,
            signs_at: created_at,
            retired_at: None,
            token_lifetime: LONGEST_LIFETIME,
            imported: false,
        }
    }
}

/// The record under [`crate::store::Key::KeySet`]. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// The `iss` of all access tokens.
    pub issuer: String,
    /// In the order of their making.
    pub keys: Vec<KeyEntry>,
}

impl KeySet {
    /// The JWK set document (RFC 7517 section 5) with every key, whatever its state.
    /// Ed25519 keys come last: old readers stop at the first key they don't know.
    pub fn jwks_json(&self) -> String {
        let mut keys: Vec<&PublicKey> = self.keys.iter().map(|entry| &entry.public).collect();
        keys.sort_by_key(|key| key.algorithm() == Algorithm::EdDsa);
        let keys: Vec<Value> = keys.into_iter().map(PublicKey::jwk).collect();
        json!({"keys": keys}).to_string()
    }

    /// The key named `kid`.
    pub fn by_kid(&self, kid: &str) -> Option<&KeyEntry> {
        self.keys.iter().find(|entry| entry.public.kid() == kid)
    }

    /// The key that signs; `None` before the first one does.
    pub fn signing(&self) -> Option<&KeyEntry> {
        self.keys.iter().find(|entry| entry.state == KeyState::Signing)
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
