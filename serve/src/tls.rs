//! The certificate of the listeners. It is looked at before anything listens, so that what
//! is wrong with it is said of the setting and the file; and again for as long as the
//! service runs, so that a new one is taken with no restart. A new one that can't be used
//! is complained of, and the old one kept.

mod expiry;

use std::{
    convert::Infallible,
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use ring::digest;
use rustls::{
    Error, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tessera_shared::config::{TlsFiles, settings};
use tokio_rustls::TlsAcceptor;

use crate::{
    ServeError,
    metrics::{Collector, DescriptorEncoder, NO_LABELS, counter, gauge},
};

/// How often the files are looked at. They are compared by what is in them: Kubernetes
/// puts new ones in their place by a symbolic link, and no notice of that is sure.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the listeners shake hands with.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    grpc: ArcSwap<ServerConfig>,
    http: ArcSwap<ServerConfig>,
    /// When the certificate ends, in seconds since 1970; 0: not known.
    ends_at: AtomicU64,
    reloads: Reloads,
}

/// What is made of the files.
struct Made {
    grpc: ServerConfig,
    http: ServerConfig,
    ends_at: u64,
}

/// How often a new certificate was taken, and how often it could not be used.
#[derive(Debug, Default)]
struct Reloads {
    taken: AtomicU64,
    refused: AtomicU64,
}

/// What the files hold, and a digest of it all.
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

type Seen = [u8; 32];

impl Tls {
    /// TLS 1.2 and 1.3 with the certificate in these files.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn of(files: &TlsFiles) -> Result<Self, ServeError> {
        let Made { grpc, http, ends_at } = make(files, &Contents::read(files)?)?;
        Ok(Self {
            files: files.clone(),
            grpc: ArcSwap::from_pointee(grpc),
            http: ArcSwap::from_pointee(http),
            ends_at: ends_at.into(),
            reloads: Reloads::default(),
        })
    }

    /// For gRPC: HTTP/2 alone. Where there are authorities for callers, each must show a
    /// certificate of theirs.
    pub fn grpc(&self) -> TlsAcceptor {
        self.grpc.load_full().into()
    }

    /// For HTTP/1.1. A caller may show a certificate, and need not: the public keys are
    /// for everybody.
    pub fn http(&self) -> TlsAcceptor {
        self.http.load_full().into()
    }

    /// Takes new certificates, for ever.
    async fn keep_fresh(&self) -> Infallible {
        let mut seen = Contents::read(&self.files).ok().map(|contents| contents.digest());
        let mut refused = None;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let read = Contents::read(&self.files);
            let now = read.as_ref().ok().map(Contents::digest);
            if now.is_some() && now == seen {
                continue;
            }
            let taken = read.and_then(|contents| make(&self.files, &contents));
            match taken {
                Ok(made) => {
                    self.take(made);
                    (seen, refused) = (now, None);
                }
                // Once for each content; a file may also be half written just now.
                Err(error) if refused != Some(now) => {
                    self.reloads.refused.fetch_add(1, Relaxed);
                    tracing::error!(%error, "a new certificate can't be used; the old one goes on");
                    refused = Some(now);
                }
                Err(_) => {}
            }
        }
    }

    fn take(&self, Made { grpc, http, ends_at }: Made) {
        self.ends_at.store(ends_at, Relaxed);
        self.grpc.store(Arc::new(grpc));
        self.http.store(Arc::new(http));
        self.reloads.taken.fetch_add(1, Relaxed);
        tracing::info!(file = %self.files.cert.display(), "a new certificate is in use");
    }
}

impl Collector for Tls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let Reloads { taken, refused } = &self.reloads;
        let counts = [
            ([("result", "taken")], taken.load(Relaxed)),
            ([("result", "refused")], refused.load(Relaxed)),
        ];
        let help = "New certificates that were found in the files: taken, or refused as unusable";
        counter(&mut encoder, "tessera_tls_reloads", help, counts)?;
        let ends_at = self.ends_at.load(Relaxed);
        let help = "When the listeners' certificate ends, or the first of its chain, in seconds since 1970";
        let name = "tessera_tls_certificate_expiry_timestamp_seconds";
        gauge(&mut encoder, name, help, (ends_at > 0).then_some((NO_LABELS, ends_at as f64)))
    }
}

