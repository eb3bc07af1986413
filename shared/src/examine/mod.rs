//! Is this token good, here, for this? The examination that the verifier does for
//! others and the issuer for its own callers.
//!
//! An examination ends in a [`Verdict`], or in a [`StoreError`] when the question
//! could not be answered: an outage is never a denial and never a grant.

pub mod access;
mod finding;
pub mod permanent;

pub use self::{
    finding::{Finding, Good, Terms, networks},
    permanent::effective_scopes,
};

use std::{net::IpAddr, sync::Arc};

use crate::{
    clock::Timestamp,
    id::TokenId,
    jwt::{self, VerifiedClaims},
    opaque::{Form, LONGEST_TOKEN, Opaque},
    principal::Principal,
    store::{StoreError, StoreReader},
};

/// Why a token was refused. The order is that of the examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Not a token.
    Malformed,
    /// No such token.
    Unknown,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Ended on purpose.
    Revoked,
    /// The same, and more: a rotation replaced this secret of the token, so that an
    /// old copy is in somebody's hands.
    Replaced(TokenId),
    /// The user or the account is disabled, or gone.
    PrincipalDisabled,
    /// Not for the service that asks.
    WrongAudience,
    /// A required scope is not held.
    InsufficientScope,
    /// Not from one of its networks.
    AddressNotAllowed,
    /// Not signed by this installation.
    BadSignature,
    /// A token of another kind.
    WrongType,
    /// Of another installation.
    WrongIssuer,
}

/// What an examination found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token is good.
    Granted(Box<Principal>),
    /// The token is refused.
    Denied(Reason),
}

/// What the asker needs of the token. The default needs nothing.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The service that asks; `None`: not checked.
    pub audience: Option<String>,
    /// All of these must be held.
    pub required_scopes: Vec<String>,
    /// Where the token came from; `None`: not known, so a token limited to networks is denied.
    pub client_address: Option<IpAddr>,
}

/// Examines tokens against a store.
pub struct Examiner {
    opaque: Opaque,
    store: Arc<dyn StoreReader>,
    keys: access::Keys,
}

impl Examiner {
    /// For the tokens of one installation.
    pub fn new(opaque: Opaque, store: Arc<dyn StoreReader>) -> Self {
        Self { opaque, store, keys: access::Keys::default() }
    }

    /// Examines `token` at `now`, reading the store.
    ///
    /// # Errors
    /// When the store could not answer.
    pub async fn examine(
        &self,
        token: &str,
        question: &Question,
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let good = match self.good(token, now).await {
            Ok(good) => good,
            Err(Refusal::Denied(reason)) => return Ok(Verdict::Denied(reason)),
            Err(Refusal::Store(error)) => return Err(error),
        };
        Ok(match good.refusal_of(question) {
            Some(reason) => Verdict::Denied(reason),
            None => Verdict::Granted(Box::new(good.principal)),
        })
    }

    /// What an access token says, by its signature and its time alone: whether it was
    /// revoked is not asked, nor from where it may be used.
    ///
    /// # Errors
    /// When the store could not answer; within: why it is no access token.
    pub async fn verified(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Result<VerifiedClaims, Reason>, StoreError> {
        match access::verified(&*self.store, &self.keys, token, now).await {
            Ok(claims) => Ok(Ok(claims)),
            Err(Refusal::Denied(reason)) => Ok(Err(reason)),
            Err(Refusal::Store(error)) => Err(error),
        }
    }

    async fn good(&self, token: &str, now: Timestamp) -> Result<Good, Refusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(Reason::Malformed.into());
        }
        match self.opaque.parse(token) {
            Some(Form::Permanent(presented)) => {
                permanent::examine(&*self.store, &presented, now).await
            }
            Some(Form::Refresh(_)) => Err(Reason::WrongType.into()),
            None if jwt::looks_like_jwt(token) => {
                access::examine(&*self.store, &self.keys, token, now).await
            }
            None => Err(Reason::Malformed.into()),
        }
    }
}

/// How an examination ends early.
enum Refusal {
    Denied(Reason),
    Store(StoreError),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Denied(reason)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
