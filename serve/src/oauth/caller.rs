//! How a caller proves itself: by a token of its own.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::credential::Credential;

/// What a caller presents.
pub enum Caller {
    /// Nothing that is for us.
    Nobody,
    /// A token, whatever it is worth: `Bearer` (RFC 6750) or `APIKey`.
    Bearer(Zeroizing<String>),
    /// The same as the password of `Basic`, which OAuth calls `client_secret_basic`
    /// (RFC 6749, section 2.3.1). The username is not looked at.
    Basic(Zeroizing<String>),
    /// Something for us of which no token can be read.
    Wrong,
}

impl Caller {
    /// Reads all `Authorization` headers: at most one is allowed.
    pub fn read(headers: &HeaderMap) -> Self {
        let values = || headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        match Credential::read(values()) {
            Credential::Token(token) => Self::Bearer(Zeroizing::new(token.to_owned())),
            Credential::Wrong => Self::Wrong,
            Credential::None => values().next().map_or(Self::Nobody, Self::of_another_scheme),
        }
    }

    fn of_another_scheme(value: &[u8]) -> Self {
        let value = std::str::from_utf8(value).unwrap_or_default().trim();
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("basic") {
            return Self::Nobody;
        }
        password(rest.trim()).map_or(Self::Wrong, Self::Basic)
    }

    /// The token, however it came.
    pub fn token(self) -> Option<Zeroizing<String>> {
        match self {
            Self::Bearer(token) | Self::Basic(token) => Some(token),
            Self::Nobody | Self::Wrong => None,
        }
    }
}

/// The password of a pair in base64 (RFC 7617, section 2).
fn password(pair: &str) -> Option<Zeroizing<String>> {
    let pair = Zeroizing::new(STANDARD.decode(pair).ok()?);
    let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    // OAuth form-encodes both parts first; no token has a character that this would change.
    let decoded = percent_encoding::percent_decode_str(password).decode_utf8().ok()?;
    Some(Zeroizing::new(decoded.into_owned()))
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Bearer(_) => "Bearer(..)",
            Self::Basic(_) => "Basic(..)",
            Self::Wrong => "Wrong",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> (String, Option<String>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        let caller = Caller::read(&headers);
        let name = format!("{caller:?}");
        (name, caller.token().map(|token| token.to_string()))
    }

    #[test]
    fn a_token_comes_by_each_scheme_and_one_header_alone() {
        // The pair `any:t_1`, as it is and form-encoded.
        for (value, name) in [
            ("Bearer t_1", "Bearer(..)"),
            ("apikey t_1", "Bearer(..)"),
            ("Basic YW55OnRfMQ==", "Basic(..)"),
            ("basic  YW55OnQlNUYx", "Basic(..)"),
        ] {
            assert_eq!(read(&[value]), (name.to_owned(), Some("t_1".to_owned())), "{value}");
        }
        for (values, name) in [
            (&[][..], "Nobody"),
            (&["Digest a"], "Nobody"),
            // Of a pair with no colon, and of no pair.
            (&["Basic YW55"], "Wrong"),
            (&["Basic"], "Wrong"),
            (&["Bearer"], "Wrong"),
            (&["Bearer t_1", "Bearer t_1"], "Wrong"),
            (&["Basic YW55OnRfMQ==", "Basic YW55OnRfMQ=="], "Wrong"),
        ] {
            assert_eq!(read(values), (name.to_owned(), None), "{values:?}");
        }
    }
}
