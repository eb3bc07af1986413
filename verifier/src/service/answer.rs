//! From a verdict to a response.

use tessera_proto::v1::{
    self, Denial, DenialReason, PrincipalKind, VerifyResponse, verify_response::Verdict as Form,
};
use tessera_shared::{
    clock::Timestamp,
    examine::{Reason, Verdict},
    principal::{Principal, Proof},
};

use super::failure::{Failure, Violation};

/// The verdict, true of the store at `as_of` or later.
pub(super) fn verdict(verdict: Verdict, as_of: Timestamp) -> VerifyResponse {
    let form = match verdict {
        Verdict::Granted(found) => Form::Principal(principal(*found)),
        Verdict::Denied(reason) => Form::Denial(Denial { reason: denial_reason(reason).into() }),
    };
    VerifyResponse { verdict: Some(form), as_of: Some(timestamp(as_of)) }
}

/// The answer to a wrong question in a batch. It is true of no instant.
pub(super) fn wrong_question(violations: impl Iterator<Item = Violation>) -> VerifyResponse {
    let status = Failure::InvalidFields(violations.collect()).into_rpc_status();
    VerifyResponse { verdict: Some(Form::Error(status)), as_of: None }
}

const fn denial_reason(reason: Reason) -> DenialReason {
    match reason {
        Reason::Malformed => DenialReason::Malformed,
        Reason::Unknown => DenialReason::Unknown,
        Reason::Expired => DenialReason::Expired,
        Reason::NotYetValid => DenialReason::NotYetValid,
        Reason::Revoked => DenialReason::Revoked,
        Reason::PrincipalDisabled => DenialReason::PrincipalDisabled,
        Reason::WrongAudience => DenialReason::WrongAudience,
        Reason::InsufficientScope => DenialReason::InsufficientScope,
        Reason::AddressNotAllowed => DenialReason::AddressNotAllowed,
        Reason::BadSignature => DenialReason::BadSignature,
        Reason::WrongType => DenialReason::WrongType,
        Reason::WrongIssuer => DenialReason::WrongIssuer,
    }
}

fn principal(principal: Principal) -> v1::Principal {
    let (kind, token_id, session_id) = match principal.proof {
        Proof::Session(id) => (PrincipalKind::Session, 0, id.get()),
        Proof::PermanentToken(id) => (PrincipalKind::PermanentToken, id.get(), 0),
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

fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = at.millis().rem_euclid(1000) * 1_000_000;
    prost_types::Timestamp {
        seconds: at.seconds(),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}
