//! From what was found to the bytes of an answer.
//!
//! A grant is put together from parts that lie encoded in memory: a message whose fields
//! are encoded one after the other is encoded itself (protobuf, "Encoding").

use prost::{
    Message,
    bytes::{BufMut, Bytes},
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};
use tessera_proto::v1::{
    self, Denial, DenialReason, PrincipalKind, VerifyResponse, verify_response::Verdict as Form,
};
use tessera_shared::{
    clock::Timestamp,
    examine::Reason,
    principal::{Principal, Proof},
};

use super::failure::{Failure, Violation, Violations};
use crate::memory::Granted;

/// `VerifyResponse.principal`, `VerifyResponse.as_of`, `BatchVerifyResponse.responses`.
const PRINCIPAL: u32 = 1;
const AS_OF: u32 = 3;
const RESPONSES: u32 = 1;
/// `Principal.role`, `Principal.scopes`, `Principal.audiences`.
const ROLE: u32 = 6;
const SCOPES: u32 = 7;
const AUDIENCES: u32 = 8;
/// A gRPC message's prefix: whether it is compressed, and its length in 4 bytes.
const PREFIX: usize = 5;

/// A `VerifyResponse`, encoded.
pub(super) enum Answer<'a> {
    Granted(&'a Granted, Timestamp),
    Other(VerifyResponse),
}

impl Answer<'_> {
    /// A refusal, true of the store at `as_of` or later.
    pub(super) fn denied(reason: Reason, as_of: Timestamp) -> Self {
        let denial = Denial { reason: denial_reason(reason).into() };
        Self::Other(VerifyResponse {
            verdict: Some(Form::Denial(denial)),
            as_of: Some(timestamp(as_of)),
        })
    }

    /// The answer to a wrong question in a batch. It is true of no instant.
    pub(super) fn wrong_question(violations: impl Iterator<Item = Violation>) -> Self {
        let status = Failure::from(Violations(violations.collect())).into_rpc_status();
        Self::Other(VerifyResponse { verdict: Some(Form::Error(status)), as_of: None })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Granted(granted, as_of) => {
                let [own, common] = granted.principal();
                encode_key(PRINCIPAL, WireType::LengthDelimited, out);
                encode_varint((own.len() + common.len()) as u64, out);
                out.extend_from_slice(own);
                out.extend_from_slice(common);
                encode_as_of(*as_of, out);
            }
            // Only a full buffer is an error, and a vector never is.
            Self::Other(response) => drop(response.encode(out)),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Granted(granted, as_of) => {
                let [own, common] = granted.principal();
                delimited_len(own.len() + common.len()) + delimited_len(as_of_len(*as_of))
            }
            Self::Other(response) => response.encoded_len(),
        }
    }

    /// The answer to `Verify`, with a gRPC message's prefix.
    pub(super) fn into_message(self) -> Bytes {
        let mut out = message_of(self.encoded_len());
        self.encode(&mut out);
        finish(out)
    }
}

/// The answer to `BatchVerify`, with a gRPC message's prefix.
pub(super) fn batch_message(answers: Vec<Answer<'_>>) -> Bytes {
    let lengths = answers.iter().map(|answer| delimited_len(answer.encoded_len()));
    let mut out = message_of(lengths.sum());
    for answer in answers {
        encode_key(RESPONSES, WireType::LengthDelimited, &mut out);
        encode_varint(answer.encoded_len() as u64, &mut out);
        answer.encode(&mut out);
    }
    finish(out)
}

/// Of a field with a number below 16 that holds `length` bytes.
fn delimited_len(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

fn message_of(size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + size);
    out.put_bytes(0, PREFIX);
    out
}

/// Writes the length, now that it is known.
fn finish(mut out: Vec<u8>) -> Bytes {
    let length = u32::try_from(out.len() - PREFIX).unwrap_or(u32::MAX);
    if let Some(prefix) = out.get_mut(1..PREFIX) {
        prefix.copy_from_slice(&length.to_be_bytes());
    }
    Bytes::from(out)
}

