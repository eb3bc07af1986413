//! The key set as the store keeps it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{KeyEntry, KeySet, KeyState, PublicKey, set::LONGEST_LIFETIME};
use crate::{clock::Timestamp, store::StoreError};

/// A key set in the store that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key set is damaged: {0}")]
pub struct DamagedKeySet(&'static str);

impl From<DamagedKeySet> for StoreError {
    fn from(damage: DamagedKeySet) -> Self {
        Self::Damaged(damage.0)
    }
}

/// What is in the store, JSON: members are for ever, new ones may come.
#[derive(Deserialize)]
struct Stored {
    issuer: String,
    keys: Vec<StoredEntry>,
}

#[derive(Serialize, Deserialize)]
struct StoredEntry {
    public: Value,
    state: KeyState,
    /// Milliseconds since the epoch, as the other times.
    created_at: i64,
    signs_at: Option<i64>,
    retired_at: Option<i64>,
    token_lifetime_ms: Option<u64>,
    #[serde(default)]
    imported: bool,
}

impl StoredEntry {
    fn from_entry(entry: &KeyEntry) -> Self {
        Self {
            public: entry.public.jwk(),
            state: entry.state,
            created_at: entry.created_at.millis(),
            signs_at: Some(entry.signs_at.millis()),
            retired_at: entry.retired_at.map(Timestamp::millis),
            token_lifetime_ms: u64::try_from(entry.token_lifetime.as_millis()).ok(),
            imported: entry.imported,
        }
    }

    fn read(self) -> Result<KeyEntry, DamagedKeySet> {
        let public = PublicKey::from_jwk(&self.public)
            .map_err(|_| DamagedKeySet("a key that is weak or none"))?;
        Ok(KeyEntry {
            public,
            state: self.state,
            created_at: Timestamp::from_millis(self.created_at),
            signs_at: Timestamp::from_millis(self.signs_at.unwrap_or(self.created_at)),
            retired_at: self.retired_at.map(Timestamp::from_millis),
            token_lifetime: self.token_lifetime_ms.map_or(LONGEST_LIFETIME, Duration::from_millis),
            imported: self.imported,
        })
    }
}

impl KeySet {
    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let keys: Vec<_> = self.keys.iter().map(StoredEntry::from_entry).collect();
        json!({"issuer": self.issuer, "keys": keys}).to_string().into_bytes()
    }

    /// Reads what [`KeySet::to_bytes`] wrote, and checks every key again.
    ///
    /// # Errors
    /// [`DamagedKeySet`]; also if two keys sign or share a `kid`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DamagedKeySet> {
        let stored: Stored =
            serde_json::from_slice(bytes).map_err(|_| DamagedKeySet("not a key set"))?;
        if stored.issuer.is_empty() {
            return Err(DamagedKeySet("no issuer"));
        }
        let mut set = Self { issuer: stored.issuer, keys: Vec::with_capacity(stored.keys.len()) };
        for entry in stored.keys {
            let entry = entry.read()?;
            if set.by_kid(entry.public.kid()).is_some() {
                return Err(DamagedKeySet("the same key twice"));
            }
            if entry.state == KeyState::Signing && set.signing().is_some() {
                return Err(DamagedKeySet("two signing keys"));
            }
            set.keys.push(entry);
        }
        Ok(set)
    }
}
