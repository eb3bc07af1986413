//! Which store: `--store URL`.
//!
//! | URL | store |
//! |---|---|
//! | `embedded:DIR` | files in the directory `DIR` |
//! | `redis://user:pass@host:port/db` | one Redis server |
//! | `redis+unix:///path?db=0&user=u` | one Redis server, over a unix socket |
//! | `redis+sentinel://user:pass@h1:p,h2:p,h3:p/master-name/db` | the primary that sentinels name |
//! | `redis+cluster://user:pass@h1:p,h2:p` | a Redis Cluster, found through any of these nodes |
//!
//! With `rediss` in place of `redis` each of the three over a network speaks TLS.
//!
//! | parameter | meaning |
//! |---|---|
//! | `prefix` | what comes before every name, `tessera:` where it is not given |
//! | `ca_file` | TLS: the authorities to trust, PEM |
//! | `cert_file`, `key_file` | TLS: the client's certificate and its key, PEM |
//! | `sentinel_user`, `sentinel_password` | who we are to the sentinels |
//!
//! User, password and the primary's name are percent-encoded. A password is better given
//! apart ([`StoreOptions`]), since a URL shows in the list of processes. A port is 6379
//! where it is not given, a sentinel's 26379.

mod error;
mod open;
mod redis;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf};

pub use self::{
    error::StoreUrlError,
    open::{OpenError, OpenStore, StoreOptions, open, open_existing, open_reader},
    redis::{RedisUrl, Transport},
};

/// A store's URL, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// Files in a directory.
    Embedded(PathBuf),
    /// Redis.
    Redis(Box<RedisUrl>),
}

impl StoreUrl {
    /// Parses a URL as given to `--store`.
    ///
    /// # Errors
    /// Says what would be right, and never repeats the password.
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(StoreUrlError::Scheme)?;
        match scheme {
            "embedded" if rest.is_empty() || rest.starts_with("//") => {
                Err(StoreUrlError::Directory)
            }
            "embedded" => Ok(Self::Embedded(PathBuf::from(rest))),
            _ => RedisUrl::parse(scheme, rest).map(|url| Self::Redis(Box::new(url))),
        }
    }
}

impl std::str::FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(dir) => write!(f, "embedded:{}", dir.display()),
            Self::Redis(url) => url.fmt(f),
        }
    }
}
