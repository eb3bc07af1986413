//! Changing, rotating and ending a permanent token.

use std::time::Duration;

use prost_types::{FieldMask, Timestamp as ProtoTimestamp};
use tessera_shared::{
    clock::Timestamp,
    id::TokenId,
    opaque::PlainToken,
    record::PermanentToken,
    revocation::{ALL_VERSIONS, Subject},
    store::{Key, records},
};

use super::{State, account_of, is_owner, is_within_reach, live_until};
use crate::{
    caller::Caller,
    core::Core,
    failure::Failure,
    fields::{self, Fields},
};

const FIELDS: &[&str] =
    &["name", "description", "role", "audiences", "allowed_cidrs", "expires_at"];
const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);
/// How many retired secrets a record remembers.
const RETIRED: usize = 16;

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

/// A token and its new secret, for the only time.
pub(crate) struct Rotated {
    pub(crate) token: PermanentToken,
    pub(crate) plain: PlainToken,
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
        let before = self.token(caller, id).await?;
        if let Some(expires_at) = change.expires_at {
            self.reserve_again(&before, id, expires_at, now).await?;
        }
        let token = self.change_live(caller, id, now, |token| change.apply(token)).await?;
        self.revoke(Subject::Token(id), token.version, token.version).await?;
        Ok(token)
    }

    /// Gives a live token a new secret; the present one works until `overlap` is over.
    pub(crate) async fn rotate_token(
        &self,
        caller: &Caller,
        id: TokenId,
        overlap: Option<prost_types::Duration>,
    ) -> Result<Rotated, Failure> {
        let mut fields = Fields::default();
        let overlap =
            fields.take(fields::span("overlap", &overlap.unwrap_or_default(), LONGEST_OVERLAP));
        fields.check()?;
        let now = self.now();
        let overlap = overlap.unwrap_or_default();
        let overlap_ends = now.after(overlap).millis();
        if !is_owner(caller, &self.token(caller, id).await?) {
            return Err(Failure::NotPermitted);
        }
        let plain = self.opaque.permanent(id, &*self.rng)?;
        let hash = plain.hash();
        let token = self
            .change_live(caller, id, now, |token| {
                let oldest = std::mem::take(&mut token.previous_hash);
                if let Some(prefix) = oldest.get(..8) {
                    token.retired.insert(0, prefix.to_vec());
                    token.retired.truncate(RETIRED);
                }
                token.previous_hash = std::mem::replace(&mut token.hash, hash.as_bytes().to_vec());
                token.previous_expires_at = overlap_ends;
                token.secret_version += 1;
                token.version += u32::from(overlap.is_zero());
            })
            .await?;
        // With no overlap the old secret is taken for stolen, and so is what was exchanged for it.
        if overlap.is_zero() {
            self.revoke(Subject::Token(id), token.version, token.version).await?;
        }
        Ok(Rotated { token, plain })
    }

    /// Ends a token. Ending it again changes nothing.
    pub(crate) async fn revoke_token(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<PermanentToken, Failure> {
        self.end_token(id, |token| is_within_reach(caller, token)).await
    }

    /// Ends a token that `may` allows to be ended, and what was exchanged for it.
    pub(crate) async fn end_token(
        &self,
        id: TokenId,
        may: impl Fn(&PermanentToken) -> bool + Send + Sync,
    ) -> Result<PermanentToken, Failure> {
        let now = self.now();
        let revoked =
            records::update::<PermanentToken, Failure>(&*self.store, Key::Token(id), |token| {
                if !may(token) {
                    return Err(Failure::NotFound("permanent token"));
                }
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

    async fn change_live(
        &self,
        caller: &Caller,
        id: TokenId,
        now: Timestamp,
        apply: impl Fn(&mut PermanentToken) + Send + Sync,
    ) -> Result<PermanentToken, Failure> {
        let changed =
            records::update::<PermanentToken, Failure>(&*self.store, Key::Token(id), |token| {
                if !is_within_reach(caller, token) {
                    return Err(Failure::NotFound("permanent token"));
                }
                if !State::of(token, now).is_live() {
                    return Err(Failure::TokenEnded);
                }
                apply(token);
                Ok(())
            });
        changed.await?.ok_or(Failure::NotFound("permanent token"))
    }

    /// A later end must find a place among the live ones, as a new token would.
    async fn reserve_again(
        &self,
        token: &PermanentToken,
        id: TokenId,
        expires_at: i64,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if !State::of(token, now).is_live() {
            return Err(Failure::TokenEnded);
        }
        let limit = self.policy.tokens_per_account;
        let account = account_of(token)?;
        if self.store.reserve(account, id, live_until(expires_at), now, limit).await? {
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
                    caller.may_last(at)?;
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
