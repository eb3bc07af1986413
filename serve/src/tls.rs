//! The certificate of the listeners, looked at before anything listens: what is wrong
//! with it is said of the setting and the file.

use std::{path::Path, sync::Arc};

use rustls::{
    Error, InconsistentKeys, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use tessera_shared::config::{TlsFiles, settings};
pub use tokio_rustls::TlsAcceptor as Acceptor;

use crate::ServeError;

/// Accepts TLS 1.2 and 1.3 with this certificate, for HTTP/2 alone.
///
/// # Errors
/// What is wrong with which file.
pub fn acceptor(files: &TlsFiles) -> Result<Acceptor, ServeError> {
    acceptor_of(files, b"h2")
}

/// The same, for HTTP/1.1 alone.
pub(crate) fn http_acceptor(files: &TlsFiles) -> Result<Acceptor, ServeError> {
    acceptor_of(files, b"http/1.1")
}

fn acceptor_of(files: &TlsFiles, protocol: &[u8]) -> Result<Acceptor, ServeError> {
    let (cert, key) = (read_cert(&files.cert), read_key(&files.key));
    let (chain, key) = (parse_chain(&files.cert, &cert?)?, parse_key(&files.key, &key?)?);
    let certified = check_pair(files, chain, key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| of_cert(&files.cert, error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Acceptor::from(Arc::new(config)))
}

/// A certificate and its key, as the files have them (PEM), found to be good.
pub(crate) struct Pem {
    pub(crate) cert: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// Reads both files and checks that a server can use them.
pub(crate) fn read(files: &TlsFiles) -> Result<Pem, ServeError> {
    let (cert, key) = (read_cert(&files.cert), read_key(&files.key));
    let (cert, key) = (cert?, key?);
    let (chain, private) = (parse_chain(&files.cert, &cert)?, parse_key(&files.key, &key)?);
    check_pair(files, chain, private)?;
    Ok(Pem { cert, key })
}

fn read_cert(file: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(file).map_err(|error| of_cert(file, format!("can't read it: {error}")))
}

fn read_key(file: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(file).map_err(|error| of_key(file, format!("can't read it: {error}")))
}

fn parse_chain(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| of_cert(file, format!("not PEM: {error}")))?;
    if chain.is_empty() {
        let what = "no certificate in it; a PEM file has -----BEGIN CERTIFICATE----- before each";
        return Err(of_cert(file, what));
    }
    Ok(chain)
}

fn parse_key(file: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, ServeError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(pem) => {
            of_key(file, "the private key in it is encrypted; give one that is not")
        }
        pem::Error::NoItemsFound => of_key(
            file,
            "no private key in it; a PEM file has -----BEGIN PRIVATE KEY----- before it",
        ),
        other => of_key(file, format!("not PEM: {other}")),
    })
}

fn is_encrypted(pem: &[u8]) -> bool {
    let label = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    pem.windows(label.len()).any(|part| part == label)
}

fn check_pair(
    files: &TlsFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, ServeError> {
    let key = default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| of_key(&files.key, format!("not a key for TLS: {error}")))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Unknown: a kind of key that does not show its public half.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => {
            let cert = files.cert.display();
            Err(of_key(&files.key, format!("not the key of the certificate in {cert}")))
        }
        Err(error) => Err(of_cert(&files.cert, format!("not a certificate for TLS: {error}"))),
    }
}

fn of_cert(file: &Path, what: impl Into<String>) -> ServeError {
    wrong(settings::TLS_CERT_FILE.name, file, what)
}

fn of_key(file: &Path, what: impl Into<String>) -> ServeError {
    wrong(settings::TLS_KEY_FILE.name, file, what)
}

fn wrong(setting: &'static str, file: &Path, what: impl Into<String>) -> ServeError {
    ServeError::TlsFile { setting, file: file.to_owned(), what: what.into() }
}
