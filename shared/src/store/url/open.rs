//! From a URL to a store.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{RedisUrl, StoreUrl, Transport};
use crate::store::{
    StoreReader, StoreWriter,
    embedded::{self, EmbeddedStore},
    redis::{
        Address, BadTlsSettings, Endpoint, Guarantee, Identity, Login, RedisSettings, RedisStore,
        Security, SentinelSettings, Topology,
    },
};

/// An open store, as the issuer has it.
pub type OpenStore = Arc<dyn StoreWriter>;

/// What goes with a URL, from other settings. A file that is given here goes before the one that
/// the URL names; a password stands in one of the two.
#[derive(Clone, Default)]
pub struct StoreOptions {
    /// The CA certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate.
    pub cert_file: Option<PathBuf>,
    /// The client's key.
    pub key_file: Option<PathBuf>,
    /// The password of the Redis user.
    pub password: Option<String>,
    /// The password of the sentinels' user.
    pub sentinel_password: Option<String>,
    /// What a write must have reached before it is acknowledged.
    pub guarantee: Guarantee,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |password: &Option<String>| password.as_ref().map(|_| "(not shown)");
        f.debug_struct("StoreOptions")
            .field("ca_file", &self.ca_file)
            .field("cert_file", &self.cert_file)
            .field("key_file", &self.key_file)
            .field("password", &hidden(&self.password))
            .field("sentinel_password", &hidden(&self.sentinel_password))
            .field("guarantee", &self.guarantee)
            .finish()
    }
}

/// Opens the store that `url` names.
///
/// An embedded store is opened now. A Redis store is connected in the background,
/// and need not be up.
///
/// # Errors
/// When the directory can't be used, or TLS can't be set up.
pub fn open(url: &StoreUrl, options: StoreOptions) -> Result<OpenStore, OpenError> {
    Ok(match url {
        StoreUrl::Embedded(_) if options.guarantee != Guarantee::default() => {
            return Err(OpenError::NoReplicas);
        }
        StoreUrl::Embedded(dir) => Arc::new(EmbeddedStore::open(dir)?),
        StoreUrl::Redis(url) => Arc::new(RedisStore::new(url.settings(options)?)),
    })
}

/// As [`open`], for who reads: an embedded store is not made where there is none.
///
/// # Errors
/// As [`open`]; and when the folder holds no store.
pub fn open_existing(url: &StoreUrl, options: StoreOptions) -> Result<OpenStore, OpenError> {
    match url {
        StoreUrl::Embedded(dir) if !EmbeddedStore::is_in(dir) => {
            Err(OpenError::NoStore(dir.clone()))
        }
        url => open(url, options),
    }
}

