//! Permanent tokens: their whole life.
//!
//! A token is one record, so each step of its life is one atomic write. Beside it
//! stand two lists that grant nothing: the account's tokens, and those counted as
//! live. Both are written before the record and mended by the sweep.

mod change;
mod create;
mod exchange;
#[cfg(test)]
mod limits_tests;
mod list;
mod reach;
#[cfg(test)]
mod replaced_tests;
mod rotate;
#[cfg(test)]
mod rotate_tests;
#[cfg(test)]
mod sibling_tests;

pub(crate) use self::{change::Change, create::NewToken, list::Filter};

use tessera_shared::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    record::PermanentToken,
    store::records,
};

use crate::{
    caller::Caller,
    core::{Core, damaged_id},
    failure::Failure,
    fields,
};

/// Where a permanent token is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    NotYetValid,
    Expired,
    Revoked,
}

impl State {
    pub(crate) fn of(token: &PermanentToken, now: Timestamp) -> Self {
        if token.revoked_at != 0 {
            Self::Revoked
        } else if token.expires_at != 0 && now.millis() >= token.expires_at {
            Self::Expired
        } else if now.millis() < token.not_before {
            Self::NotYetValid
        } else {
            Self::Active
        }
    }

    /// Whether the token can still be used, now or later.
    pub(crate) const fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::NotYetValid)
    }
}

fn account_of(token: &PermanentToken) -> Result<AccountId, Failure> {
    token.account.try_into().map_err(|_| damaged_id())
}

impl Core {
    /// The id in a request; 0 stands for the caller's own permanent token.
    pub(crate) fn token_id(&self, caller: &Caller, id: i64) -> Result<TokenId, Failure> {
        match (id, caller.token()) {
            (0, Some(own)) => Ok(own),
            _ => fields::id("id", id),
        }
    }

    /// A token that the caller may see.
    pub(crate) async fn token(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<PermanentToken, Failure> {
        let token: Option<PermanentToken> = records::load(&*self.store, id.into()).await?;
        token
            .filter(|token| reach::is_within_reach(caller, token))
            .ok_or(Failure::NotFound("permanent token"))
    }
}
