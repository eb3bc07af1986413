//! Where the pages of an issuer are. Where its URL has a path, they are under it as well: OpenID
//! Connect Discovery puts the path in front of `/.well-known`, RFC 8414 behind.

/// The public keys.
pub const JWKS: &str = "/.well-known/jwks.json";
/// The metadata, as RFC 8414 has them.
pub const OAUTH: &str = "/.well-known/oauth-authorization-server";
/// The metadata, as OpenID Connect has them.
pub const OPENID: &str = "/.well-known/openid-configuration";

/// One of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The public keys.
    Jwks,
    /// Where they are, and other things about the issuer.
    Metadata,
}

/// The path of the issuer's URL, without a last slash, if it has one that a route can
/// have: braces mean something there.
pub fn path_of(issuer: &str) -> Option<&str> {
    let (_, place) = issuer.split_once("://")?;
    let path = place.get(place.find('/')?..)?.trim_end_matches('/');
    (path.starts_with('/') && !path.contains(['{', '}', '*'])).then_some(path)
}

/// The page at `path` that is there because the issuer's URL has a path.
pub fn page_under(issuer: &str, path: &str) -> Option<Page> {
    let own = path_of(issuer)?;
    match path.strip_prefix(own) {
        Some(JWKS) => Some(Page::Jwks),
        Some(OPENID) => Some(Page::Metadata),
        _ => (path.strip_prefix(OAUTH) == Some(own)).then_some(Page::Metadata),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_issuer_is_found() {
        for (issuer, path) in [
            ("https://tessera.example", None),
            ("https://tessera.example/", None),
            ("https://tessera.example/a/b", Some("/a/b")),
            ("http://[::1]:8080/a/", Some("/a")),
            ("https://tessera.example/{a}", None),
        ] {
            assert_eq!(path_of(issuer), path, "{issuer}");
        }
    }

    #[test]
    fn the_pages_are_under_the_path_of_the_issuer() {
        let issuer = "https://tessera.example/a/b";
        for (path, page) in [
            ("/a/b/.well-known/jwks.json", Some(Page::Jwks)),
            ("/a/b/.well-known/openid-configuration", Some(Page::Metadata)),
            ("/.well-known/oauth-authorization-server/a/b", Some(Page::Metadata)),
            ("/.well-known/oauth-authorization-server/a", None),
            ("/a/.well-known/jwks.json", None),
            ("/a/b/.well-known/jwks.json/", None),
        ] {
            assert_eq!(page_under(issuer, path), page, "{path}");
        }
        assert_eq!(page_under("https://tessera.example", JWKS), None);
    }
}
