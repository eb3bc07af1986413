//! Private keys in the store. Only the issuer comes here.

use std::time::Duration;

use tessera_shared::{
    clock::Timestamp,
    keys::PrivateKey,
    store::{Key, StoreError, Swap},
};

use crate::{core::Core, failure::Failure};

/// What stands in place of an imported key that has ended, so that the same file
/// brings it back in no later start. No sealed or plain key begins like it.
const ENDED: &[u8] = b"ended";
/// How long a private key is kept whose public half never made it into the set.
const UNFINISHED: Duration = Duration::from_hours(24);

impl Core {
    /// The private key named `kid`; `None` if there is none, or no more.
    pub(super) async fn private_key(&self, kid: &str) -> Result<Option<PrivateKey>, Failure> {
        match self.private_record(kid).await? {
            Some(record) if record != ENDED => {
                Ok(Some(self.keys.rules.encryption.open(&record, kid)?))
            }
            _ => Ok(None),
        }
    }

    /// Writes the private half of a key that is about to be published. Should that
    /// not happen, the store forgets it a day after `signs_at`; see
    /// [`Self::keep_private_key`]. False: this key has ended before.
    pub(super) async fn write_private_key(
        &self,
        key: &PrivateKey,
        signs_at: Timestamp,
    ) -> Result<bool, Failure> {
        let kid = key.public().kid();
        let record = self.keys.rules.encryption.seal(key, &*self.rng)?;
        let garbage_at = Some(signs_at.after(UNFINISHED));
        let place = Key::PrivateKey(kid.to_owned());
        match self.store.swap(&place, None, Some(&record), garbage_at).await? {
            Swap::Done => Ok(true),
            Swap::Conflict => Ok(self.private_record(kid).await?.is_some_and(|old| old != ENDED)),
        }
    }

    /// Keeps a private key for good, sealed with the present key-encryption key. False:
    /// there is none, or no more.
    pub(super) async fn keep_private_key(&self, kid: &str) -> Result<bool, Failure> {
        let Some(old) = self.private_record(kid).await?.filter(|old| old != ENDED) else {
            return Ok(false);
        };
        let encryption = &self.keys.rules.encryption;
        let key = encryption.open(&old, kid)?;
        let current = encryption.is_current(&old, kid);
        let new = if current { old.clone() } else { encryption.seal(&key, &*self.rng)? };
        let place = Key::PrivateKey(kid.to_owned());
        match self.store.swap(&place, Some(&old), Some(&new), None).await? {
            Swap::Done if !current => tracing::info!(kid, "sealed a private key anew"),
            Swap::Done | Swap::Conflict => {}
        }
        Ok(true)
    }

    /// Ends a private key; no change if that is done.
    pub(super) async fn end_private_key(&self, kid: &str, imported: bool) -> Result<(), Failure> {
        let place = Key::PrivateKey(kid.to_owned());
        let new = imported.then_some(ENDED);
        for _ in 0..super::tend::ATTEMPTS {
            let old = self.private_record(kid).await?;
            let old = old.as_deref();
            if old == new
                || old == Some(ENDED)
                || self.store.swap(&place, old, new, None).await? == Swap::Done
            {
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }

    async fn private_record(&self, kid: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.store.read(&[Key::PrivateKey(kid.to_owned())]).await?.pop().flatten())
    }
}
