//! Where traces go, and how many.

use std::path::PathBuf;

use url::Url;

use super::{
    error::ConfigError,
    settings,
    sources::{Found, Sources},
};

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// The collector: `http://` or `https://`, a host and a port.
    pub endpoint: String,
    /// The authorities that its certificate is checked against, PEM; there with `https://`.
    pub ca_file: Option<PathBuf>,
    /// The part that is traced of the requests whose callers say nothing of it, from 0 to 1.
    pub sample_ratio: f64,
}

impl TracesConfig {
    pub(super) fn read(sources: &Sources<'_>) -> Result<Option<Self>, ConfigError> {
        let sample_ratio = sources.ratio(&settings::OTLP_SAMPLE_RATIO)?;
        let ca_file = sources.path(&settings::OTLP_CA_FILE)?;
        let needs = |given: &'static _, missing| {
            Err(ConfigError::Needs { given: sources.required(given)?.origin, missing })
        };
        let Some(found) = sources.lookup(&settings::OTLP_ENDPOINT)? else {
            return match ca_file {
                Some(_) => needs(&settings::OTLP_CA_FILE, &settings::OTLP_ENDPOINT),
                None => Ok(None),
            };
        };
        let (endpoint, is_tls) = endpoint(&found)?;
        match (&ca_file, is_tls) {
            (None, true) => needs(&settings::OTLP_ENDPOINT, &settings::OTLP_CA_FILE),
            _ => Ok(Some(Self { endpoint, ca_file, sample_ratio })),
        }
    }
}

/// The URL of a collector, and whether it speaks TLS. OTLP over gRPC has no path, and a
/// credential has no place in it.
fn endpoint(found: &Found) -> Result<(String, bool), ConfigError> {
    let text = found.text()?;
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let url = url.ok_or_else(|| {
        found.malformed("the URL of a collector", "http://HOST:4317, which takes OTLP over gRPC")
    })?;
    Ok((text.to_owned(), url.scheme() == "https"))
}