/// As [`open_existing`], for a verifier.
///
/// # Errors
/// As [`open_existing`].
pub fn open_reader(
    url: &StoreUrl,
    options: StoreOptions,
) -> Result<Arc<dyn StoreReader>, OpenError> {
    let store: Arc<dyn StoreReader> = open_existing(url, options)?;
    Ok(store)
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The embedded store's directory.
    #[error(transparent)]
    Embedded(#[from] embedded::OpenError),
    /// Nothing to read.
    #[error("{} holds no store: name the folder that `tessera up --data` has", .0.display())]
    NoStore(PathBuf),
    /// Replicas of what has none.
    #[error(
        "an embedded store has no replicas to wait for: take --store-min-replicas and --store-wait-disks away"
    )]
    NoReplicas,
    /// TLS without an authority to trust.
    #[error(
        "rediss:// needs the CA certificate of the server: give a PEM file as ?ca_file= in the store URL or as the store's CA file"
    )]
    NoCaFile,
    /// Certificates without TLS.
    #[error(
        "{0} is given, but the store URL does not use TLS: write rediss in place of redis, or take the file away"
    )]
    FileWithoutTls(&'static str),
    /// Half of a certificate and its key.
    #[error("the store's client certificate and its key go together: {0} is missing")]
    HalfIdentity(&'static str),
    /// The URL has a password, and so have other settings.
    #[error(
        "{0} is in the store URL, and is given apart as well (a variable, its ..._FILE, or a key of the \
         configuration file): keep one of them, best the latter"
    )]
    TwoPasswords(&'static str),
    /// A password for sentinels, and none of these.
    #[error("a password for sentinels is given, but the store URL is not redis+sentinel://")]
    NoSentinels,
    /// A file can't be read.
    #[error("can't read the store's {what} {path}: {source}")]
    Unreadable {
        /// What is in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS can't be set up from the files.
    #[error("the store's CA file {path}, or what goes with it: {source}")]
    Tls {
        /// The CA file.
        path: PathBuf,
        /// Why.
        source: BadTlsSettings,
    },
}

const CA_FILE: &str = "CA file";
const CERT_FILE: &str = "client certificate file";
const KEY_FILE: &str = "client key file";

impl RedisUrl {
    pub(crate) fn settings(&self, options: StoreOptions) -> Result<RedisSettings, OpenError> {
        let security = self.security(&options)?;
        let given_apart = |what, password: Option<String>, login: &Login| {
            let password = match (password, &login.password) {
                (Some(_), Some(_)) => return Err(OpenError::TwoPasswords(what)),
                (given, said) => given.map(Zeroizing::new).or_else(|| said.clone()),
            };
            Ok(Login { username: login.username.clone(), password })
        };
        let is_sentinel = matches!(self.transport, Transport::Sentinel(..));
        if options.sentinel_password.is_some() && !is_sentinel {
            return Err(OpenError::NoSentinels);
        }
        let topology = match &self.transport {
            Transport::Unix(path) => Topology::One(Address::Unix(path.clone())),
            Transport::One(server) => Topology::One(self.address(&security, &options, server)?),
            Transport::Sentinel(sentinels, master) => {
                for sentinel in sentinels {
                    self.address(&security, &options, sentinel)?;
                }
                Topology::Sentinel(SentinelSettings {
                    sentinels: sentinels.clone(),
                    master: master.clone(),
                    login: given_apart(
                        "the sentinels' password",
                        options.sentinel_password,
                        &self.sentinel_login,
                    )?,
                    security,
                })
            }
            Transport::Cluster(nodes) => {
                for node in nodes {
                    self.address(&security, &options, node)?;
                }
                Topology::Cluster(nodes.clone(), security)
            }
        };
        Ok(RedisSettings {
            login: given_apart("the password", options.password, &self.login)?,
            database: self.database,
            prefix: self.prefix.clone(),
            guarantee: options.guarantee,
            ..RedisSettings::new(topology)
        })
    }

    fn security(&self, options: &StoreOptions) -> Result<Security, OpenError> {
        let ca_file = options.ca_file.as_ref().or(self.ca_file.as_ref());
        let cert_file = options.cert_file.as_ref().or(self.cert_file.as_ref());
        let key_file = options.key_file.as_ref().or(self.key_file.as_ref());
        if !self.is_tls {
            let files = [(ca_file, "a CA file"), (cert_file, CERT), (key_file, KEY)];
            let given = files.into_iter().find(|(file, _)| file.is_some());
            return match given {
                Some((_, what)) => Err(OpenError::FileWithoutTls(what)),
                None => Ok(Security::Plain),
            };
        }
        let path = ca_file.ok_or(OpenError::NoCaFile)?;
        let ca_pem = read(CA_FILE, path)?;
        let identity = match (cert_file, key_file) {
            (Some(cert), Some(key)) => {
                Some((read(CERT_FILE, cert)?, Zeroizing::new(read(KEY_FILE, key)?)))
            }
            (None, None) => None,
            (Some(_), None) => return Err(OpenError::HalfIdentity("the key")),
            (None, Some(_)) => return Err(OpenError::HalfIdentity("the certificate")),
        };
        let identity = identity.as_ref().map(|(cert_pem, key_pem)| Identity { cert_pem, key_pem });
        Security::tls(&ca_pem, identity)
            .map_err(|source| OpenError::Tls { path: path.clone(), source })
    }

    fn address(
        &self,
        security: &Security,
        options: &StoreOptions,
        endpoint: &Endpoint,
    ) -> Result<Address, OpenError> {
        security.address(endpoint).map_err(|source| {
            let path = options.ca_file.as_ref().or(self.ca_file.as_ref());
            OpenError::Tls { path: path.cloned().unwrap_or_default(), source }
        })
    }
}

const CERT: &str = "a client certificate";
const KEY: &str = "a client key";

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, OpenError> {
    let read = std::fs::read(path);
    read.map_err(|source| OpenError::Unreadable { what, path: path.to_owned(), source })
}
