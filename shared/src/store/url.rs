//! Which store: `--store URL`.
//!
//! | URL | store |
//! |---|---|
//! | `embedded:DIR` | files in the directory `DIR` |
//! | `redis://user:pass@host:port/db?prefix=p` | Redis over plain TCP |
//! | `rediss://user:pass@host:port/db?prefix=p&ca_file=PEM` | Redis over TLS |
//! | `redis+unix:///path?db=0&prefix=p&user=u` | Redis over a unix socket |
//!
//! User and password are percent-encoded. A password is better given apart
//! ([`StoreOptions::password`]), since a URL shows in the list of processes.

mod open;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf};

use ::url::{Host, Url};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

pub use self::open::{OpenError, OpenStore, StoreOptions, open, open_reader};
use super::redis::DEFAULT_PREFIX;

const DEFAULT_PORT: u16 = 6379;

/// A store's URL, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// Files in a directory.
    Embedded(PathBuf),
    /// A Redis server.
    Redis(RedisUrl),
}

/// The URL of a Redis server. Its password has no way out but a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    transport: Transport,
    username: Option<String>,
    password: Option<Zeroizing<String>>,
    database: u16,
    prefix: String,
    ca_file: Option<PathBuf>,
}

/// How a Redis server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `redis://`: host and port.
    Tcp(String, u16),
    /// `rediss://`: host and port.
    Tls(String, u16),
    /// `redis+unix://`: the socket's path.
    Unix(PathBuf),
}

/// Why a store URL is not one. Says what would be right, and nothing of what was
/// written after the scheme, for there may be a password in it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreUrlError {
    /// An unknown scheme, or none.
    #[error("a store URL is embedded:DIR, redis://…, rediss://… or redis+unix:///PATH")]
    Scheme,
    /// `embedded:` without a directory, or written as an authority.
    #[error(
        "write embedded:DIR, such as embedded:./tessera-data or embedded:/var/lib/tessera, with no // before the directory"
    )]
    Directory,
    /// A scheme for later.
    #[error("{0}:// is not supported yet: use redis://, rediss:// or redis+unix:///PATH")]
    NotYet(&'static str),
    /// Not a URL.
    #[error(
        "not a URL: write redis://USER:PASSWORD@HOST:PORT/DB?prefix=P, and percent-encode what is special in user and password"
    )]
    Syntax,
    /// No host.
    #[error("no host: write redis://HOST:PORT/DB")]
    Host,
    /// No socket.
    #[error("no socket: write redis+unix:///PATH?db=DB, with three slashes")]
    Socket,
    /// The database is no number, or too great.
    #[error("the database is a number from 0 to 65535: write …/0, or ?db=0 for a unix socket")]
    Database,
    /// Percent-encoding that is no UTF-8.
    #[error("user, password and path must be percent-encoded UTF-8")]
    Encoding,
    /// A parameter that the scheme does not have, or has twice.
    #[error("the parameters after ? are {0}, each at most once")]
    Parameter(&'static str),
    /// A fragment.
    #[error("a store URL has nothing after #; write %23 for a # in a password")]
    Fragment,
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
            "redis" | "rediss" | "redis+unix" => RedisUrl::parse(text).map(Self::Redis),
            "redis+sentinel" => Err(StoreUrlError::NotYet("redis+sentinel")),
            "redis+cluster" => Err(StoreUrlError::NotYet("redis+cluster")),
            _ => Err(StoreUrlError::Scheme),
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
            Self::Redis(url) => url.transport.fmt(f),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "redis://{host}:{port}"),
            Self::Tls(host, port) => write!(f, "rediss://{host}:{port}"),
            Self::Unix(path) => write!(f, "redis+unix://{}", path.display()),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisUrl")
            .field("transport", &self.transport)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "(not shown)"))
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

impl RedisUrl {
    /// How the server is reached.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let url = Url::parse(text).map_err(|error| match error {
            ::url::ParseError::EmptyHost => StoreUrlError::Host,
            _ => StoreUrlError::Syntax,
        })?;
        if url.fragment().is_some() {
            return Err(StoreUrlError::Fragment);
        }
        match url.scheme() {
            "redis+unix" => Self::unix(&url),
            scheme => Self::network(&url, scheme == "rediss"),
        }
    }

    fn network(url: &Url, tls: bool) -> Result<Self, StoreUrlError> {
        let host = match url.host().ok_or(StoreUrlError::Host)? {
            Host::Domain(name) if !name.is_empty() => decoded(name)?,
            Host::Domain(_) => return Err(StoreUrlError::Host),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let username = Some(decoded(url.username())?).filter(|name| !name.is_empty());
        let password = url.password().map(decoded).transpose()?.map(Zeroizing::new);
        let [prefix, ca_file] = match tls {
            true => parameters(url, ["prefix", "ca_file"], "prefix and ca_file")?,
            false => {
                let [prefix] = parameters(url, ["prefix"], "prefix (and ca_file for rediss://)")?;
                [prefix, None]
            }
        };
        Ok(Self {
            transport: if tls { Transport::Tls(host, port) } else { Transport::Tcp(host, port) },
            username,
            password,
            database: database(url.path().trim_start_matches('/'))?,
            prefix: prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            ca_file: ca_file.map(PathBuf::from),
        })
    }

    fn unix(url: &Url) -> Result<Self, StoreUrlError> {
        let path = decoded(url.path())?;
        if url.host_str().is_some_and(|host| !host.is_empty()) || path.len() < 2 {
            return Err(StoreUrlError::Socket);
        }
        let [db, prefix, user] = parameters(
            url,
            ["db", "prefix", "user"],
            "db, prefix and user (the password goes apart)",
        )?;
        Ok(Self {
            transport: Transport::Unix(PathBuf::from(path)),
            username: user,
            password: None,
            database: database(db.as_deref().unwrap_or_default())?,
            prefix: prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            ca_file: None,
        })
    }
}

fn decoded(text: &str) -> Result<String, StoreUrlError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(StoreUrlError::Encoding),
    }
}

fn database(text: &str) -> Result<u16, StoreUrlError> {
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| StoreUrlError::Database) }
}

/// The values of the parameters `names`, when there are no others.
fn parameters<const N: usize>(
    url: &Url,
    names: [&str; N],
    told: &'static str,
) -> Result<[Option<String>; N], StoreUrlError> {
    let mut values = [const { None }; N];
    for (name, value) in url.query_pairs() {
        let place = names.iter().zip(&mut values).find(|(known, _)| **known == name);
        match place {
            Some((_, slot @ None)) => *slot = Some(value.into_owned()),
            _ => return Err(StoreUrlError::Parameter(told)),
        }
    }
    Ok(values)
}
