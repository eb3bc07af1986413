//! Who may ask: anyone, or those on a list. A certificate is looked at once for each
//! connection, a token for each call.

use std::sync::Arc;

use hyper::{HeaderMap, header::AUTHORIZATION};
use tessera_proto::v1::ErrorReason;
use tessera_serve::{connection::Peer, credential::Credential};
use tessera_shared::config::{CallerList, VerifyCallers};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use webpki::EndEntityCert;

use crate::service::Api;

/// Who may ask.
#[derive(Clone, Debug)]
pub(crate) struct Callers(Arc<VerifyCallers>);

impl Callers {
    pub(crate) fn new(callers: VerifyCallers) -> Self {
        Self(Arc::new(callers))
    }

    /// Whether this peer may ask whatever its calls carry.
    pub(crate) fn trust(&self, peer: &Peer) -> bool {
        match &*self.0 {
            VerifyCallers::Anyone => true,
            VerifyCallers::These(list) => peer.certificate.as_ref().is_some_and(|certificate| {
                EndEntityCert::try_from(certificate).is_ok_and(|named| is_on(list, &named))
            }),
        }
    }

    /// Looks at the token of a caller that is not trusted for its certificate.
    ///
    /// # Errors
    /// Why the caller may not ask, or that nobody can say now.
    pub(crate) async fn check(&self, api: &Api, headers: &HeaderMap) -> Result<(), Status> {
        let VerifyCallers::These(list) = &*self.0 else { return Ok(()) };
        if list.scopes.is_empty() {
            return Err(refusal(Refusal::Certificate));
        }
        let token = token_of(headers)?;
        let scopes = api.scopes_of(token).await?;
        let scopes = scopes.ok_or_else(|| refusal(Refusal::Invalid))?;
        let held = list.scopes.iter().any(|scope| scopes.contains(scope));
        if held { Ok(()) } else { Err(refusal(Refusal::Scope)) }
    }
}

/// The caller's token.
fn token_of(headers: &HeaderMap) -> Result<&str, Status> {
    match Credential::read(headers.get_all(AUTHORIZATION).iter().map(|value| value.as_bytes())) {
        Credential::Token(token) => Ok(token),
        Credential::None => Err(refusal(Refusal::Missing)),
        Credential::Wrong => Err(refusal(Refusal::Invalid)),
    }
}

fn is_on(list: &CallerList, named: &EndEntityCert<'_>) -> bool {
    let is_uri = |uri: &str| {
        let is_below = |prefix: &String| is_below(uri, prefix);
        list.uris.iter().any(|one| one == uri) || list.uri_prefixes.iter().any(is_below)
    };
    let is_dns = |name: &str| list.dns_names.iter().any(|one| one.eq_ignore_ascii_case(name));
    named.valid_uri_names().any(is_uri) || named.valid_dns_names().any(is_dns)
}

/// Whether a SPIFFE ID begins so, and is one besides: with `..` in its path it would stand
/// elsewhere for whoever resolves that. No segment is empty, `.` or `..`, and each is of
/// letters, digits, `.`, `-` and `_` (SPIFFE ID, section 2.2).
fn is_below(uri: &str, prefix: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_sign);
    let path = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    uri.starts_with(prefix) && path.is_some_and(|(_, path)| path.split('/').all(is_segment))
}

/// Why a caller may not ask.
#[derive(Clone, Copy)]
enum Refusal {
    Missing,
    Invalid,
    Scope,
    Certificate,
}

fn refusal(why: Refusal) -> Status {
    let (code, reason, message) = match why {
        Refusal::Missing => (
            Code::Unauthenticated,
            ErrorReason::CredentialsMissing,
            "this verifier asks who calls: authorization: Bearer or APIKey",
        ),
        Refusal::Invalid => {
            (Code::Unauthenticated, ErrorReason::CredentialsInvalid, "the credentials are not good")
        }
        Refusal::Scope => (
            Code::PermissionDenied,
            ErrorReason::NotPermitted,
            "the caller's token has none of the scopes of --verify-callers",
        ),
        Refusal::Certificate => (
            Code::PermissionDenied,
            ErrorReason::NotPermitted,
            "the caller's certificate is not on the list of --verify-callers",
        ),
    };
    let reason = reason.as_str_name().trim_start_matches("ERROR_REASON_");
    let details = ErrorDetails::with_error_info(reason, "tessera.v1", []);
    Status::with_error_details(code, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_takes_in_what_is_below_it_and_no_path_that_is_none_of_spiffe() {
        let prefix = "spiffe://example.org/ns/a/";
        for below in ["b", "b/c", "b/..c", "b/...", "B_1.x-y"] {
            assert!(is_below(&format!("{prefix}{below}"), prefix), "{below}");
        }
        for other in [
            "",
            "..",
            "../b",
            "b/..",
            "b/../../c",
            ".",
            "./b",
            "b/",
            "b//c",
            "%2e%2e",
            "b?c",
            "b#c",
        ] {
            assert!(!is_below(&format!("{prefix}{other}"), prefix), "{other}");
        }
        assert!(!is_below("spiffe://example.org/ns/ab", prefix));
        assert!(!is_below("spiffe://example.org/x/../ns/a/b", "spiffe://example.org/x/"));
    }
}
