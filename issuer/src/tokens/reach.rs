//! Who may see, change, rotate and end which token.
//!
//! A session has all tokens of its user. A permanent token speaks for the same user, and
//! yet is less: of the others it manages those alone that are no more than it is itself.
//! Else the least of them would be as good as the best: it could rotate that one, and get
//! its secret.

use tessera_shared::{
    id::{AccountId, UserId},
    record::PermanentToken,
    role::ScopeSet,
};

use crate::{
    caller::{Caller, Limits},
    core::Core,
    failure::Failure,
};

const NOT_FOUND: Failure = Failure::NotFound("permanent token");

/// Whether `caller` may see `token`: its user's, or one of an account that it administers.
pub(super) fn is_within_reach(caller: &Caller, token: &PermanentToken) -> bool {
    administers(caller, token) || is_owner(caller, token)
}

fn administers(caller: &Caller, token: &PermanentToken) -> bool {
    AccountId::try_from(token.account).is_ok_and(|account| caller.administers(account))
}

fn is_owner(caller: &Caller, token: &PermanentToken) -> bool {
    UserId::try_from(token.user).is_ok_and(|user| user == caller.user())
}

fn is_itself(caller: &Caller, token: &PermanentToken) -> bool {
    caller.token().is_some_and(|own| own.get() == token.id)
}

/// Refuses a caller with a secret that a rotation replaced, be it since the call began: by
/// a new secret or a later end it would outlive its overlap.
fn has_present_secret(caller: &Caller, token: &PermanentToken) -> Result<(), Failure> {
    let is_replaced = caller.limits.as_ref().is_some_and(|limits| limits.is_replaced);
    let is_newer = token.secret_version != caller.principal.secret_version;
    let refuses = is_replaced || is_itself(caller, token) && is_newer;
    if refuses { Err(Failure::SecretReplaced) } else { Ok(()) }
}

impl Core {
    /// Refuses the change or the end of a token that is not the caller's to manage.
    pub(super) fn may_manage(
        &self,
        caller: &Caller,
        token: &PermanentToken,
    ) -> Result<(), Failure> {
        match (administers(caller, token), is_owner(caller, token)) {
            (true, _) => Ok(()),
            (false, true) => self.is_no_more(caller, token),
            (false, false) => Err(NOT_FOUND),
        }
    }

    /// Refuses a rotation, which hands out the secret: an administrator could be another by it,
    /// and who was given an access token alone would have all.
    pub(super) fn may_rotate(
        &self,
        caller: &Caller,
        token: &PermanentToken,
    ) -> Result<(), Failure> {
        match (is_owner(caller, token), administers(caller, token)) {
            (true, _) => {
                has_present_secret(caller, token)?;
                self.is_no_more(caller, token)?;
                let limits = caller.limits.as_ref();
                let is_exchanged = limits.is_some_and(|limits| limits.exchanged_until.is_some());
                if is_exchanged { Err(Failure::Exchanged) } else { Ok(()) }
            }
            (false, true) => Err(Failure::NotPermitted),
            (false, false) => Err(NOT_FOUND),
        }
    }

    /// Refuses what a change makes of a token, if a permanent token asks for it: its role
    /// and its end must be within the caller's, be they changed or not, and what is changed
    /// of where it may be used. Itself it may only narrow.
    pub(super) fn may_become(
        &self,
        caller: &Caller,
        before: &PermanentToken,
        after: &PermanentToken,
    ) -> Result<(), Failure> {
        let Some(limits) = &caller.limits else { return Ok(()) };
        has_present_secret(caller, before)?;
        caller.may_have(&self.scopes_of(after))?;
        limits.allow_end(after)?;
        if after.audiences != before.audiences {
            limits.allow_audiences(after)?;
        }
        if after.allowed_cidrs != before.allowed_cidrs {
            limits.allow_networks(after)?;
        }
        if !is_itself(caller, before) {
            return Ok(());
        }
        // Its owner may have narrowed it since this call began.
        let own = Limits::of(before, caller.principal.secret_version);
        let is_within = self.scopes_of(after).is_within(&self.scopes_of(before));
        if is_within { own.allow(after) } else { Err(Failure::RoleAboveCaller) }
    }

    /// A role that left the catalogue has none.
    fn scopes_of(&self, token: &PermanentToken) -> ScopeSet {
        self.catalogue.by_id(token.role).map(|role| role.scopes.clone()).unwrap_or_default()
    }

    fn is_no_more(&self, caller: &Caller, token: &PermanentToken) -> Result<(), Failure> {
        match &caller.limits {
            Some(limits) if !is_itself(caller, token) => {
                caller.may_have(&self.scopes_of(token))?;
                limits.allow(token)
            }
            _ => Ok(()),
        }
    }
}
