//! New signing keys: the first, those that an administrator or the age of the present
//! one asks for, and those that an operator brings.

use tessera_shared::{
    config::IssuerUrl,
    keys::{Algorithm, KeyEntry, KeySet, KeyState, PrivateKey},
    store::{Key, StoreError, Swap},
};

use super::tend::ATTEMPTS;
use crate::{
    admin::require_administers_all, bootstrap::StartFailure, caller::Caller, core::Core,
    failure::Failure,
};

impl Core {
    /// Publishes a new key, which signs after the publication delay. Where one of this
    /// algorithm waits already, that one is answered: a retry makes no second.
    pub(crate) async fn rotate_signing_key(
        &self,
        caller: &Caller,
        algorithm: Option<Algorithm>,
    ) -> Result<KeyEntry, Failure> {
        require_administers_all(caller)?;
        let algorithm = algorithm.unwrap_or(self.keys.rules.algorithm);
        let (set, _) = self.key_set().await?.ok_or(Failure::NotReady)?;
        if let Some(waiting) = waiting(&set, algorithm)? {
            return Ok(waiting);
        }
        let key = self.make_private_key(algorithm).await?;
        let kid = key.public().kid().to_owned();
        let published = self.publish(&key, false, |set| waiting(set, algorithm)).await;
        self.discard_if_absent(&kid).await?;
        self.tend_keys().await?;
        Ok(published?.ok_or(StoreError::Contended)?)
    }

    /// Publishes a new key when the signing one is old enough and none waits. Several
    /// issuers may find so at once: one of them makes the key.
    pub(crate) async fn rotate_by_age(&self) -> Result<(), Failure> {
        let Some(period) = self.keys.rules.rotation_period else { return Ok(()) };
        let (set, _) = self.key_set().await?.ok_or(Failure::NotReady)?;
        let old = set.signing().filter(|entry| entry.signs_at.after(period) <= self.now());
        let (Some(old), None) = (old, set.waiting()) else { return Ok(()) };
        let key = self.make_private_key(self.keys.rules.algorithm).await?;
        let kid = key.public().kid().to_owned();
        let published = self.publish(&key, false, |set| {
            let still = set.signing().filter(|entry| entry.public == old.public);
            Ok(set.waiting().or(set.signing().filter(|_| still.is_none())).cloned())
        });
        let published = published.await;
        self.discard_if_absent(&kid).await?;
        published.map(drop)
    }

    /// Publishes the operator's key, unless it was here before, in use or ended.
    pub(crate) async fn import_signing_key(&self, key: &PrivateKey) -> Result<(), Failure> {
        let kid = key.public().kid().to_owned();
        let known = |set: &KeySet| Ok(set.by_kid(&kid).cloned());
        if self.publish(key, true, known).await?.is_none() {
            tracing::warn!(kid, "the key to import was here before and has ended; it stays so");
        }
        Ok(())
    }

    /// Puts a key into the set as the next to sign, unless `instead` answers one there.
    /// `None`: this key has ended before.
    async fn publish(
        &self,
        key: &PrivateKey,
        imported: bool,
        instead: impl Fn(&KeySet) -> Result<Option<KeyEntry>, Failure>,
    ) -> Result<Option<KeyEntry>, Failure> {
        for _ in 0..ATTEMPTS {
            let (set, bytes) = self.key_set().await?.ok_or(Failure::NotReady)?;
            if let Some(entry) = instead(&set)? {
                return Ok(Some(entry));
            }
            let entry = self.waiting_entry(key, imported);
            if !self.write_private_key(key, entry.signs_at).await? {
                return Ok(None);
            }
            let mut next = set.clone();
            next.keys.push(entry.clone());
            if self.replace_key_set(&set, &bytes, &next).await? {
                self.keep_private_key(entry.public.kid()).await?;
                return Ok(Some(entry));
            }
        }
        Err(StoreError::Contended.into())
    }

