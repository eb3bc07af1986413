//! The end of a signing key: in order, or at once when it is in wrong hands.

use tessera_shared::{
    keys::{KeyEntry, KeySet, KeyState, PrivateKey},
    store::StoreError,
};

use super::tend::ATTEMPTS;
use crate::{admin::require_administers_all, caller::Caller, core::Core, failure::Failure};

const NOT_FOUND: Failure = Failure::NotFound("signing key");

/// What became of a key.
#[derive(Debug)]
pub(crate) struct Retirement {
    /// The key; if it is gone, as it was.
    pub(crate) entry: KeyEntry,
    /// Whether it is in the set no more.
    pub(crate) gone: bool,
    /// What signs in its place, if it signed until now.
    pub(crate) successor: Option<KeyEntry>,
}

impl Core {
    /// Takes a key out of use. A waiting key goes; it signed nothing. A retired one
    /// stays until its last token has expired, unless it is to go `now`. The signing
    /// one can only go `now`: otherwise it retires when the next one signs.
    pub(crate) async fn retire_signing_key(
        &self,
        caller: &Caller,
        kid: &str,
        now: bool,
    ) -> Result<Retirement, Failure> {
        require_administers_all(caller)?;
        let mut made = None;
        let retired = self.retire(kid, now, &mut made).await;
        if let Some(made) = made {
            self.discard_if_absent(made.public().kid()).await?;
        }
        retired
    }

    async fn retire(
        &self,
        kid: &str,
        at_once: bool,
        made: &mut Option<PrivateKey>,
    ) -> Result<Retirement, Failure> {
        for _ in 0..ATTEMPTS {
            let (set, bytes) = self.key_set().await?.ok_or(Failure::NotReady)?;
            let Some(entry) = set.by_kid(kid).cloned() else {
                // A call before this one may have died with half of its work done.
                self.end_private_key(kid, false).await?;
                return Err(NOT_FOUND);
            };
            let next = match (entry.state, at_once) {
                (KeyState::Signing, false) => return Err(Failure::KeySigns),
                (KeyState::Signing, true) => self.replaced(&set, &entry, made).await?,
                (KeyState::Retired, false) => {
                    return Ok(Retirement { entry, gone: false, successor: None });
                }
                (KeyState::Published, _) | (KeyState::Retired, true) => set.clone().without(kid),
            };
            if self.replace_key_set(&set, &bytes, &next).await? {
                self.finish_retirement(&set, &next).await?;
                self.tend_keys().await?;
                let signed = entry.state == KeyState::Signing;
                let successor = next.signing().filter(|_| signed).cloned();
                return Ok(Retirement { entry, gone: true, successor });
            }
        }
        Err(StoreError::Contended.into())
    }

    /// The set without its signing key, in whose place the next one signs at once: the
    /// one that waits, which verifiers know already, or else a new one.
    async fn replaced(
        &self,
        set: &KeySet,
        signing: &KeyEntry,
        made: &mut Option<PrivateKey>,
    ) -> Result<KeySet, Failure> {
        let now = self.now();
        let next = set.clone().without(signing.public.kid());
        if let Some(waiting) = set.waiting().map(|entry| entry.public.kid().to_owned())
            && self.can_sign_with(&waiting).await?
        {
            return Ok(next.signing_with(&waiting, now));
        }
        let key = match made.take() {
            Some(key) => key,
            None => self.make_private_key(self.keys.rules.algorithm).await?,
        };
        let entry = KeyEntry { signs_at: now, ..self.waiting_entry(&key, false) };
        let kid = entry.public.kid().to_owned();
        self.write_private_key(&key, now).await?;
        self.keep_private_key(&kid).await?;
        *made = Some(key);
        let mut next = next;
        next.keys.push(entry);
        Ok(next.signing_with(&kid, now))
    }
}
