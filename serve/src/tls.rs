//! TLS for a listener of our own.

use std::{path::PathBuf, sync::Arc};

use tessera_shared::config::TlsFiles;
pub use tokio_rustls::TlsAcceptor as Acceptor;
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::ServeError;

/// Accepts TLS 1.2 and 1.3 with this certificate, for HTTP/2 alone.
///
/// # Errors
/// When a file can't be read, or what is in it can't be used.
pub fn acceptor(files: &TlsFiles) -> Result<Acceptor, ServeError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| ServeError::TlsFile { path: path.clone(), error })
    };
    let unusable = |path: &PathBuf, what: String| ServeError::Tls { path: path.clone(), what };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(&files.cert)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| unusable(&files.cert, "no PEM certificate is in it".into()))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| unusable(&files.key, "no PEM private key is in it".into()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| unusable(&files.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Acceptor::from(Arc::new(config)))
}
