//! The token in a request's `Authorization` headers.

use std::fmt;

/// What a request presents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing that is for us.
    None,
    /// A token, whatever it is worth.
    Token(&'a str),
    /// Something for us of which no token can be read.
    Wrong,
}

impl<'a> Credential<'a> {
    /// Reads the values of all `Authorization` headers: at most one is allowed
    /// (RFC 6750, section 2; RFC 9110, section 5.3). Envoy may have joined several
    /// by a comma, which no token has.
    ///
    /// The scheme is `Bearer`, or `APIKey` for a permanent token, in any letter case
    /// (RFC 9110, section 11.1). Another scheme is as no credential (RFC 6750, section 3.1).
    pub fn read(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        let Some(value) = values.next() else { return Self::None };
        if values.next().is_some() {
            return Self::Wrong;
        }
        let Ok(value) = std::str::from_utf8(value) else { return Self::Wrong };
        let value = value.trim_matches([' ', '\t']);
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        let is_api_key = scheme.eq_ignore_ascii_case("apikey");
        if !is_bearer && !is_api_key {
            return if value.contains(',') { Self::Wrong } else { Self::None };
        }
        let token = token.trim_start_matches(' ');
        let is_token = !token.is_empty() && !token.contains([' ', '\t', ',']);
        // A permanent token has no dot, and an access token is a bearer token alone.
        if is_token && (is_bearer || !token.contains('.')) {
            Self::Token(token)
        } else {
            Self::Wrong
        }
    }

    /// The token, if there is one.
    pub const fn token(self) -> Option<&'a str> {
        match self {
            Self::Token(token) => Some(token),
            Self::None | Self::Wrong => None,
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(..)",
            Self::Wrong => "Wrong",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(values: &[&'a [u8]]) -> Credential<'a> {
        Credential::read(values.iter().copied())
    }

    #[test]
    fn both_schemes_are_read_in_any_letter_case() {
        for value in ["Bearer t_1", "bearer t_1", "BEARER   t_1", "APIKey t_1", "apikey t_1 "] {
            assert_eq!(read(&[value.as_bytes()]), Credential::Token("t_1"), "{value}");
        }
        assert_eq!(read(&[b"Bearer a.b.c"]), Credential::Token("a.b.c"));
        assert_eq!(format!("{:?}", read(&[b"Bearer t_1"])), "Token(..)");
    }

    #[test]
    fn what_is_not_for_us_is_no_credential() {
        for value in ["", "Basic YTpi", "Bearert_1", "Negotiate", "t_1"] {
            assert_eq!(read(&[value.as_bytes()]), Credential::None, "{value}");
        }
        assert_eq!(read(&[]), Credential::None);
    }

    #[test]
    fn two_headers_and_what_no_token_can_be_read_of_are_wrong() {
        assert_eq!(read(&[b"Bearer a", b"Bearer a"]), Credential::Wrong);
        for value in [
            "Bearer a,Bearer b",
            "Basic a,Bearer b",
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "APIKey a.b.c",
        ] {
            assert_eq!(read(&[value.as_bytes()]), Credential::Wrong, "{value}");
        }
        assert_eq!(read(&[b"Bearer \xff"]), Credential::Wrong);
    }
}
