//! What both servers read the same way.

use std::{net::SocketAddr, path::PathBuf};

use tracing_subscriber::EnvFilter;

use super::{
    error::ConfigError, operation::OperationConfig, setting::Setting, settings, sources::Sources,
};
use crate::store::{StoreOptions, StoreUrl, redis::Guarantee};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line an event, in colour on a terminal.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
    /// As pretty, but shorter: spans give their fields, not their names.
    Compact,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How log lines look.
    pub format: LogFormat,
    /// A level, or the directives of `tracing_subscriber`'s `EnvFilter`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".to_owned() }
    }
}

impl LogConfig {
    pub(super) fn read(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let format = match sources.choice(&settings::LOG_FORMAT)? {
            "json" => LogFormat::Json,
            "compact" => LogFormat::Compact,
            _ => LogFormat::Pretty,
        };
        Ok(Self { format, filter: filter(sources)? })
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A word that is no level is a target to `EnvFilter`, and of all others nothing is logged then,
/// errors neither: so it takes a level beside it.
fn filter(sources: &Sources<'_>) -> Result<String, ConfigError> {
    let found = sources.required(&settings::LOG)?;
    let text = found.text()?;
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    let words = text.split(',').map(str::trim);
    let mut words = words.filter(|word| !word.is_empty() && !word.contains(['=', '[']));
    let stray = words.clone().next().filter(|_| !words.any(is_level));
    if stray.is_none() && EnvFilter::builder().parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    let a_level = match stray {
        Some(word) if word.eq_ignore_ascii_case("warning") => "warn, another level",
        _ => "a level",
    };
    let levels = LEVELS.join(", ");
    let expected = format!("{a_level} ({levels}) or directives: info,tessera_issuer=debug");
    Err(found.malformed("a log filter", expected))
}

/// The certificate of the listeners, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// The authorities that callers' certificates are of, PEM; `None`: callers need none.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    pub(super) fn read(sources: &Sources<'_>) -> Result<Option<Self>, ConfigError> {
        let half = |given: &'static Setting, missing| {
            Err(match sources.required(given) {
                Ok(found) => ConfigError::HalfTls { given: found.origin, missing },
                Err(error) => error,
            })
        };
        let (cert, key) = (&settings::TLS_CERT_FILE, &settings::TLS_KEY_FILE);
        let client_ca = sources.path(&settings::TLS_CLIENT_CA)?;
        match (sources.path(cert)?, sources.path(key)?) {
            (Some(cert), Some(key)) => Ok(Some(Self { cert, key, client_ca })),
            (None, None) if client_ca.is_some() => Err(ConfigError::Needs {
                given: sources.required(&settings::TLS_CLIENT_CA)?.origin,
                missing: cert,
            }),
            (None, None) => Ok(None),
            (Some(_), None) => half(cert, key),
            (None, Some(_)) => half(key, cert),
        }
    }
}

/// The store, and what goes with its URL.
pub(super) struct StoreAccess {
    pub(super) url: String,
    pub(super) options: StoreOptions,
}

impl StoreAccess {
    pub(super) fn read(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let secret = |setting| {
            let secret = sources.secret(setting)?;
            Ok::<_, ConfigError>(secret.map(|secret| secret.expose().to_owned()))
        };
        Ok(Self {
            url: store_url(sources)?,
            options: StoreOptions {
                ca_file: sources.path(&settings::STORE_CA_FILE)?,
                cert_file: sources.path(&settings::STORE_CERT_FILE)?,
                key_file: sources.path(&settings::STORE_KEY_FILE)?,
                password: secret(&settings::STORE_PASSWORD)?,
                sentinel_password: secret(&settings::STORE_SENTINEL_PASSWORD)?,
                guarantee: Guarantee::default(),
            },
        })
    }

    /// As [`Self::read`], for who writes.
    pub(super) fn read_for_writing(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let mut access = Self::read(sources)?;
        access.options.guarantee = Guarantee {
            replicas: sources.integer(&settings::STORE_MIN_REPLICAS)?,
            disks: sources.switch(&settings::STORE_WAIT_DISKS)?.unwrap_or(false),
        };
        Ok(access)
    }

    /// A folder on this machine.
    pub(super) fn embedded(directory: &str) -> Self {
        Self { url: format!("embedded:{directory}"), options: StoreOptions::default() }
    }
}

/// What differs between a binary of its own and a part of `tessera up`.
pub(super) struct Place {
    pub(super) store: StoreAccess,
    /// The setting of the gRPC listener's address.
    pub(super) grpc: &'static Setting,
    /// The setting of the HTTP listener's address.
    pub(super) http: &'static Setting,
    pub(super) operation: OperationConfig,
    pub(super) dev: bool,
}

impl Place {
    /// The addresses of the gRPC and the HTTP listener, over which tokens and keys go: in
    /// plaintext not beyond loopback, except for development.
    pub(super) fn addresses(
        &self,
        sources: &Sources<'_>,
        tls: Option<&TlsFiles>,
    ) -> Result<[SocketAddr; 2], ConfigError> {
        let address = |setting| {
            let address = sources.socket_address(setting)?;
            if is_loopback(address) || tls.is_some() || self.dev {
                return Ok(address);
            }
            let origin = sources.required(setting)?.origin;
            Err(ConfigError::Plaintext { origin, address })
        };
        Ok([address(self.grpc)?, address(self.http)?])
    }
}

/// Whether only this machine reaches `address`.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    // `::ffff:127.0.0.1` is the loopback of IPv4, but not that of IPv6.
    address.ip().to_canonical().is_loopback()
}

/// The prefix of tokens; a letter comes first, so that it reads as a word.
pub(super) fn token_prefix(sources: &Sources<'_>) -> Result<String, ConfigError> {
    let expected = "1 to 16 of a-z and 0-9, a letter first: tessera";
    sources.parsed(&settings::TOKEN_PREFIX, "a token prefix", expected, |text| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = (1..=16).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(allowed);
        good.then(|| text.to_owned())
    })
}

/// The store URL as a log may show it: without user, password and parameters.
pub(super) fn store_without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // The last `@`, and before the `?` is looked for: a password that was not
    // percent-encoded may hold both.
    let (at, place) = match rest.rsplit_once('@') {
        Some((_, place)) => ("[redacted]@", place),
        None => ("", rest),
    };
    let place = place.split('?').next().unwrap_or_default();
    format!("{scheme}://{at}{place}")
}

fn store_url(sources: &Sources<'_>) -> Result<String, ConfigError> {
    let found = sources.required(&settings::STORE)?;
    let text = found.text()?;
    match StoreUrl::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(cause) => Err(ConfigError::StoreUrl { origin: found.origin, cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_store_url_has_no_credentials() {
        for (url, shown) in [
            ("embedded:./data", "embedded:./data"),
            ("redis://h:6379/0", "redis://h:6379/0"),
            ("redis://u:p@h:6379/0?prefix=p", "redis://[redacted]@h:6379/0"),
            ("redis+cluster://u:p@a:1,b:2", "redis+cluster://[redacted]@a:1,b:2"),
            ("redis://u:hunter2/?@h", "redis://[redacted]@h"),
            ("redis://u:hunter2@3@h", "redis://[redacted]@h"),
        ] {
            assert_eq!(store_without_credentials(url), shown);
        }
    }
}
