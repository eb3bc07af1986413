//! The URL of a Redis store.

use std::{fmt, path::PathBuf};

use ::url::{Host, form_urlencoded};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::StoreUrlError;
use crate::store::redis::{DEFAULT_PREFIX, Endpoint, Login};

const DEFAULT_PORT: u16 = 6379;
const DEFAULT_SENTINEL_PORT: u16 = 26379;

/// The URL of a Redis store. Its passwords have no way out but a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(super) transport: Transport,
    pub(super) is_tls: bool,
    pub(super) login: Login,
    pub(super) sentinel_login: Login,
    pub(super) database: u16,
    pub(super) prefix: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
}

/// Which servers there are, and how they are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `redis://`, `rediss://`: one server.
    One(Endpoint),
    /// `redis+unix://`: the socket's path.
    Unix(PathBuf),
    /// `redis+sentinel://`, `rediss+sentinel://`: the sentinels, and what they call the primary.
    Sentinel(Vec<Endpoint>, String),
    /// `redis+cluster://`, `rediss+cluster://`: nodes to begin with.
    Cluster(Vec<Endpoint>),
}

impl RedisUrl {
    /// Which servers there are.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(super) fn parse(scheme: &str, rest: &str) -> Result<Self, StoreUrlError> {
        let (is_tls, kind) = match scheme.split_once('+') {
            None => (scheme == "rediss", ""),
            Some((base, kind)) => (base == "rediss", kind),
        };
        let known =
            ["", "sentinel", "cluster"].contains(&kind) || (kind, is_tls) == ("unix", false);
        if !known || !(scheme.starts_with("redis+") || is_tls || scheme == "redis") {
            return Err(StoreUrlError::Scheme);
        }
        if rest.contains('#') {
            return Err(StoreUrlError::Fragment);
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if kind == "unix" {
            return Self::unix(rest, query);
        }
        let rest = rest.strip_prefix("//").ok_or(StoreUrlError::Host)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (parse_login(login)?, hosts),
            None => (Login::default(), authority),
        };
        let mut parameters = Parameters::parse(query)?;
        let url = Self {
            is_tls,
            login,
            prefix: parameters.take("prefix").unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            ..Self::default()
        };
        let mut url = match kind {
            "sentinel" => url.sentinel(hosts, path, &mut parameters)?,
            "cluster" => url.cluster(hosts, path)?,
            _ => url.one(hosts, path)?,
        };
        if is_tls {
            url.ca_file = parameters.take("ca_file").map(PathBuf::from);
            url.cert_file = parameters.take("cert_file").map(PathBuf::from);
            url.key_file = parameters.take("key_file").map(PathBuf::from);
        }
        parameters.end(match (kind, is_tls) {
            ("sentinel", true) => {
                "prefix, ca_file, cert_file, key_file, sentinel_user and sentinel_password"
            }
            ("sentinel", false) => "prefix, sentinel_user and sentinel_password",
            (_, true) => "prefix, ca_file, cert_file and key_file",
            (_, false) => "prefix (and, with rediss, ca_file, cert_file and key_file)",
        })?;
        Ok(url)
    }

    fn default() -> Self {
        Self {
            transport: Transport::Cluster(Vec::new()),
            is_tls: false,
            login: Login::default(),
            sentinel_login: Login::default(),
            database: 0,
            prefix: DEFAULT_PREFIX.to_owned(),
            ca_file: None,
            cert_file: None,
            key_file: None,
        }
    }

    fn one(self, hosts: &str, path: &str) -> Result<Self, StoreUrlError> {
        if hosts.contains(',') {
            return Err(StoreUrlError::OneHost);
        }
        let transport = Transport::One(endpoint(hosts, DEFAULT_PORT)?);
        Ok(Self { transport, database: database(path)?, ..self })
    }

    fn sentinel(
        self,
        hosts: &str,
        path: &str,
        parameters: &mut Parameters,
    ) -> Result<Self, StoreUrlError> {
        let (name, db) = path.split_once('/').unwrap_or((path, ""));
        if name.is_empty() {
            return Err(StoreUrlError::Primary);
        }
        let sentinels = endpoints(hosts, DEFAULT_SENTINEL_PORT)?;
        Ok(Self {
            transport: Transport::Sentinel(sentinels, decoded(name)?),
            database: database(db)?,
            sentinel_login: Login {
                username: parameters.take("sentinel_user"),
                password: parameters.take("sentinel_password").map(Zeroizing::new),
            },
            ..self
        })
    }

    fn cluster(self, hosts: &str, path: &str) -> Result<Self, StoreUrlError> {
        if !path.is_empty() && path != "0" {
            return Err(StoreUrlError::ClusterDatabase);
        }
        if self.prefix.contains(['{', '}']) {
            return Err(StoreUrlError::Braces);
        }
        Ok(Self { transport: Transport::Cluster(endpoints(hosts, DEFAULT_PORT)?), ..self })
    }

    fn unix(rest: &str, query: &str) -> Result<Self, StoreUrlError> {
        let path = rest.strip_prefix("//").filter(|path| path.starts_with('/') && path.len() > 1);
        let transport =
            Transport::Unix(PathBuf::from(decoded(path.ok_or(StoreUrlError::Socket)?)?));
        let mut parameters = Parameters::parse(query)?;
        let db = parameters.take("db").unwrap_or_default();
        let prefix = parameters.take("prefix").unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
        let login = Login { username: parameters.take("user"), password: None };
        parameters.end("db, prefix and user (the password goes apart)")?;
        Ok(Self { transport, login, database: database(&db)?, prefix, ..Self::default() })
    }
}

