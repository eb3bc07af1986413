//! How a request is turned away. An outsider learns no more than RFC 6750 says.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use tessera_proto::v1::ErrorReason;
use tessera_shared::sparing::Sparing;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::service::DOMAIN;

/// When to come back after an outage, in seconds.
pub(crate) const RETRY_AFTER: &str = "1";

/// Why a request is turned away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It presents no token.
    NoCredential,
    /// It presents one in a way that is not allowed, or more than one.
    InvalidRequest,
    /// The token is not good, here and now.
    InvalidToken,
    /// The token is good, and may not do all of this.
    InsufficientScope(Vec<String>),
    /// The question could not be answered: no denial, and no grant.
    Outage,
    /// The same, through a fault of ours that is in the log.
    Fault,
    /// The proxy's configuration asks what can't be answered. Nothing gets through.
    Misconfigured,
}

impl Refusal {
    /// The proxy's configuration is wrong; what of it, the log tells.
    pub(crate) fn wrong_route(wrong: &dyn std::fmt::Display) -> Self {
        static WRONG: Sparing = Sparing::new();
        if let Some(left_out) = WRONG.turn() {
            tracing::warn!(%wrong, left_out, "the configuration of a route is wrong; it lets nothing through");
        }
        Self::Misconfigured
    }

    /// The status of HTTP.
    pub(crate) const fn http_status(&self) -> u16 {
        match self {
            // RFC 6750 has 400 for a wrong request; proxies know 401 and 403 alone.
            Self::NoCredential | Self::InvalidRequest | Self::InvalidToken => 401,
            Self::InsufficientScope(_) => 403,
            Self::Outage => 503,
            Self::Fault | Self::Misconfigured => 500,
        }
    }

    /// `WWW-Authenticate` (RFC 6750, section 3): with no error where no token was presented,
    /// but never with no parameter at all.
    pub(crate) fn challenge(&self) -> Option<String> {
        match self {
            Self::NoCredential => Some("Bearer realm=\"tessera\"".to_owned()),
            Self::InvalidRequest => Some("Bearer error=\"invalid_request\"".to_owned()),
            Self::InvalidToken => Some("Bearer error=\"invalid_token\"".to_owned()),
            Self::InsufficientScope(scopes) => {
                let scopes = scopes.join(" ");
                Some(format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\""))
            }
            Self::Outage | Self::Fault | Self::Misconfigured => None,
        }
    }

    /// All headers of an answer with this refusal, besides those for gRPC.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let challenge = self.challenge().map(|challenge| ("www-authenticate", challenge));
        let retry = matches!(self, Self::Outage).then(|| ("retry-after", RETRY_AFTER.to_owned()));
        challenge.into_iter().chain(retry).collect()
    }

    /// For people, and for `grpc-message`.
    pub(crate) const fn message(&self) -> &'static str {
        match self {
            Self::NoCredential => "a token is needed",
            Self::InvalidRequest => {
                "one token is needed, in one Authorization header and nowhere else"
            }
            Self::InvalidToken => "the token is not good",
            Self::InsufficientScope(_) => "the token does not allow this",
            Self::Outage => "the token can't be checked now; retry",
            Self::Fault => "an internal fault; it is in the verifier's log",
            Self::Misconfigured => "this route is wrongly configured; the verifier's log says how",
        }
    }

    /// What a gRPC caller is told.
    pub(crate) const fn grpc(&self) -> (Code, ErrorReason) {
        match self {
            Self::NoCredential => (Code::Unauthenticated, ErrorReason::CredentialsMissing),
            Self::InvalidRequest | Self::InvalidToken => {
                (Code::Unauthenticated, ErrorReason::CredentialsInvalid)
            }
            Self::InsufficientScope(_) => (Code::PermissionDenied, ErrorReason::NotPermitted),
            Self::Outage => (Code::Unavailable, ErrorReason::StoreUnavailable),
            Self::Fault | Self::Misconfigured => (Code::Internal, ErrorReason::Internal),
        }
    }

    /// `grpc-status-details-bin` with an `ErrorInfo` ("gRPC over HTTP2", binary headers:
    /// base64 with no padding).
    pub(crate) fn grpc_details(&self) -> String {
        let (code, reason) = self.grpc();
        let reason = reason.as_str_name().trim_start_matches("ERROR_REASON_");
        let details = ErrorDetails::with_error_info(reason, DOMAIN, []);
        let status = Status::with_error_details(code, self.message(), details);
        STANDARD_NO_PAD.encode(status.details())
    }
}

/// Whether a request with this content type is gRPC, as Envoy tells ("gRPC over HTTP2").
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    match content_type.strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_those_of_rfc_6750() {
        let scopes = vec!["cdn:purge".to_owned(), "cdn:read".to_owned()];
        for (refusal, status, challenge) in [
            (Refusal::NoCredential, 401, Some("Bearer realm=\"tessera\"")),
            (Refusal::InvalidRequest, 401, Some("Bearer error=\"invalid_request\"")),
            (Refusal::InvalidToken, 401, Some("Bearer error=\"invalid_token\"")),
            (
                Refusal::InsufficientScope(scopes),
                403,
                Some("Bearer error=\"insufficient_scope\", scope=\"cdn:purge cdn:read\""),
            ),
            (Refusal::Outage, 503, None),
            (Refusal::Fault, 500, None),
            (Refusal::Misconfigured, 500, None),
        ] {
            assert_eq!(refusal.http_status(), status);
            assert_eq!(refusal.challenge().as_deref(), challenge);
        }
        assert_eq!(Refusal::Outage.headers(), [("retry-after", "1".to_owned())]);
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for grpc in ["application/grpc", "application/grpc+proto", "application/grpc;a=b"] {
            assert!(is_grpc(grpc.as_bytes()));
        }
        for other in ["application/grpc-web", "application/json", ""] {
            assert!(!is_grpc(other.as_bytes()));
        }
    }
}