    pub(super) fn waiting_entry(&self, key: &PrivateKey, imported: bool) -> KeyEntry {
        let now = self.now();
        KeyEntry {
            signs_at: now.after(self.keys.rules.publication_delay),
            token_lifetime: self.policy.access_ttl,
            imported,
            ..KeyEntry::new(key.public().clone(), KeyState::Published, now)
        }
    }

    /// Ends a private key that was made for nothing, since another issuer was first.
    pub(super) async fn discard_if_absent(&self, kid: &str) -> Result<(), Failure> {
        let (set, _) = self.key_set().await?.ok_or(Failure::NotReady)?;
        if set.by_kid(kid).is_none() { self.end_private_key(kid, false).await } else { Ok(()) }
    }

    /// Makes the key set where there is none, with a first key that signs at once; and
    /// sees to the name of the issuer in it. Of several issuers that make a set at
    /// once, the first to write it wins and the others take its.
    pub(crate) async fn prepare_key_set(&self, issuer: &IssuerUrl) -> Result<(), StartFailure> {
        let (set, bytes) = match self.key_set().await? {
            Some(found) => found,
            None => {
                self.make_first_key(&issuer.url).await?;
                self.key_set().await?.ok_or(Failure::NotReady)?
            }
        };
        self.agree_on_issuer(issuer, &set, &bytes).await?;
        for entry in &set.keys {
            match entry.state {
                KeyState::Signing => drop(self.keep_private_key(entry.public.kid()).await?),
                KeyState::Published => drop(self.can_sign_with(entry.public.kid()).await?),
                KeyState::Retired => {}
            }
        }
        let configured = self.keys.rules.algorithm;
        if let Some(signing) = set.signing().filter(|it| it.public.algorithm() != configured) {
            tracing::warn!(signs = %signing.public.algorithm(), %configured,
                "the signing key is of another algorithm than configured; rotate it to change");
        }
        Ok(())
    }

    /// The name in the store stands, since every issuer signs in it and every access token
    /// bears it, unless somebody says to replace just that one.
    async fn agree_on_issuer(
        &self,
        issuer: &IssuerUrl,
        set: &KeySet,
        bytes: &[u8],
    ) -> Result<(), StartFailure> {
        if set.issuer == issuer.url {
            return Ok(());
        }
        if !issuer.is_given {
            tracing::info!(issuer = %set.issuer, "the issuer's URL is the one in the store");
            return Ok(());
        }
        if issuer.former.as_ref() != Some(&set.issuer) {
            return Err(StartFailure::OtherIssuer { held: set.issuer.clone() });
        }
        tracing::warn!(from = %set.issuer, to = %issuer.url, "the issuer's URL changed; access tokens in its old name are denied");
        let next = KeySet { issuer: issuer.url.clone(), ..set.clone() };
        if !self.replace_key_set(set, bytes, &next).await? {
            return Err(Failure::from(StoreError::Contended).into());
        }
        Ok(())
    }

    async fn make_first_key(&self, issuer: &str) -> Result<(), Failure> {
        let key = self.make_private_key(self.keys.rules.algorithm).await?;
        let kid = key.public().kid().to_owned();
        let now = self.now();
        self.write_private_key(&key, now).await?;
        let entry = KeyEntry {
            token_lifetime: self.policy.access_ttl,
            ..KeyEntry::new(key.public().clone(), KeyState::Signing, now)
        };
        let set = KeySet { issuer: issuer.to_owned(), keys: vec![entry] };
        match self.store.swap(&Key::KeySet, None, Some(&set.to_bytes()), None).await? {
            Swap::Done => self.keep_private_key(&kid).await.map(drop),
            Swap::Conflict => self.discard_if_absent(&kid).await,
        }
    }
}

/// The key that waits to sign, if one does; it must be of this algorithm.
fn waiting(set: &KeySet, algorithm: Algorithm) -> Result<Option<KeyEntry>, Failure> {
    match set.waiting() {
        Some(entry) if entry.public.algorithm() != algorithm => Err(Failure::RotationUnderWay),
        waiting => Ok(waiting.cloned()),
    }
}
