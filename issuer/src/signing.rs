//! Signing access tokens with the key of this installation.

use std::sync::Arc;

use tessera_shared::{
    clock::Timestamp,
    id::NoRandomness,
    jwt::{AccessClaims, AccessSigner},
    keys::{Algorithm, KeyEncryptionKey, KeyEntry, KeySet, KeyState, PrivateKey, open, seal},
    store::{Key, StoreError, Swap},
};

use crate::{
    core::{Core, Signing},
    failure::Failure,
};

impl Core {
    /// The `iss` of access tokens.
    pub(crate) fn issuer_name(&self) -> Result<String, Failure> {
        Ok(self.signing()?.issuer.clone())
    }

    /// A `jti` that no other access token has.
    pub(crate) fn jti(&self, now: Timestamp) -> Result<String, Failure> {
        let mut random = [0; 8];
        self.rng.fill(&mut random).map_err(|_| NoRandomness)?;
        Ok(format!("{:x}-{:016x}", now.millis(), u64::from_be_bytes(random)))
    }

    /// A signed access token.
    pub(crate) fn sign(&self, claims: &AccessClaims) -> Result<String, Failure> {
        let signed = self.signing()?.signer.sign(claims);
        signed.map_err(|error| Failure::Internal(error.to_string()))
    }

    fn signing(&self) -> Result<Arc<Signing>, Failure> {
        self.signing.load_full().ok_or(Failure::NotReady)
    }

    /// Loads the signing key, or makes the first one. Of several issuers that make
    /// one at once, the first to write the key set wins and the others take its.
    pub(crate) async fn load_signing_key(
        &self,
        issuer: &str,
        algorithm: Algorithm,
        kek: Option<&KeyEncryptionKey>,
    ) -> Result<(), Failure> {
        let stored = self.store.read(&[Key::KeySet]).await?.pop().flatten();
        let bytes = match stored {
            Some(bytes) => bytes,
            None => self.make_first_key(issuer, algorithm, kek).await?,
        };
        let mut set = KeySet::from_bytes(&bytes).map_err(StoreError::from)?;
        if set.issuer != issuer {
            tracing::warn!(from = %set.issuer, to = issuer, "the issuer's URL changed; access tokens in its old name are denied");
            issuer.clone_into(&mut set.issuer);
            self.store.swap(&Key::KeySet, Some(&bytes), Some(&set.to_bytes()), None).await?;
        }
        let entry = set
            .signing()
            .ok_or_else(|| Failure::Internal("the key set has no signing key".to_owned()))?;
        if entry.public.algorithm() != algorithm {
            tracing::warn!(signs = %entry.public.algorithm(), configured = %algorithm,
                "the signing key is of another algorithm than configured; rotate it to change");
        }
        let kid = entry.public.kid().to_owned();
        let sealed = self.store.read(&[Key::PrivateKey(kid.clone())]).await?.pop().flatten();
        let sealed = sealed.ok_or(StoreError::Damaged("the private signing key is missing"))?;
        let key = open(&sealed, &kid, kek)?;
        let signing = Signing { signer: AccessSigner::new(key), issuer: issuer.to_owned() };
        self.signing.store(Some(Arc::new(signing)));
        Ok(())
    }

    async fn make_first_key(
        &self,
        issuer: &str,
        algorithm: Algorithm,
        kek: Option<&KeyEncryptionKey>,
    ) -> Result<Vec<u8>, Failure> {
        let rng = self.rng.clone();
        let made = tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm, &*rng));
        let key = made.await.map_err(|e| Failure::Internal(e.to_string()))??;
        let public = key.public().clone();
        let kid = public.kid().to_owned();
        let sealed = seal(&key, kek, &*self.rng)?;
        self.store.swap(&Key::PrivateKey(kid), None, Some(&sealed), None).await?;
        let set = KeySet {
            issuer: issuer.to_owned(),
            keys: vec![KeyEntry { public, state: KeyState::Signing, created_at: self.now() }],
        };
        let bytes = set.to_bytes();
        match self.store.swap(&Key::KeySet, None, Some(&bytes), None).await? {
            Swap::Done => Ok(bytes),
            Swap::Conflict => {
                let theirs = self.store.read(&[Key::KeySet]).await?.pop().flatten();
                Ok(theirs.ok_or(StoreError::Contended)?)
            }
        }
    }
}