fn parse_login(text: &str) -> Result<Login, StoreUrlError> {
    let (username, password) = match text.split_once(':') {
        Some((username, password)) => (username, Some(decoded(password)?)),
        None => (text, None),
    };
    Ok(Login {
        username: Some(decoded(username)?).filter(|name| !name.is_empty()),
        password: password.filter(|password| !password.is_empty()).map(Zeroizing::new),
    })
}

fn endpoints(hosts: &str, port: u16) -> Result<Vec<Endpoint>, StoreUrlError> {
    hosts.split(',').map(|host| endpoint(host, port)).collect()
}

fn endpoint(text: &str, default_port: u16) -> Result<Endpoint, StoreUrlError> {
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if host.is_empty() {
        return Err(StoreUrlError::Host);
    }
    let port = match port {
        None => default_port,
        Some(port) => port.parse().map_err(|_| StoreUrlError::Syntax)?,
    };
    let host = match Host::parse(host).map_err(|_| StoreUrlError::Syntax)? {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Ok(Endpoint { host, port })
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

/// What stands after the `?`.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(query: &str) -> Result<Self, StoreUrlError> {
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    /// Nothing is left.
    fn end(self, told: &'static str) -> Result<(), StoreUrlError> {
        if self.0.is_empty() { Ok(()) } else { Err(StoreUrlError::Parameter(told)) }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.is_tls { "s" } else { "" };
        let list = |hosts: &[Endpoint]| {
            hosts.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",")
        };
        match &self.transport {
            Transport::One(server) => write!(f, "redis{s}://{server}"),
            Transport::Unix(path) => write!(f, "redis+unix://{}", path.display()),
            Transport::Sentinel(sentinels, name) => {
                write!(f, "redis{s}+sentinel://{}/{name}", list(sentinels))
            }
            Transport::Cluster(nodes) => write!(f, "redis{s}+cluster://{}", list(nodes)),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisUrl")
            .field("url", &format_args!("{self}"))
            .field("login", &self.login)
            .field("sentinel_login", &self.sentinel_login)
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .field("ca_file", &self.ca_file)
            .field("cert_file", &self.cert_file)
            .finish_non_exhaustive()
    }
}
