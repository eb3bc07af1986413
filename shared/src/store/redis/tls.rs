//! TLS to a server: whom to trust, and who we are.

use std::sync::Arc;

use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use super::settings::{Address, Endpoint};

/// Whether connections are encrypted.
#[derive(Clone)]
pub enum Security {
    /// They are not.
    Plain,
    /// TLS: make it with [`Security::tls`].
    Tls(Arc<ClientConfig>),
}

/// A client certificate and its key, both PEM.
pub struct Identity<'a> {
    /// The chain, our own certificate first.
    pub cert_pem: &'a [u8],
    /// The private key.
    pub key_pem: &'a [u8],
}

impl Security {
    /// TLS with servers whose certificates are signed under one of those in `ca_pem`. No
    /// other authority is trusted, the system's included.
    ///
    /// # Errors
    /// When one of the texts is not what it should be.
    pub fn tls(ca_pem: &[u8], identity: Option<Identity<'_>>) -> Result<Self, BadTlsSettings> {
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
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { cert_pem, key_pem }) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert_pem).collect();
                let chain = chain.map_err(|_| BadTlsSettings::ClientCertificate)?;
                if chain.is_empty() {
                    return Err(BadTlsSettings::ClientCertificate);
                }
                let key = PrivateKeyDer::from_pem_slice(key_pem)
                    .map_err(|_| BadTlsSettings::ClientKey)?;
                config.with_client_auth_cert(chain, key).map_err(|_| BadTlsSettings::ClientPair)?
            }
        };
        Ok(Self::Tls(Arc::new(config)))
    }

    /// The server at `endpoint`; over TLS its certificate must be for that host.
    ///
    /// # Errors
    /// When the host can be in no certificate.
    pub fn address(&self, endpoint: &Endpoint) -> Result<Address, BadTlsSettings> {
        let Endpoint { host, port } = endpoint.clone();
        Ok(match self {
            Self::Plain => Address::Tcp { host, port },
            Self::Tls(config) => {
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| BadTlsSettings::HostName)?;
                Address::Tls { host, port, name, config: config.clone() }
            }
        })
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
    /// The client's certificate can't be read.
    #[error("there is no PEM certificate (-----BEGIN CERTIFICATE-----) in the client certificate")]
    ClientCertificate,
    /// The client's key can't be read.
    #[error("there is no PEM private key in the client key")]
    ClientKey,
    /// The two don't go together.
    #[error("the client certificate can't be used with that key")]
    ClientPair,
    /// The TLS library was built without TLS 1.2 and 1.3.
    #[error("the TLS library offers no protocol version")]
    Versions,
}
