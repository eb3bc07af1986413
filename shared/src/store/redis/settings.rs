//! How to reach a server, or several.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};
use zeroize::Zeroizing;

use super::tls::Security;

/// How long a call may take, connecting included, unless set otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(1);

/// What comes before every name on the server, unless set otherwise.
pub const DEFAULT_PREFIX: &str = "tessera:";

/// All that a [`super::RedisStore`] needs to know.
#[derive(Clone)]
pub struct RedisSettings {
    /// Which servers there are.
    pub topology: Topology,
    /// Who we are to them.
    pub login: Login,
    /// The number of the database, 0 by default; in a cluster there is no other.
    pub database: u16,
    /// What comes before every name.
    pub prefix: String,
    /// How long a call may take, connecting included.
    pub deadline: Duration,
    /// What a write must have reached before it is acknowledged.
    pub guarantee: Guarantee,
}

impl RedisSettings {
    /// Servers with everything else at its default.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            login: Login::default(),
            database: 0,
            prefix: DEFAULT_PREFIX.to_owned(),
            deadline: DEFAULT_DEADLINE,
            guarantee: Guarantee::default(),
        }
    }
}

/// Which servers hold the records, and how the one to ask is found.
#[derive(Clone, Debug)]
pub enum Topology {
    /// One server.
    One(Address),
    /// The primary that sentinels name.
    Sentinel(SentinelSettings),
    /// A cluster, found through any of these nodes.
    Cluster(Vec<Endpoint>, Security),
}

/// Who names the primary.
#[derive(Clone, Debug)]
pub struct SentinelSettings {
    /// The sentinels: a majority of them must be reached.
    pub sentinels: Vec<Endpoint>,
    /// What the primary is called in their configuration.
    pub master: String,
    /// Who we are to the sentinels.
    pub login: Login,
    /// For sentinels and servers alike.
    pub security: Security,
}

/// What a write must have reached before it is acknowledged, beyond the primary's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guarantee {
    /// So many replicas (`WAIT`); 0 asks none.
    pub replicas: u32,
    /// And the disks of the primary and of as many replicas (`WAITAOF`, Redis 7.2).
    pub disks: bool,
}

impl Guarantee {
    /// Whether there is anything to wait for.
    pub(crate) const fn is_none(self) -> bool {
        self.replicas == 0 && !self.disks
    }
}

/// A user and a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The ACL user; `None` is the server's `default` user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Zeroizing<String>>,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.host, self.port)
    }
}

/// An IPv6 address in brackets, so that the port is told apart.
fn show(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "(not shown)"))
            .finish()
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("topology", &self.topology)
            .field("login", &self.login)
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .field("deadline", &self.deadline)
            .field("guarantee", &self.guarantee)
            .finish()
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Tls(_) => "Tls",
        })
    }
}

/// Where a server is, and how it is spoken to.
#[derive(Clone)]
pub enum Address {
    /// TCP without encryption.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// TLS over TCP: make it with [`Security::address`].
    Tls {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// What the certificate must be for.
        name: ServerName<'static>,
        /// Whom to trust.
        config: Arc<ClientConfig>,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => show(f, host, *port),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Tcp { .. } => "Tcp",
            Self::Tls { .. } => "Tls",
            Self::Unix(_) => "Unix",
        };
        write!(f, "{kind}({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_shown_in_brackets() {
        for (host, shown) in
            [("::1", "[::1]:6379"), ("db", "db:6379"), ("10.0.0.1", "10.0.0.1:6379")]
        {
            let endpoint = Endpoint { host: host.to_owned(), port: 6379 };
            assert_eq!(endpoint.to_string(), shown);
            let address = Security::Plain.address(&endpoint).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), format!("Tcp({shown})"));
        }
    }
}
