//! What the issuer calls itself, and what else it tells of its installation.

use std::net::SocketAddr;

use url::Url;

use super::{
    error::ConfigError,
    settings,
    sources::{Found, Sources},
};

/// The `iss` of access tokens, as configured. What counts is the one in the store, where
/// there is one: all issuers of an installation have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUrl {
    /// The URL. It is compared as text, so it is as it was written.
    pub url: String,
    /// Whether somebody chose it; else it is the address of the HTTP listener.
    pub is_given: bool,
    /// The one in the store that it is to replace.
    pub former: Option<String>,
}

impl IssuerUrl {
    pub(super) fn read(
        sources: &Sources<'_>,
        http_listen: SocketAddr,
        tls: bool,
    ) -> Result<Self, ConfigError> {
        let given = sources.lookup(&settings::ISSUER_URL)?;
        let former = sources.lookup(&settings::FORMER_ISSUER_URL)?;
        if let (None, Some(former)) = (&given, &former) {
            return Err(former.malformed("an issuer URL to replace", "--issuer-url beside it"));
        }
        let former = former.map(|former| issuer_url(&former)).transpose()?;
        let scheme = if tls { "https" } else { "http" };
        Ok(Self {
            is_given: given.is_some(),
            url: match given {
                Some(given) => issuer_url(&given)?,
                None => format!("{scheme}://{http_listen}"),
            },
            former,
        })
    }
}

/// Where the verifiers' `/introspect` is reached from outside (RFC 8414, section 2).
pub(super) fn introspection_endpoint(sources: &Sources<'_>) -> Result<Option<String>, ConfigError> {
    let Some(found) = sources.lookup(&settings::INTROSPECTION_ENDPOINT)? else { return Ok(None) };
    plain_url(&found, "the URL of an endpoint").map(Some)
}

/// An issuer identifier is a URL without query and fragment (RFC 8414, section 2);
/// plain http is let pass, for a machine of one's own.
fn issuer_url(found: &Found) -> Result<String, ConfigError> {
    plain_url(found, "an issuer URL")
}

fn plain_url(found: &Found, what: &'static str) -> Result<String, ConfigError> {
    let text = found.text()?;
    let good = Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if good {
        Ok(text.to_owned())
    } else {
        Err(found.malformed(what, "https://HOST, with no user, query or fragment"))
    }
}