fn encode_as_of(as_of: Timestamp, out: &mut Vec<u8>) {
    let (seconds, nanos) = parts(as_of);
    encode_key(AS_OF, WireType::LengthDelimited, out);
    encode_varint(as_of_len(as_of) as u64, out);
    encode_key(1, WireType::Varint, out);
    encode_varint(seconds.cast_unsigned(), out);
    encode_key(2, WireType::Varint, out);
    encode_varint(nanos.into(), out);
}

fn as_of_len(as_of: Timestamp) -> usize {
    let (seconds, nanos) = parts(as_of);
    2 + encoded_len_varint(seconds.cast_unsigned()) + encoded_len_varint(nanos.into())
}

const fn denial_reason(reason: Reason) -> DenialReason {
    match reason {
        Reason::Malformed => DenialReason::Malformed,
        Reason::Unknown => DenialReason::Unknown,
        Reason::Expired => DenialReason::Expired,
        Reason::NotYetValid => DenialReason::NotYetValid,
        Reason::Revoked | Reason::Replaced(_) => DenialReason::Revoked,
        Reason::PrincipalDisabled => DenialReason::PrincipalDisabled,
        Reason::WrongAudience => DenialReason::WrongAudience,
        Reason::InsufficientScope => DenialReason::InsufficientScope,
        Reason::AddressNotAllowed => DenialReason::AddressNotAllowed,
        Reason::BadSignature => DenialReason::BadSignature,
        Reason::WrongType => DenialReason::WrongType,
        Reason::WrongIssuer => DenialReason::WrongIssuer,
    }
}

/// The fields of the principal that are the token's own, encoded.
pub(crate) fn own_fields(principal: &mut Principal) -> Vec<u8> {
    let (kind, token_id, session_id) = match principal.proof {
        Proof::Session(id) => (PrincipalKind::Session, 0, id.get()),
        Proof::PermanentToken(id) => (PrincipalKind::PermanentToken, id.get(), 0),
    };
    let own = v1::Principal {
        kind: kind.into(),
        token_id,
        session_id,
        account_id: principal.account.get(),
        user_id: principal.user.get(),
        issued_at: Some(timestamp(principal.issued_at)),
        expires_at: principal.expires_at.map(timestamp),
        name: std::mem::take(&mut principal.name),
        ..v1::Principal::default()
    };
    own.encode_to_vec()
}

/// Its other fields, which many tokens share, encoded.
pub(crate) fn shared_fields(principal: &Principal) -> Vec<u8> {
    let fields = || {
        let role = (ROLE, principal.role.as_str());
        let scopes = principal.scopes.iter().map(|scope| (SCOPES, scope));
        let audiences = principal.audiences.iter().map(|audience| (AUDIENCES, audience.as_str()));
        // A field that is no list is left out when it is empty.
        let role = Some(role).filter(|(_, role)| !role.is_empty());
        role.into_iter().chain(scopes).chain(audiences)
    };
    let mut out = Vec::with_capacity(fields().map(|(_, text)| delimited_len(text.len())).sum());
    for (field, text) in fields() {
        encode_key(field, WireType::LengthDelimited, &mut out);
        encode_varint(text.len() as u64, &mut out);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// The principal of a grant, both halves together.
pub(super) fn principal_of(granted: &Granted) -> v1::Principal {
    let mut principal = v1::Principal::default();
    for half in granted.principal() {
        // What was encoded here can be decoded.
        drop(principal.merge(half));
    }
    principal
}

fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = parts(at);
    prost_types::Timestamp { seconds, nanos: nanos.cast_signed() }
}

fn parts(at: Timestamp) -> (i64, u32) {
    let millis = u32::try_from(at.millis().rem_euclid(1000)).unwrap_or_default();
    (at.seconds(), millis * 1_000_000)
}
