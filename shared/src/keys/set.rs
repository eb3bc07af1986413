//! The key set: every public key that access tokens verify by, and who issues them.
//! How a key moves through its states is in [`super::life`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Algorithm, PublicKey};
use crate::{clock::Timestamp, store::StoreError};

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

/// What is assumed of a key whose record does not say: the longest that a setting allows.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24);

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
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::keys::PrivateKey;

    fn entry(algorithm: Algorithm, state: KeyState) -> KeyEntry {
        let key = PrivateKey::generate(algorithm, &SystemRandom::new()).unwrap();
        let created_at = Timestamp::from_millis(1_800_000_000_123);
        KeyEntry::new(key.public().clone(), state, created_at)
    }

    fn set(keys: Vec<KeyEntry>) -> KeySet {
        KeySet { issuer: "https://tessera.example".to_owned(), keys }
    }

    #[test]
    fn a_set_reads_back_as_itself() {
        let mut set = set(vec![
            entry(Algorithm::EdDsa, KeyState::Retired),
            entry(Algorithm::Es256, KeyState::Signing),
            entry(Algorithm::Rs256, KeyState::Published),
        ]);
        set.keys[0].retired_at = Some(Timestamp::from_millis(1_800_000_000_999));
        set.keys[0].token_lifetime = Duration::from_mins(5);
        set.keys[2].signs_at = Timestamp::from_millis(1_800_000_040_000);
        set.keys[2].imported = true;
        assert_eq!(KeySet::from_bytes(&set.to_bytes()), Ok(set.clone()));
        assert_eq!(set.signing(), Some(&set.keys[1]));
        assert_eq!(set.by_kid(set.keys[2].public.kid()), Some(&set.keys[2]));
        assert_eq!(set.by_kid(""), None);
    }

    #[test]
    fn a_record_of_the_first_version_reads_as_keys_that_may_sign_at_once() {
        let entry = entry(Algorithm::Es256, KeyState::Signing);
        let old = json!({"issuer": "i", "keys": [{
            "public": entry.public.jwk(), "state": "signing", "created_at": 1_800_000_000_123_i64,
        }]});
        let read = KeySet::from_bytes(old.to_string().as_bytes()).unwrap();
        assert_eq!(read.keys, [entry]);
    }

    #[test]
    fn the_jwks_lists_ed25519_keys_last_and_nothing_but_jwks() {
        let set = set(vec![
            entry(Algorithm::EdDsa, KeyState::Signing),
            entry(Algorithm::Es256, KeyState::Published),
        ]);
        let document: Value = serde_json::from_str(&set.jwks_json()).unwrap();
        let expected = json!({"keys": [set.keys[1].public.jwk(), set.keys[0].public.jwk()]});
        assert_eq!(document, expected);
    }

    #[test]
    fn a_set_with_two_signing_keys_or_one_key_twice_is_damaged() {
        let signing = entry(Algorithm::Es256, KeyState::Signing);
        let other = entry(Algorithm::Es256, KeyState::Signing);
        for keys in [vec![signing.clone(), other], vec![signing.clone(), signing]] {
            assert!(KeySet::from_bytes(&set(keys).to_bytes()).is_err());
        }
    }

    #[test]
    fn junk_weak_keys_and_an_empty_issuer_are_damage() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let weak =
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, identity);
        let weak = json!({"issuer": "i", "keys": [{
            "public": {"kty": "OKP", "crv": "Ed25519", "x": weak},
            "state": "signing", "created_at": 1,
        }]});
        for bytes in ["", "[]", "{}", r#"{"issuer":"","keys":[]}"#, &weak.to_string()] {
            assert!(KeySet::from_bytes(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
