//! Access tokens of one session, under a signing key of their own.

use std::time::Duration;

use ring::rand::SystemRandom;
use tessera_shared::{
    id::{AccountId, SessionId, UserId},
    jwt::{AccessClaims, AccessSigner, provider},
    keys::{Algorithm, KeyEntry, KeySet, KeyState, PrivateKey},
    principal::Proof,
    revocation::{ALL_VERSIONS, Revocation, Subject},
    store::Key,
};

use super::{FakeStore, NOW};

const ISSUER: &str = "https://tessera.test";

/// A session, and the key that signs its access tokens.
pub(crate) struct Access {
    signer: AccessSigner,
    session: SessionId,
}

impl Access {
    /// The number of the session.
    pub(crate) const SESSION: i64 = 9;

    /// Makes the key, and publishes it in place of any other.
    pub(crate) fn new(store: &FakeStore) -> Self {
        Self::new_for(store, ISSUER)
    }

    /// The same, of an issuer with this URL.
    pub(crate) fn new_for(store: &FakeStore, issuer: &str) -> Self {
        provider::install();
        let key = PrivateKey::generate(Algorithm::Es256, &SystemRandom::new()).unwrap();
        let entry = KeyEntry::new(key.public().clone(), KeyState::Signing, NOW);
        let set = KeySet { issuer: issuer.to_owned(), keys: vec![entry] };
        store.put(Key::KeySet, set.to_bytes());
        let session = SessionId::try_from(Self::SESSION).unwrap();
        Self { signer: AccessSigner::new(key), session }
    }

    pub(crate) fn kid(&self) -> &str {
        self.signer.kid()
    }

    /// A token that is good for an hour; another each time.
    pub(crate) fn token(&self) -> String {
        let claims = AccessClaims {
            issuer: ISSUER.to_owned(),
            user: UserId::FIRST,
            account: AccountId::FIRST,
            proof: Proof::Session(self.session),
            user_version: 0,
            token_version: None,
            secret_version: None,
            audiences: vec!["cdn".to_owned()],
            issued_at: NOW,
            expires_at: NOW.after(Duration::from_secs(3600)),
            not_before: None,
            jti: "1".to_owned(),
            role: "Users".to_owned(),
            scope: "cdn:read".to_owned(),
            name: "ada".to_owned(),
            allowed_cidrs: Vec::new(),
        };
        self.signer.sign(&claims).unwrap()
    }

    /// Ends the session.
    pub(crate) fn end(&self, store: &FakeStore) {
        let subject = Subject::Session(self.session);
        let garbage_at = NOW.after(Duration::from_secs(7200));
        let ended = Revocation { min_version: ALL_VERSIONS, revision: 0, garbage_at };
        store.put(subject.key(), subject.revoke(None, ended, NOW).unwrap());
    }
}
