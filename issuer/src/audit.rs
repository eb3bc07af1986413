//! The audit trail: one line of the log for each change that succeeded, at level INFO with
//! the target `tessera_issuer::audit`. Who did it, from where, and to what, by ids; never a
//! secret, and a name only of what there is.
//!
//! To add a change: call [`changed`] in `service` once it is done.

use std::net::IpAddr;

use tessera_shared::{id::TokenId, record::Session};

use crate::{caller::Caller, sessions::Pair};

/// What was changed, as far as it is known; what is `None` is not in the line.
#[derive(Clone, Copy, Default)]
pub(crate) struct Target<'a> {
    pub(crate) account: Option<i64>,
    pub(crate) user: Option<i64>,
    pub(crate) username: Option<&'a str>,
    /// The role's name, from now on.
    pub(crate) role: Option<&'a str>,
    pub(crate) disabled: Option<bool>,
    pub(crate) session: Option<i64>,
    pub(crate) token: Option<i64>,
    pub(crate) kid: Option<&'a str>,
}

/// Who did it.
#[derive(Clone, Copy, Default)]
struct Actor {
    user: Option<i64>,
    session: Option<i64>,
    token: Option<i64>,
    account: Option<i64>,
    address: Option<IpAddr>,
}

/// `caller` did what the RPC named `action` does.
pub(crate) fn changed(action: &'static str, caller: &Caller, target: Target<'_>) {
    let actor = Actor {
        user: Some(caller.user().get()),
        session: caller.session().ok().map(|id| id.get()),
        token: caller.token().map(TokenId::get),
        account: Some(caller.account().get()),
        address: caller.address,
    };
    tell(action, actor, target, None);
}

/// Somebody logged in.
pub(crate) fn logged_in(pair: &Pair, address: Option<IpAddr>) {
    let actor = Actor {
        user: Some(pair.user.get()),
        session: Some(pair.session.get()),
        account: Some(pair.account.get()),
        token: None,
        address,
    };
    tell("Login", actor, Target::default(), None);
}

/// A refresh token was used twice, and its session is ended.
pub(crate) fn reused(session: &Session) {
    let target =
        Target { user: Some(session.user), session: Some(session.id), ..Target::default() };
    tell("Refresh", Actor::default(), target, Some(true));
}

/// Somebody presented a token over HTTP to end it (RFC 7009).
pub(crate) fn revoked_by_holder(target: Target<'_>) {
    tell("/revoke", Actor::default(), target, None);
}

fn tell(action: &'static str, actor: Actor, on: Target<'_>, reuse: Option<bool>) {
    tracing::info!(
        target: "tessera_issuer::audit",
        action,
        actor.user = actor.user,
        actor.session = actor.session,
        actor.token = actor.token,
        account = actor.account,
        client.address = actor.address.map(tracing::field::display),
        target.account = on.account,
        target.user = on.user,
        target.username = on.username,
        target.role = on.role,
        target.disabled = on.disabled,
        target.session = on.session,
        target.token = on.token,
        target.kid = on.kid,
        reuse,
        "audit"
    );
}
