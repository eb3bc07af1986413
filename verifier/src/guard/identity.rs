//! The headers that tell a service who a request speaks for.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tessera_proto::v1::{Principal, PrincipalKind};

/// What all of them begin with: nothing that a client sends under it may get through.
pub(crate) const PREFIX: &str = "x-tessera-";

/// Their names. Names and values are public API (README, "Guard a service").
pub(crate) const NAMES: [&str; 6] = [
    "x-tessera-account",
    "x-tessera-user",
    "x-tessera-role",
    "x-tessera-scopes",
    "x-tessera-token-id",
    "x-tessera-kind",
];

/// What can't stand in a header as it is, and the sign that says so.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Who a request speaks for, in words for headers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity([String; NAMES.len()]);

impl Identity {
    /// Each name with its value; an empty one: it does not apply.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        NAMES.into_iter().zip(self.0.iter().map(String::as_str))
    }
}

impl From<Principal> for Identity {
    fn from(principal: Principal) -> Self {
        let id = |id: i64| if id == 0 { String::new() } else { id.to_string() };
        let kind = match principal.kind() {
            PrincipalKind::Unspecified => "",
            PrincipalKind::Session => "session",
            PrincipalKind::PermanentToken => "permanent_token",
        };
        Self([
            id(principal.account_id),
            id(principal.user_id),
            // A role has the name that somebody gave it, in any script.
            utf8_percent_encode(&principal.role, ENCODED).to_string(),
            principal.scopes.join(" "),
            id(principal.token_id),
            kind.to_owned(),
        ])
    }
}

/// Whether a service might take a header of this name for one of ours: many read whatever
/// is no letter and no digit as one and the same (`HTTP_X_TESSERA_USER` of CGI, RFC 3875,
/// section 4.1.18), and letter case never counts.
pub(crate) fn is_ours(name: &str) -> bool {
    let head = name.as_bytes().get(..PREFIX.len());
    head.is_some_and(|head| {
        head.iter().zip(PREFIX.bytes()).all(|(is, ours)| match ours {
            b'-' => !is.is_ascii_alphanumeric(),
            ours => is.eq_ignore_ascii_case(&ours),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_named_and_what_does_not_apply_is_empty() {
        let session = Principal {
            kind: PrincipalKind::Session.into(),
            session_id: 4,
            account_id: 1,
            user_id: 2,
            role: "Équipe 100%\r\nx: y".to_owned(),
            scopes: vec!["cdn:purge".to_owned(), "cdn:read".to_owned()],
            ..Principal::default()
        };
        let identity = Identity::from(session);
        let headers: Vec<_> = identity.headers().collect();
        assert_eq!(
            headers,
            [
                ("x-tessera-account", "1"),
                ("x-tessera-user", "2"),
                ("x-tessera-role", "%C3%89quipe 100%25%0D%0Ax: y"),
                ("x-tessera-scopes", "cdn:purge cdn:read"),
                ("x-tessera-token-id", ""),
                ("x-tessera-kind", "session"),
            ]
        );
    }

    #[test]
    fn a_forgery_is_known_in_every_spelling_that_a_service_may_read_as_ours() {
        assert!(NAMES.iter().all(|name| is_ours(name)));
        for name in [
            "X-Tessera-User",
            "x_tessera_user",
            "X_TESSERA-anything",
            "x-tessera-",
            "x.tessera~user",
        ] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["", "x-tessera", "x-tesserae-user", "authorization", "é-tessera-user"] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
