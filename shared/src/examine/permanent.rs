//! Permanent tokens: the record decides, then its owner, then its time.

use super::{Good, Reason, Refusal};
use crate::{
    clock::Timestamp,
    id::{AccountId, TokenId, UserId},
    opaque::Presented,
    principal::{Principal, Proof},
    record::{Account, PermanentToken, User},
    role::{Catalogue, ScopeSet},
    store::{Key, StoreError, StoreReader, records},
};

pub(super) async fn examine(
    store: &dyn StoreReader,
    presented: &Presented,
    now: Timestamp,
) -> Result<Good, Refusal> {
    let token: PermanentToken =
        records::load(store, presented.id.into()).await?.ok_or(Reason::Unknown)?;
    check_secret(&token, presented, now)?;
    if token.revoked_at != 0 {
        return Err(Reason::Revoked.into());
    }
    let (account, user) = ids(&token)?;
    let values = store.read(&[account.into(), user.into(), Key::Roles]).await?;
    let [account_bytes, user_bytes, roles] = values.as_slice() else {
        return Err(StoreError::Damaged("an answer of the store").into());
    };
    let account: Option<Account> = account_bytes.as_deref().map(records::decode).transpose()?;
    let user: Option<User> = user_bytes.as_deref().map(records::decode).transpose()?;
    let enabled = |user: &User| !user.disabled && account.as_ref().is_some_and(|a| !a.disabled);
    let user = user.filter(enabled).ok_or(Reason::PrincipalDisabled)?;
    check_time(&token, now)?;
    Ok(good(token, &user, roles.as_deref())?)
}

/// Compares the presented secret with the current one and, while its overlap lasts,
/// the one before. An older one was real once: it is told apart and logged, since
/// an old copy is in somebody's hands.
fn check_secret(
    token: &PermanentToken,
    presented: &Presented,
    now: Timestamp,
) -> Result<(), Reason> {
    if presented.hash.matches(&token.hash) {
        return Ok(());
    }
    let previous = presented.hash.matches(&token.previous_hash);
    if previous && now.millis() < token.previous_expires_at {
        return Ok(());
    }
    if previous || token.retired.iter().any(|old| old == presented.hash.prefix()) {
        tracing::warn!(token.id, "a secret that a rotation replaced was presented");
        return Err(Reason::Revoked);
    }
    Err(Reason::Unknown)
}

fn check_time(token: &PermanentToken, now: Timestamp) -> Result<(), Reason> {
    if token.expires_at != 0 && now.millis() >= token.expires_at {
        return Err(Reason::Expired);
    }
    if now.millis() < token.not_before {
        return Err(Reason::NotYetValid);
    }
    Ok(())
}

fn good(token: PermanentToken, user: &User, roles: Option<&[u8]>) -> Result<Good, StoreError> {
    let roles = roles.ok_or(StoreError::Damaged("the role catalogue is missing"))?;
    let catalogue =
        Catalogue::from_bytes(roles).map_err(|_| StoreError::Damaged("the role catalogue"))?;
    let (account, owner) = ids(&token)?;
    let id = TokenId::try_from(token.id).map_err(|_| StoreError::Damaged("a permanent token"))?;
    let role = catalogue.by_id(token.role);
    Ok(Good {
        principal: Principal {
            proof: Proof::PermanentToken(id),
            account,
            user: owner,
            role: role.map(|role| role.name.clone()).unwrap_or_default(),
            scopes: effective_scopes(&catalogue, token.role, user.role),
            audiences: token.audiences,
            issued_at: Timestamp::from_millis(token.created_at),
            expires_at: (token.expires_at != 0).then(|| Timestamp::from_millis(token.expires_at)),
            name: token.name,
        },
        allowed_cidrs: token.allowed_cidrs,
    })
}

/// The scopes of the token's role that its owner's role still has: an owner who is
/// demoted takes their tokens along. A role that left the catalogue has none.
pub fn effective_scopes(catalogue: &Catalogue, token_role: i64, user_role: i64) -> ScopeSet {
    match (catalogue.by_id(token_role), catalogue.by_id(user_role)) {
        (Some(token), Some(user)) => token.scopes.intersection(&user.scopes),
        _ => ScopeSet::default(),
    }
}

fn ids(token: &PermanentToken) -> Result<(AccountId, UserId), StoreError> {
    let damaged = |_| StoreError::Damaged("a permanent token");
    Ok((token.account.try_into().map_err(damaged)?, token.user.try_into().map_err(damaged)?))
}
