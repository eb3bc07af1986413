//! Between domain types and the contract's messages.

use prost_types::Timestamp as ProtoTimestamp;
use tessera_proto::v1;
use tessera_shared::{
    clock::Timestamp,
    principal::{Principal, Proof},
    record,
    usage::Usage,
};

use crate::{core::Core, tokens::State};

pub(super) fn timestamp(at: Timestamp) -> ProtoTimestamp {
    let nanos = at.millis().rem_euclid(1000) * 1_000_000;
    ProtoTimestamp { seconds: at.seconds(), nanos: i32::try_from(nanos).unwrap_or_default() }
}

/// Records have 0 for an instant that is absent.
pub(super) fn optional(millis: i64) -> Option<ProtoTimestamp> {
    (millis != 0).then(|| timestamp(Timestamp::from_millis(millis)))
}

pub(super) fn principal(principal: Principal) -> v1::Principal {
    let (kind, token_id, session_id) = match principal.proof {
        Proof::Session(id) => (v1::PrincipalKind::Session, 0, id.get()),
        Proof::PermanentToken(id) => (v1::PrincipalKind::PermanentToken, id.get(), 0),
    };
    v1::Principal {
        kind: kind.into(),
        token_id,
        session_id,
        account_id: principal.account.get(),
        user_id: principal.user.get(),
        role: principal.role,
        scopes: principal.scopes.iter().map(str::to_owned).collect(),
        audiences: principal.audiences,
        issued_at: Some(timestamp(principal.issued_at)),
        expires_at: principal.expires_at.map(timestamp),
        name: principal.name,
    }
}

pub(super) fn token(
    core: &Core,
    token: record::PermanentToken,
    usage: Usage,
) -> v1::PermanentToken {
    let now = core.now();
    let state = match State::of(&token, now) {
        State::Active => v1::PermanentTokenState::Active,
        State::NotYetValid => v1::PermanentTokenState::NotYetValid,
        State::Expired => v1::PermanentTokenState::Expired,
        State::Revoked => v1::PermanentTokenState::Revoked,
    };
    let overlap = token.overlap_ends_at();
    v1::PermanentToken {
        id: token.id,
        name: token.name,
        description: token.description,
        account_id: token.account,
        user_id: token.user,
        role: core.role_name(token.role),
        audiences: token.audiences,
        allowed_cidrs: token.allowed_cidrs,
        created_at: optional(token.created_at),
        created_by: token.user,
        not_before: optional(token.not_before),
        expires_at: optional(token.expires_at),
        revoked_at: optional(token.revoked_at),
        last_used_at: usage.last_used_at().map(timestamp),
        state: state.into(),
        secret_version: i32::try_from(token.secret_version).unwrap_or(i32::MAX),
        previous_secret_expires_at: (overlap > now).then(|| timestamp(overlap)),
        reuse_detected_at: usage.reuse_detected_at().map(timestamp),
    }
}

/// The state that a filter names; `None` for any, or for one that there is not.
pub(super) fn state(state: v1::PermanentTokenState) -> Option<State> {
    match state {
        v1::PermanentTokenState::Unspecified => None,
        v1::PermanentTokenState::Active => Some(State::Active),
        v1::PermanentTokenState::NotYetValid => Some(State::NotYetValid),
        v1::PermanentTokenState::Expired => Some(State::Expired),
        v1::PermanentTokenState::Revoked => Some(State::Revoked),
    }
}

pub(super) fn session(session: record::Session, current: i64) -> v1::Session {
    v1::Session {
        id: session.id,
        created_at: optional(session.created_at),
        refreshed_at: optional(session.refreshed_at),
        expires_at: optional(session.expires_at),
        client_address: session.client_address,
        user_agent: session.user_agent,
        current: session.id == current,
    }
}

pub(super) fn next_page_token(after: Option<i64>) -> String {
    after.map(|id| id.to_string()).unwrap_or_default()
}