/// Takes new certificates for as long as `serving` runs, and answers what that does.
pub async fn fresh_during<T>(tls: Option<&Tls>, serving: impl Future<Output = T>) -> T {
    let Some(tls) = tls else { return serving.await };
    tokio::select! {
        ended = serving => ended,
        never = tls.keep_fresh() => match never {},
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, ServeError> {
        let read =
            |file: &Path| std::fs::read(file).map_err(|error| format!("can't read it: {error}"));
        let cert = read(&files.cert).map_err(|what| of_cert(&files.cert, what));
        let key = read(&files.key).map_err(|what| of_key(&files.key, what));
        let client_ca = match &files.client_ca {
            Some(file) => Some(read(file).map_err(|what| of_ca(file, what))?),
            None => None,
        };
        Ok(Self { cert: cert?, key: key?, client_ca })
    }

    fn digest(&self) -> Seen {
        let mut context = digest::Context::new(&digest::SHA256);
        let ca = self.client_ca.as_deref().unwrap_or_default();
        for part in [&self.cert, &self.key, ca] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut seen = Seen::default();
        seen.copy_from_slice(context.finish().as_ref());
        seen
    }
}

fn make(files: &TlsFiles, contents: &Contents) -> Result<Made, ServeError> {
    let chain = parse_chain(&files.cert, &contents.cert)?;
    let ends_at = expiry::earliest(&chain).unwrap_or_default();
    let certified = check_pair(files, chain, parse_key(&files.key, &contents.key)?)?;
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let config = |protocol: &[u8], callers: Option<Arc<dyn ClientCertVerifier>>| {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| of_cert(&files.cert, error.to_string()))?;
        let builder = match callers {
            Some(callers) => builder.with_client_cert_verifier(callers),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver.clone());
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok::<_, ServeError>(config)
    };
    let [strict, lenient] = callers(files, contents)?;
    Ok(Made { grpc: config(b"h2", strict)?, http: config(b"http/1.1", lenient)?, ends_at })
}

/// Who may shake hands: with a certificate of the authorities alone, and with none too.
fn callers(
    files: &TlsFiles,
    contents: &Contents,
) -> Result<[Option<Arc<dyn ClientCertVerifier>>; 2], ServeError> {
    let (Some(file), Some(pem)) = (&files.client_ca, &contents.client_ca) else {
        return Ok([None, None]);
    };
    let mut roots = RootCertStore::empty();
    for certificate in parse_authorities(file, pem)? {
        let wrong = |error| of_ca(file, format!("not the certificate of an authority: {error}"));
        roots.add(certificate).map_err(wrong)?;
    }
    let builder = || {
        let provider = Arc::new(default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider)
    };
    let wrong = |error: rustls::server::VerifierBuilderError| of_ca(file, error.to_string());
    let strict = builder().build().map_err(wrong)?;
    let lenient = builder().allow_unauthenticated().build().map_err(wrong)?;
    Ok([Some(strict), Some(lenient)])
}

fn parse_authorities(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    certificates(pem).map_err(|what| of_ca(file, what))
}

fn parse_chain(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    certificates(pem).map_err(|what| of_cert(file, what))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| format!("not PEM: {error}"))?;
    if chain.is_empty() {
        let what = "no certificate in it; a PEM file has -----BEGIN CERTIFICATE----- before each";
        return Err(what.to_owned());
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

fn of_ca(file: &Path, what: impl Into<String>) -> ServeError {
    wrong(settings::TLS_CLIENT_CA.name, file, what)
}

fn wrong(setting: &'static str, file: &Path, what: impl Into<String>) -> ServeError {
    ServeError::TlsFile { setting, file: file.to_owned(), what: what.into() }
}
