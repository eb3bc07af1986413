//! Permanent tokens: the record decides, then its owner, then its time.
//!
//! The steps are pure functions of records, so that a verifier can take records from
//! its memory, and keep a [`Finding`] for as long as none of them changes.

use std::sync::Arc;

use super::{Finding, Good, Reason, Refusal};
use crate::{
    clock::Timestamp,
    id::{AccountId, TokenId, UserId},
    opaque::Presented,
    principal::{Principal, Proof},
    record::{Account, PermanentToken, Secret, User},
    role::{Catalogue, ScopeSet},
    sparing::Sparing,
    store::{Key, StoreError, StoreReader, records},
};

/// A token's record, whose secret is the one presented.
pub struct Claimed {
    token: PermanentToken,
    secret: Secret,
}

/// Whom a token speaks for, as the store has them.
pub struct Owner {
    /// The user; `None`: there is none.
    pub user: Option<Arc<User>>,
    /// The user's account; `None`: there is none.
    pub account: Option<Arc<Account>>,
}

pub(super) async fn examine(
    store: &dyn StoreReader,
    presented: &Presented,
    now: Timestamp,
) -> Result<Good, Refusal> {
    let token = records::load(store, presented.id.into()).await?;
    let claimed = Claimed::of(presented, token)?;
    if claimed.secret.replaced_at <= now {
        return Err(Reason::Replaced(presented.id).into());
    }
    let (account, user) = claimed.owner()?;
    let values = store.read(&[account.into(), user.into(), Key::Roles]).await?;
    let [account, user, roles] = values.as_slice() else {
        return Err(StoreError::Damaged("an answer of the store").into());
    };
    let owner = Owner::decode(user.as_deref(), account.as_deref())?;
    let finding = claimed.finding(&owner, &catalogue(roles.as_deref())?)?;
    match finding.refusal_at(now) {
        Some(reason) => Err(reason.into()),
        None => finding.outcome.map_err(Refusal::Denied),
    }
}

/// Reads the role catalogue, which is never missing once the issuer was up.
///
/// # Errors
/// When it is missing or can't be read.
pub fn catalogue(bytes: Option<&[u8]>) -> Result<Catalogue, StoreError> {
    let bytes = bytes.ok_or(StoreError::Damaged("the role catalogue is missing"))?;
    Catalogue::from_bytes(bytes).map_err(|_| StoreError::Damaged("the role catalogue"))
}

impl Owner {
    /// Reads both records.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn decode(user: Option<&[u8]>, account: Option<&[u8]>) -> Result<Self, StoreError> {
        let user = user.map(records::decode).transpose()?.map(Arc::new);
        let account = account.map(records::decode).transpose()?.map(Arc::new);
        Ok(Self { user, account })
    }

    fn enabled(&self) -> Option<&User> {
        let is_open = self.account.as_ref().is_some_and(|account| !account.disabled);
        self.user.as_deref().filter(|user| is_open && !user.disabled)
    }
}

/// A flood of one token's hides that of few others in the log, and of none in the records.
fn tell_of_an_old_secret(id: i64) {
    static LINES: [Sparing; 16] = [const { Sparing::new() }; 16];
    let line = usize::try_from(id % 16).ok().and_then(|place| LINES.get(place));
    if let Some(left_out) = line.and_then(Sparing::turn) {
        tracing::warn!(token.id = id, left_out, "a secret that a rotation replaced was presented");
    }
}

impl Claimed {
    /// Compares the presented secret with the record's: the present one and those
    /// before, whose time may be over. One that is older was real once: it is told apart
    /// and logged, since an old copy is in somebody's hands.
    ///
    /// # Errors
    /// Why the token is refused, whoever owns it.
    pub fn of(presented: &Presented, token: Option<PermanentToken>) -> Result<Self, Reason> {
        let token = token.ok_or(Reason::Unknown)?;
        let secret = if let Some(secret) = token.secret(&presented.hash) {
            secret
        } else if token.retired.iter().any(|old| old == presented.hash.prefix()) {
            tell_of_an_old_secret(token.id);
            return Err(Reason::Replaced(presented.id));
        } else {
            return Err(Reason::Unknown);
        };
        if token.revoked_at == 0 { Ok(Self { token, secret }) } else { Err(Reason::Revoked) }
    }

    /// Whose it is.
    ///
    /// # Errors
    /// When the record holds no ids.
    pub fn owner(&self) -> Result<(AccountId, UserId), StoreError> {
        let damaged = |_| StoreError::Damaged("a permanent token");
        let account = self.token.account.try_into().map_err(damaged)?;
        Ok((account, self.token.user.try_into().map_err(damaged)?))
    }

    fn id(&self) -> Result<TokenId, StoreError> {
        self.token.id.try_into().map_err(|_| StoreError::Damaged("a permanent token"))
    }

    /// What these records say of the token.
    ///
    /// # Errors
    /// When the record can't be read.
    pub fn finding(self, owner: &Owner, catalogue: &Catalogue) -> Result<Finding, StoreError> {
        let replaced_at = self.secret.replaced_at;
        let token = Some(self.id()?);
        let outcome = match owner.enabled() {
            Some(user) => Ok(self.good(user, catalogue)?),
            None => Err(Reason::PrincipalDisabled),
        };
        Ok(Finding { token, replaced_at, outcome })
    }

    fn good(self, user: &User, catalogue: &Catalogue) -> Result<Good, StoreError> {
        let (account, owner) = self.owner()?;
        let id = self.id()?;
        let token = self.token;
        let role = catalogue.by_id(token.role);
        let expires_at = Timestamp::from_millis(token.expires_at);
        Ok(Good {
            principal: Principal {
                proof: Proof::PermanentToken(id),
                secret_version: self.secret.version,
                account,
                user: owner,
                role: role.map(|role| role.name.clone()).unwrap_or_default(),
                scopes: effective_scopes(catalogue, token.role, user.role),
                audiences: token.audiences,
                issued_at: Timestamp::from_millis(token.created_at),
                expires_at: (token.expires_at != 0).then_some(expires_at),
                name: token.name,
            },
            not_before: Timestamp::from_millis(token.not_before),
            allowed_cidrs: token.allowed_cidrs,
        })
    }
}

/// The scopes of the token's role that its owner's role still has: an owner who is
/// demoted takes their tokens along. A role that left the catalogue has none.
pub fn effective_scopes(catalogue: &Catalogue, token_role: i64, user_role: i64) -> ScopeSet {
    match (catalogue.by_id(token_role), catalogue.by_id(user_role)) {
        (Some(token), Some(user)) => token.scopes.intersection(&user.scopes),
        _ => ScopeSet::default(),
    }
}
