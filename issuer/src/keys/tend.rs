//! Reading the key set, and moving on the keys in it whose time has come.

use std::sync::Arc;

use tessera_shared::{
    clock::Timestamp,
    jwt::AccessSigner,
    keys::{Algorithm, KeyEntry, KeyError, KeySet, KeyState, PrivateKey},
    store::{Key, StoreError, Swap},
};

use super::Held;
use crate::{core::Core, failure::Failure};

/// How often a change of the key set is tried when others change it too.
pub(super) const ATTEMPTS: usize = 32;

impl Core {
    /// Reads the key set; a waiting key that is due signs from now on, and a retired
    /// one that is over goes. Then this issuer holds what it read.
    pub(crate) async fn tend_keys(&self) -> Result<Arc<Held>, Failure> {
        for _ in 0..ATTEMPTS {
            let seen_at = self.now();
            let (set, bytes) = self.key_set().await?.ok_or(Failure::NotReady)?;
            let next = self.moved_on(set.clone(), seen_at).await?;
            if next != set {
                let over: Vec<_> = set.expired(seen_at).cloned().collect();
                for entry in &over {
                    self.end_private_key(entry.public.kid(), entry.imported).await?;
                }
                if self.replace_key_set(&set, &bytes, &next).await? {
                    self.finish_retirement(&set, &next).await?;
                }
                continue;
            }
            if let Some(held) = self.held(set, seen_at).await? {
                self.keys.hold(&held);
                return Ok(held);
            }
        }
        Err(StoreError::Damaged("the private signing key is missing").into())
    }

    /// The key set in the store, and its record.
    pub(crate) async fn key_set(&self) -> Result<Option<(KeySet, Vec<u8>)>, Failure> {
        let Some(bytes) = self.store.read(&[Key::KeySet]).await?.pop().flatten() else {
            return Ok(None);
        };
        Ok(Some((KeySet::from_bytes(&bytes).map_err(StoreError::from)?, bytes)))
    }

    /// Writes `next` in place of `set`; false: somebody else was first.
    pub(super) async fn replace_key_set(
        &self,
        set: &KeySet,
        bytes: &[u8],
        next: &KeySet,
    ) -> Result<bool, Failure> {
        let swap = self.store.swap(&Key::KeySet, Some(bytes), Some(&next.to_bytes()), None).await?;
        if swap == Swap::Done {
            log_changes(set, next);
        }
        Ok(swap == Swap::Done)
    }

    /// The set as it should be at `now`.
    async fn moved_on(&self, set: KeySet, now: Timestamp) -> Result<KeySet, Failure> {
        let mut next = set.for_tokens_of(self.policy.access_ttl);
        let over: Vec<_> = next.expired(now).map(|entry| entry.public.kid().to_owned()).collect();
        for kid in over {
            next = next.without(&kid);
        }
        while let Some(kid) = next.due(now).map(|entry| entry.public.kid().to_owned()) {
            if !self.can_sign_with(&kid).await? {
                break;
            }
            next = next.signing_with(&kid, now);
        }
        Ok(next)
    }

    /// Whether this issuer can open the private key of a waiting one, which is then
    /// kept for good. An issuer moves no key on that it could not sign with itself.
    pub(super) async fn can_sign_with(&self, kid: &str) -> Result<bool, Failure> {
        match self.keep_private_key(kid).await {
            Ok(true) => Ok(true),
            Err(error @ Failure::StoreUnavailable(_)) => Err(error),
            unusable => {
                let known = self.keys.unusable.load_full();
                if known.is_none_or(|known| *known != kid) {
                    let cause = unusable.err().map(|error| error.in_full());
                    let cause = cause.unwrap_or_else(|| "it is missing".to_owned());
                    tracing::error!(
                        kid,
                        cause,
                        "the private key that is to sign next can't be used; the present one goes on"
                    );
                    self.keys.unusable.store(Some(Arc::new(kid.to_owned())));
                }
                Ok(false)
            }
        }
    }

    /// The private keys of those that sign no more by this change are of no more use.
    pub(super) async fn finish_retirement(
        &self,
        before: &KeySet,
        after: &KeySet,
    ) -> Result<(), Failure> {
        let in_use = |entry: &KeyEntry| entry.state != KeyState::Retired;
        for entry in before.keys.iter().filter(|entry| in_use(entry)) {
            let kid = entry.public.kid();
            if !after.by_kid(kid).is_some_and(in_use) {
                self.end_private_key(kid, entry.imported).await?;
            }
        }
        Ok(())
    }

    /// What to hold of this set; `None`: its signing key was just replaced, read again.
    async fn held(&self, set: KeySet, seen_at: Timestamp) -> Result<Option<Arc<Held>>, Failure> {
        let kid = set.signing().map(|entry| entry.public.kid().to_owned());
        let kid = kid.ok_or(StoreError::Damaged("the key set has no signing key"))?;
        let present = self.keys.held.load_full().filter(|held| held.signer.kid() == kid);
        let signer = match present {
            Some(held) => held.signer.clone(),
            None => match self.private_key(&kid).await? {
                Some(key) => Arc::new(AccessSigner::new(key)),
                None => return Ok(None),
            },
        };
        Ok(Some(Arc::new(Held { set, signer, seen_at })))
    }

    /// Makes a private key, off the threads that serve: RSA takes seconds.
    pub(super) async fn make_private_key(
        &self,
        algorithm: Algorithm,
    ) -> Result<PrivateKey, Failure> {
        let rng = self.rng.clone();
        let made = tokio::task::spawn_blocking(move || {
            loop {
                let key = PrivateKey::generate(algorithm, &*rng)?;
                // On a command line a `kid` with a hyphen in front looks like an option.
                if !key.public().kid().starts_with('-') {
                    return Ok::<_, KeyError>(key);
                }
            }
        });
        Ok(made.await.map_err(|error| Failure::Internal(error.to_string()))??)
    }
}

/// Who changes a key's state says so, and nobody else.
fn log_changes(before: &KeySet, after: &KeySet) {
    for entry in &after.keys {
        let kid = entry.public.kid();
        let was = before.by_kid(kid).map(|entry| entry.state);
        if was != Some(entry.state) {
            let (algorithm, state) = (entry.public.algorithm(), entry.state);
            tracing::info!(kid, %algorithm, ?state, "a signing key moved on");
        }
    }
    for entry in before.keys.iter().filter(|entry| after.by_kid(entry.public.kid()).is_none()) {
        tracing::info!(kid = entry.public.kid(), "a signing key is gone");
    }
}
