//! How to reach a server.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use zeroize::Zeroizing;

/// How long a call may take, connecting included, unless set otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(1);

/// What comes before every name on the server, unless set otherwise.
pub const DEFAULT_PREFIX: &str = "tessera:";

/// All that a [`super::RedisStore`] needs to know.
#[derive(Clone)]
pub struct RedisSettings {
    /// Where the server is.
    pub address: Address,
    /// The ACL user; `None` is the server's `default` user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Zeroizing<String>>,
    /// The number of the database, 0 by default.
    pub database: u16,
    /// What comes before every name.
    pub prefix: String,
    /// How long a call may take, connecting included.
    pub deadline: Duration,
}

impl RedisSettings {
    /// The server at `address` with everything else at its default.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            username: None,
            password: None,
            database: 0,
            prefix: DEFAULT_PREFIX.to_owned(),
            deadline: DEFAULT_DEADLINE,
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("address", &self.address)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "(not shown)"))
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .field("deadline", &self.deadline)
            .finish()
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
    /// TLS over TCP: make it with [`Address::tls`].
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

impl Address {
    /// A TLS server whose certificate is for `host` and signed under one of the
    /// certificates in `ca_pem`. No other authority is trusted, the system's
    /// included.
    ///
    /// # Errors
    /// When `ca_pem` is not a list of certificates, or `host` can be in none.
    pub fn tls(host: &str, port: u16, ca_pem: &[u8]) -> Result<Self, BadTlsSettings> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| BadTlsSettings::HostName)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            let certificate = certificate.map_err(|_| BadTlsSettings::NotPem)?;
            roots.add(certificate).map_err(|_| BadTlsSettings::NotACertificate)?;
        }
        if roots.is_empty() {
            return Err(BadTlsSettings::NotPem);
        }
        // The provider is named here, so that nothing depends on what the process installed.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| BadTlsSettings::Versions)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::Tls { host: host.to_owned(), port, name, config: Arc::new(config) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => write!(f, "{host}:{port}"),
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

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadTlsSettings {
    /// No certificate can be for such a host.
    #[error("the host is neither a DNS name nor an IP address, so no certificate can be for it")]
    HostName,
    /// Not PEM, or no certificate in it.
    #[error("there is no PEM certificate (-----BEGIN CERTIFICATE-----) in it")]
    NotPem,
    /// PEM, but what is in it is no certificate.
    #[error("a certificate in it can't be read")]
    NotACertificate,
    /// The TLS library was built without TLS 1.2 and 1.3.
    #[error("the TLS library offers no protocol version")]
    Versions,
}
