//! How Tessera's services listen: limits, TLS, health, reflection, and a drain
//! that ends. Issuer and verifier never depend on each other; both stand on this.

mod https;
pub mod tls;
pub mod well_known;

use std::{future::Future, io, net::SocketAddr, path::PathBuf, pin::Pin, time::Duration};

use tessera_shared::config::{TlsFiles, USAGE};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tonic::{
    server::NamedService,
    service::Routes,
    transport::{Identity, Server, ServerTlsConfig, server::Router},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::https::TlsListener;

/// Requests in flight on one connection; more wait.
pub const STREAMS_PER_CONNECTION: u32 = 1024;
/// A call that takes longer is cut off.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest header list that is read, in bytes.
pub const HEADER_BYTES: u32 = 32 * 1024;
/// How often a silent connection is asked whether it is alive.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to answer that.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a service could not listen or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("can't listen on {address}: {error}")]
    Bind {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
    /// A certificate or key can't be used; exit code 64.
    #[error("--{setting}: {}: {what}", file.display())]
    TlsFile {
        /// The setting that names the file.
        setting: &'static str,
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A thread could not be started.
    #[error("can't start a thread: {0}")]
    Thread(io::Error),
    /// The reflection service could not be made from the contract.
    #[error("the contract can't be reflected: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The gRPC server failed.
    #[error("the gRPC server failed: {0}")]
    Grpc(#[from] tonic::transport::Error),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Http(io::Error),
}

impl ServeError {
    /// What the process exits with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::TlsFile { .. } => USAGE,
            Self::Bind { .. }
            | Self::Thread(_)
            | Self::Reflection(_)
            | Self::Grpc(_)
            | Self::Http(_) => 1,
        }
    }
}

/// Where a service listens, already bound, so that a taken address is known at once.
#[derive(Debug)]
pub struct Listeners {
    /// For gRPC.
    pub grpc: TcpListener,
    /// For HTTP: keys, health. Over TLS where gRPC is.
    pub http: TcpListener,
}

impl Listeners {
    /// Binds both.
    ///
    /// # Errors
    /// [`ServeError::Bind`] names the address.
    pub async fn bind(grpc: SocketAddr, http: SocketAddr) -> Result<Self, ServeError> {
        let bind = async |address| {
            TcpListener::bind(address).await.map_err(|error| ServeError::Bind { address, error })
        };
        Ok(Self { grpc: bind(grpc).await?, http: bind(http).await? })
    }
}

/// A gRPC server with the limits that a hostile client meets.
///
/// # Errors
/// When the certificate or the key can't be read or used.
pub fn server(tls: Option<&TlsFiles>) -> Result<Server, ServeError> {
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .timeout(CALL_TIMEOUT)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
    let Some(tls) = tls else { return Ok(server) };
    let pem = tls::read(tls)?;
    let identity = Identity::from_pem(pem.cert, pem.key);
    let config = ServerTlsConfig::new().identity(identity).timeout(Duration::from_secs(10));
    Ok(server.tls_config(config)?)
}

/// Adds reflection, in the version that is current and the one that old clients speak, of
/// our own services and of what the encoded `FileDescriptorSet`s in `more` describe.
///
/// # Errors
/// Never with a contract that compiles.
pub fn with_reflection(routes: Routes, more: &[&'static [u8]]) -> Result<Routes, ServeError> {
    let reflection = || {
        let own = reflection();
        more.iter().fold(own, |all, one| all.register_encoded_file_descriptor_set(one))
    };
    let routes = routes.add_service(reflection().build_v1()?);
    Ok(routes.add_service(reflection().build_v1alpha()?))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tessera_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Says of the whole server, and of the service `S`, whether it serves.
pub async fn report<S: NamedService>(health: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    health.set_service_status("", status).await;
    health.set_service_status(S::NAME, status).await;
}

/// Tells every watcher of these services and of the whole server NOT_SERVING, and then
/// ends its stream: a health watch has no end of its own, and would hold each drain up to
/// its deadline.
pub async fn end_health(health: &mut HealthReporter, services: &[&str]) {
    let all = || services.iter().chain(&[""]);
    for service in all() {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
    for service in all() {
        health.clear_service_status(service).await;
    }
}

/// Serves until `shutdown`, then finishes what is under way, for at most `drain`.
/// The deadline is ours since a graceful stop alone may never end (hyper#4170).
///
/// # Errors
/// When the server fails.
pub async fn grpc(
    router: Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) -> Result<(), ServeError> {
    let incoming = TcpListenerStream::new(listener).map(|stream| {
        stream.inspect(|stream| {
            // Answers are small: waiting to fill a packet only delays them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was refused");
            }
        })
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = router.serve_with_incoming_shutdown(incoming, async {
        let _ = stopped.await;
    });
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = shutdown => drop(stop),
    }
    match tokio::time::timeout(drain, serving).await {
        Ok(ended) => Ok(ended?),
        Err(_) => {
            tracing::warn!(drain_s = drain.as_secs(), "calls still under way are cut off");
            Ok(())
        }
    }
}

/// Serves HTTP until `shutdown`; over TLS, if there is a certificate.
///
/// # Errors
/// When the certificate can't be used or the server fails.
pub async fn http(
    app: axum::Router,
    listener: TcpListener,
    tls: Option<&TlsFiles>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let serving: Pin<Box<dyn Future<Output = io::Result<()>> + Send>> = match tls {
        None => Box::pin(axum::serve(listener, app).into_future()),
        Some(tls) => {
            let listener = TlsListener::new(listener, tls::http_acceptor(tls)?);
            Box::pin(axum::serve(listener, app).into_future())
        }
    };
    // Its answers are short: what is under way at the end may be cut off.
    tokio::select! {
        ended = serving => ended.map_err(ServeError::Http),
        () = shutdown => Ok(()),
    }
}

/// Resolves when the process is asked to stop: SIGTERM, or SIGINT from a terminal.
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
