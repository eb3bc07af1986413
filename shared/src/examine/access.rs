//! Access tokens: the signature proves them, and the revocations can end them early.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{Good, Reason, Refusal};
use crate::{
    clock::Timestamp,
    jwt::{self, Rejection, VerifiedClaims, VerifyingKeys},
    keys::KeySet,
    principal::{Principal, Proof},
    revocation::{ALL_VERSIONS, Bucket, Subject},
    role::ScopeSet,
    store::{Key, StoreError, StoreReader},
};

/// The keys as last read, so that they are parsed once and not for each token.
#[derive(Default)]
pub(super) struct Keys(ArcSwapOption<(Vec<u8>, VerifyingKeys)>);

impl Keys {
    fn parsed(&self, bytes: Vec<u8>) -> Result<Arc<(Vec<u8>, VerifyingKeys)>, StoreError> {
        if let Some(last) = self.0.load_full().filter(|last| last.0 == bytes) {
            return Ok(last);
        }
        let set = KeySet::from_bytes(&bytes)?;
        let parsed = Arc::new((bytes, VerifyingKeys::from(&set)));
        self.0.store(Some(parsed.clone()));
        Ok(parsed)
    }
}

pub(super) async fn examine(
    store: &dyn StoreReader,
    keys: &Keys,
    token: &str,
    now: Timestamp,
) -> Result<Good, Refusal> {
    let claims = verified(store, keys, token, now).await?;
    let revocable = Revocable::from(&claims);
    let buckets = store.read(&revocable.keys()).await?;
    let buckets: Result<Vec<_>, _> =
        buckets.iter().map(|bucket| Bucket::decode(bucket.as_deref())).collect();
    match revocable.end(buckets?.iter()) {
        Some(reason) => Err(reason.into()),
        None => Ok(good(claims)),
    }
}

/// Signature, claims and time.
pub(super) async fn verified(
    store: &dyn StoreReader,
    keys: &Keys,
    token: &str,
    now: Timestamp,
) -> Result<VerifiedClaims, Refusal> {
    let bytes = store.read(&[Key::KeySet]).await?.pop().flatten();
    let keys = keys.parsed(key_set(bytes)?)?;
    Ok(jwt::verify(token, &keys.1, now).map_err(Reason::from)?)
}

/// The key set, which is never missing once the issuer was up.
///
/// # Errors
/// When it is missing: the question can't be answered yet.
pub fn key_set(bytes: Option<Vec<u8>>) -> Result<Vec<u8>, StoreError> {
    bytes.ok_or(StoreError::Unavailable("no signing key yet".into()))
}

/// What a revocation may name of an access token, and its version of it: the session or
/// permanent token, the user, the account.
#[derive(Clone, Copy, Debug)]
pub struct Revocable([(Subject, u32); 3]);

impl From<&VerifiedClaims> for Revocable {
    fn from(claims: &VerifiedClaims) -> Self {
        let proof = match claims.claims().proof {
            Proof::Session(id) => (Subject::Session(id), 0),
            Proof::PermanentToken(id) => {
                (Subject::Token(id), claims.claims().token_version.unwrap_or_default())
            }
        };
        Self([
            proof,
            (Subject::User(claims.user()), claims.claims().user_version),
            (Subject::Account(claims.account()), 0),
        ])
    }
}

impl Revocable {
    /// Where the revocations are.
    pub fn keys(&self) -> [Key; 3] {
        self.0.map(|(subject, _)| subject.key())
    }

    /// Why the revocations, as they stand under [`Self::keys`], end the token early, if
    /// they do. A user or an account is named with all versions while it is disabled.
    pub fn end<'a>(&self, buckets: impl Iterator<Item = &'a Bucket>) -> Option<Reason> {
        let mut ended = None;
        for ((subject, version), bucket) in self.0.iter().zip(buckets) {
            let lowest = bucket.min_version(*subject);
            if *version < lowest {
                let is_principal = matches!(subject, Subject::User(_) | Subject::Account(_));
                if is_principal && lowest == ALL_VERSIONS {
                    return Some(Reason::PrincipalDisabled);
                }
                ended = Some(Reason::Revoked);
            }
        }
        ended
    }
}

/// What verified claims say, unless a revocation ends them.
pub fn good(claims: VerifiedClaims) -> Good {
    let claims = claims.into_claims();
    // A token is good from its `nbf`, and not much before its `iat`.
    let begins = claims.issued_at.before(jwt::CLOCK_SKEW);
    let secret_version = match claims.proof {
        Proof::Session(_) => 0,
        Proof::PermanentToken(_) => claims.secret_version.unwrap_or(1),
    };
    Good {
        not_before: claims.not_before.map_or(begins, |not_before| begins.max(not_before)),
        principal: Principal {
            proof: claims.proof,
            secret_version,
            account: claims.account,
            user: claims.user,
            role: claims.role,
            scopes: ScopeSet::from_claim(&claims.scope),
            audiences: claims.audiences,
            issued_at: claims.issued_at,
            expires_at: Some(claims.expires_at),
            name: claims.name,
        },
        allowed_cidrs: claims.allowed_cidrs,
    }
}

impl From<Rejection> for Reason {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Malformed => Self::Malformed,
            Rejection::WrongType => Self::WrongType,
            Rejection::BadSignature | Rejection::UnknownKey => Self::BadSignature,
            Rejection::WrongIssuer => Self::WrongIssuer,
            Rejection::Expired => Self::Expired,
            Rejection::NotYetValid => Self::NotYetValid,
        }
    }
}
