//! Changing and ending a permanent token.

use prost_types::{FieldMask, Timestamp as ProtoTimestamp};
use tessera_shared::{
    clock::Timestamp,
    id::TokenId,
    record::PermanentToken,
    revocation::{ALL_VERSIONS, Subject},
    store::{Key, records},
};

use super::{State, account_of};
use crate::{
    caller::Caller,
    core::Core,
    failure::Failure,
    fields::{self, Fields},
};

const FIELDS: &[&str] =
    &["name", "description", "role", "audiences", "allowed_cidrs", "expires_at"];

/// What a caller wants changed, as it came.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) role: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) allowed_cidrs: Vec<String>,
    pub(crate) expires_at: Option<ProtoTimestamp>,
    pub(crate) mask: Option<FieldMask>,
}

/// A change, checked.
#[derive(Default)]
struct Checked {
    name: Option<String>,
    description: Option<String>,
    role: Option<i64>,
    audiences: Option<Vec<String>>,
    allowed_cidrs: Option<Vec<String>>,
    /// The outer: whether to change it; 0 is never.
    expires_at: Option<i64>,
}

impl Core {
    /// Changes a live token.
    pub(crate) async fn update_token(
        &self,
        caller: &Caller,
        id: TokenId,
        change: &Change,
    ) -> Result<PermanentToken, Failure> {
        let now = self.now();
        let change = self.check_change(caller, change, now)?;
        let mut wanted = self.token(caller, id).await?;
        // Refused first: a place among the live ones is not for what may not be.
        self.change(caller, &change, &mut wanted, now)?;
        if change.expires_at.is_some() {
            self.reserve_again(&wanted, id, now).await?;
        }
        let token =
            self.update_record(id, |token| self.change(caller, &change, token, now)).await?;
        self.revoke(Subject::Token(id), token.version, token.version).await?;
        Ok(token)
    }

    /// Ends a token. Ending it again changes nothing.
    pub(crate) async fn revoke_token(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<PermanentToken, Failure> {
        self.end_token(id, |token| self.may_manage(caller, token)).await
    }

    /// Ends a token that `may` allows to be ended, and what was exchanged for it.
    pub(crate) async fn end_token(
        &self,
        id: TokenId,
        may: impl Fn(&PermanentToken) -> Result<(), Failure> + Send + Sync,
    ) -> Result<PermanentToken, Failure> {
        let now = self.now();
        let revoked =
            records::update::<PermanentToken, Failure>(&*self.store, Key::Token(id), |token| {
                may(token)?;
                if token.revoked_at == 0 {
                    token.revoked_at = now.millis();
                    token.version += 1;
                }
                Ok(())
            });
        let token = revoked.await?.ok_or(Failure::NotFound("permanent token"))?;
        // Written again on a retry too: the first try may have ended before it.
        self.revoke(Subject::Token(id), ALL_VERSIONS, token.version).await?;
        self.store.release(account_of(&token)?, id).await?;
        Ok(token)
    }

    /// Makes of a token what the change says, if it is live and the caller may.
    fn change(
        &self,
        caller: &Caller,
        change: &Checked,
        token: &mut PermanentToken,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.may_manage(caller, token)?;
        if !State::of(token, now).is_live() {
            return Err(Failure::TokenEnded);
        }
        let before = token.clone();
        change.apply(token);
        // As when it is made: else it could never be good.
        if token.expires_at != 0 && token.expires_at <= token.not_before {
            return Err(Failure::field("expires_at", "after not_before"));
        }
        self.may_become(caller, &before, token)
    }

    /// Changes the record of a token that there is.
    pub(super) async fn update_record(
        &self,
        id: TokenId,
        change: impl Fn(&mut PermanentToken) -> Result<(), Failure> + Send + Sync,
    ) -> Result<PermanentToken, Failure> {
        let changed = records::update(&*self.store, Key::Token(id), change);
        changed.await?.ok_or(Failure::NotFound("permanent token"))
    }

    /// A later end must find a place among the live ones, as a new token would.
    async fn reserve_again(
        &self,
        wanted: &PermanentToken,
        id: TokenId,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let limit = self.policy.tokens_per_account;
        let account = account_of(wanted)?;
        if self.store.reserve(account, id, wanted.ends_at(), now, limit).await? {
            Ok(())
        } else {
            Err(Failure::TokenLimitReached(limit))
        }
    }

    fn check_change(
        &self,
        caller: &Caller,
        change: &Change,
        now: Timestamp,
    ) -> Result<Checked, Failure> {
        let mask = fields::mask(change.mask.as_ref(), FIELDS, |field| change.is_set(field))?;
        let mut fields = Fields::default();
        let mut checked = Checked::default();
        for field in mask {
            match field {
                "name" => checked.name = fields.take(fields::name("name", &change.name)),
                "description" => {
                    checked.description = fields.take(fields::description(&change.description));
                }
                "role" => {
                    let role = self.role_named("role", &change.role)?;
                    caller.may_give(role)?;
                    checked.role = Some(role.id);
                }
                "audiences" => {
                    checked.audiences = fields.take(fields::audiences(&change.audiences));
                }
                "allowed_cidrs" => {
                    checked.allowed_cidrs = fields.take(fields::cidrs(&change.allowed_cidrs));
                }
                _ => {
                    let at = change.expires_at.as_ref();
                    let at = at.map(|at| fields::future("expires_at", at, now)).transpose();
                    let at = fields.take(at).flatten();
                    checked.expires_at = Some(at.map_or(0, Timestamp::millis));
                }
            }
        }
        fields.check()?;
        Ok(checked)
    }
}

impl Change {
    fn is_set(&self, field: &str) -> bool {
        match field {
            "name" => !self.name.is_empty(),
            "description" => !self.description.is_empty(),
            "role" => !self.role.is_empty(),
            "audiences" => !self.audiences.is_empty(),
            "allowed_cidrs" => !self.allowed_cidrs.is_empty(),
            _ => self.expires_at.is_some(),
        }
    }
}

impl Checked {
    /// Access tokens made before the change carry the old role, networks and end,
    /// so the version goes up and they are denied.
    fn apply(&self, token: &mut PermanentToken) {
        let before = token.clone();
        set(&mut token.name, self.name.as_ref());
        set(&mut token.description, self.description.as_ref());
        set(&mut token.role, self.role.as_ref());
        set(&mut token.audiences, self.audiences.as_ref());
        set(&mut token.allowed_cidrs, self.allowed_cidrs.as_ref());
        set(&mut token.expires_at, self.expires_at.as_ref());
        if *token != before {
            token.version += 1;
        }
    }
}

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}
