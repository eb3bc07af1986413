//! Access tokens: the signature proves them, and the revocations can end them early.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{Good, Reason, Refusal};
use crate::{
    clock::Timestamp,
    jwt::{self, AccessClaims, Rejection, VerifiedClaims, VerifyingKeys},
    keys::KeySet,
    principal::{Principal, Proof},
    revocation::{ALL_VERSIONS, Subject},
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
    let bytes = store.read(&[Key::KeySet]).await?.pop().flatten();
    let bytes = bytes.ok_or(StoreError::Unavailable("no signing key yet".into()))?;
    let keys = keys.parsed(bytes)?;
    let claims = jwt::verify(token, &keys.1, now).map_err(reason)?;
    match ended(store, &claims).await? {
        Some(reason) => Err(reason.into()),
        None => Ok(good(claims.into_claims())),
    }
}

/// Why the revocations end this token early, if they do. A user or an account is
/// named with all versions while it is disabled.
async fn ended(
    store: &dyn StoreReader,
    claims: &VerifiedClaims,
) -> Result<Option<Reason>, StoreError> {
    let (proof, version) = match claims.claims().proof {
        Proof::Session(id) => (Subject::Session(id), 0),
        Proof::PermanentToken(id) => {
            (Subject::Token(id), claims.claims().token_version.unwrap_or_default())
        }
    };
    let subjects = [
        (proof, version),
        (Subject::User(claims.user()), claims.claims().user_version),
        (Subject::Account(claims.account()), 0),
    ];
    let buckets = store.read(&subjects.map(|(subject, _)| subject.key())).await?;
    let mut ended = None;
    for ((subject, version), bucket) in subjects.into_iter().zip(buckets) {
        let lowest = subject.min_version(bucket.as_deref())?;
        if version < lowest {
            let is_principal = matches!(subject, Subject::User(_) | Subject::Account(_));
            if is_principal && lowest == ALL_VERSIONS {
                return Ok(Some(Reason::PrincipalDisabled));
            }
            ended = Some(Reason::Revoked);
        }
    }
    Ok(ended)
}

fn good(claims: AccessClaims) -> Good {
    Good {
        principal: Principal {
            proof: claims.proof,
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

fn reason(rejection: Rejection) -> Reason {
    match rejection {
        Rejection::Malformed => Reason::Malformed,
        Rejection::WrongType => Reason::WrongType,
        Rejection::BadSignature | Rejection::UnknownKey => Reason::BadSignature,
        Rejection::WrongIssuer => Reason::WrongIssuer,
        Rejection::Expired => Reason::Expired,
        Rejection::NotYetValid => Reason::NotYetValid,
    }
}
