//! Questions to a verifier, and its answers.

use prost_types::Duration;
use tessera_proto::v1::{
    DenialReason, Principal, VerifyRequest, VerifyResponse, verify_response::Verdict,
};

/// The question whether a token is good now: `max_staleness` is zero, so that the
/// answer is about this instant and a test need not wait for an invalidation.
pub fn ask(token: &str) -> VerifyRequest {
    VerifyRequest {
        token: token.to_owned(),
        max_staleness: Some(Duration::default()),
        ..VerifyRequest::default()
    }
}

/// As [`ask`], content with a view as old as the staleness bound.
pub fn ask_cached(token: &str) -> VerifyRequest {
    VerifyRequest { max_staleness: None, ..ask(token) }
}

/// The principal, or why the token was denied.
///
/// # Panics
/// When the answer has neither.
pub fn verdict(answer: VerifyResponse) -> Result<Principal, DenialReason> {
    assert!(answer.as_of.is_some(), "no as_of in {answer:?}");
    match answer.verdict {
        Some(Verdict::Principal(principal)) => Ok(principal),
        Some(Verdict::Denial(denial)) => Err(denial.reason()),
        other => panic!("no verdict: {other:?}"),
    }
}
