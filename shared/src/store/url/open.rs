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
    redis::{Address, BadTlsSettings, RedisSettings, RedisStore},
};

/// An open store, as the issuer has it.
pub type OpenStore = Arc<dyn StoreWriter>;

/// What goes with a URL, from other settings.
#[derive(Clone, Default)]
pub struct StoreOptions {
    /// The CA certificates to trust over `rediss://`; goes before the URL's.
    pub ca_file: Option<PathBuf>,
    /// The password of the Redis user; goes before the URL's.
    pub password: Option<String>,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("ca_file", &self.ca_file)
            .field("password", &self.password.as_ref().map(|_| "(not shown)"))
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
        StoreUrl::Embedded(dir) => Arc::new(EmbeddedStore::open(dir)?),
        StoreUrl::Redis(url) => Arc::new(RedisStore::new(url.settings(options)?)),
    })
}

/// As [`open`], for a verifier.
///
/// # Errors
/// As [`open`].
pub fn open_reader(
    url: &StoreUrl,
    options: StoreOptions,
) -> Result<Arc<dyn StoreReader>, OpenError> {
    let store: Arc<dyn StoreReader> = open(url, options)?;
    Ok(store)
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The embedded store's directory.
    #[error(transparent)]
    Embedded(#[from] embedded::OpenError),
    /// TLS without an authority to trust.
    #[error(
        "rediss:// needs the CA certificate of the server: give a PEM file as ?ca_file= in the store URL or as the store's CA file"
    )]
    NoCaFile,
    /// An authority to trust without TLS.
    #[error(
        "a CA file is given, but the store URL does not use TLS: write rediss:// or take the CA file away"
    )]
    CaFileWithoutTls,
    /// The CA file can't be read.
    #[error("can't read the store's CA file {path}: {source}")]
    CaFileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS can't be set up from the CA file.
    #[error("the store's CA file {path}: {source}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadTlsSettings,
    },
}

impl RedisUrl {
    pub(crate) fn settings(&self, options: StoreOptions) -> Result<RedisSettings, OpenError> {
        let ca_file = options.ca_file.as_ref().or(self.ca_file.as_ref());
        let address = match (&self.transport, ca_file) {
            (Transport::Tls(host, port), Some(path)) => tls_address(host, *port, path)?,
            (Transport::Tls(..), None) => return Err(OpenError::NoCaFile),
            (_, Some(_)) => return Err(OpenError::CaFileWithoutTls),
            (Transport::Tcp(host, port), None) => Address::Tcp { host: host.clone(), port: *port },
            (Transport::Unix(path), None) => Address::Unix(path.clone()),
        };
        Ok(RedisSettings {
            username: self.username.clone(),
            password: options.password.map(Zeroizing::new).or_else(|| self.password.clone()),
            database: self.database,
            prefix: self.prefix.clone(),
            ..RedisSettings::new(address)
        })
    }
}

fn tls_address(host: &str, port: u16, ca_file: &Path) -> Result<Address, OpenError> {
    let path = || ca_file.to_owned();
    let pem = std::fs::read(ca_file)
        .map_err(|source| OpenError::CaFileUnreadable { path: path(), source })?;
    Address::tls(host, port, &pem).map_err(|source| OpenError::Tls { path: path(), source })
}
