//! How Tessera's services listen: limits, TLS, health, reflection, and a drain
//! that ends. Issuer and verifier never depend on each other; both stand on this.

pub mod accept;
pub mod connection;
pub mod credential;
pub mod deadline;
mod drained;
mod grpc;
mod health;
mod health_watch;
mod http;
pub mod issuer_paths;
mod listeners;
pub mod metrics;
pub mod oauth;
mod opening;
pub mod request;
pub mod room;
pub mod tls;
pub mod trace;
pub mod turn;
pub mod unread;
pub mod unreadable;
pub mod well_known;

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use tessera_shared::config::USAGE;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::pb::health_server;
use tonic_reflection::pb::{
    v1::server_reflection_server as v1, v1alpha::server_reflection_server as v1alpha,
};

use crate::{accept::Gate, metrics::Metrics, trace::Traces};
pub use crate::{drained::Drained, grpc::grpc, health::Health, http::http, listeners::Listeners};

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
    /// The URL of the trace collector can't be used; exit code 64.
    #[error("--otlp-endpoint: {0}")]
    Collector(String),
    /// A thread could not be started.
    #[error("can't start a thread: {0}")]
    Thread(io::Error),
    /// The reflection service could not be made from the contract.
    #[error("the contract can't be reflected: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl ServeError {
    /// What the process exits with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::TlsFile { .. } | Self::Collector(_) => USAGE,
            Self::Bind { .. } | Self::Thread(_) | Self::Reflection(_) => 1,
        }
    }
}

/// Adds reflection, in the version that is current and the one that old clients speak, of
/// these `services`, and of health and itself. They are described in the contract, or in the
/// encoded `FileDescriptorSet`s in `more`.
///
/// # Errors
/// Never with a contract that compiles.
pub fn with_reflection(
    routes: Routes,
    services: &[&'static str],
    more: &[&'static [u8]],
) -> Result<Routes, ServeError> {
    let reflection = |own: &'static str| {
        let descriptors = [tessera_proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET];
        let reflection = tonic_reflection::server::Builder::configure();
        let reflection = (descriptors.iter().chain(more))
            .fold(reflection, |all, one| all.register_encoded_file_descriptor_set(one));
        let listed = services.iter().chain([&health_server::SERVICE_NAME, &own]);
        listed.fold(reflection, |all, one| all.with_service_name(*one))
    };
    let routes = routes.add_service(reflection(v1::SERVICE_NAME).build_v1()?);
    Ok(routes.add_service(reflection(v1alpha::SERVICE_NAME).build_v1alpha()?))
}

/// The paths of all RPCs of these services of the contract, and those of health.
pub fn methods(services: &[&str]) -> Vec<String> {
    let files = FileDescriptorSet::decode(tessera_proto::DESCRIPTORS).unwrap_or_default().file;
    let mut paths = vec!["/grpc.health.v1.Health/Check".to_owned()];
    paths.push("/grpc.health.v1.Health/Watch".to_owned());
    for file in &files {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            if services.contains(&name.as_str()) {
                paths.extend(service.method.iter().map(|rpc| format!("/{name}/{}", rpc.name())));
            }
        }
    }
    paths
}

/// Serves health and metrics in plaintext to whom `gate` lets in until `shutdown`, where there
/// is a listener for it: HTTP/1.1 and gRPC on one port.
pub async fn health(
    listener: Option<TcpListener>,
    gate: Gate,
    health: &Health,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()>,
) {
    let Some(listener) = listener else { return };
    let app = health.all().merge(metrics::route(metrics));
    http(app, listener, gate, &Traces::default(), shutdown).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_of_a_service_are_those_of_its_contract() {
        let paths = methods(&["tessera.v1.VerifierService"]);
        let own: Vec<_> = paths.iter().filter(|path| path.contains("tessera")).collect();
        let verify = "/tessera.v1.VerifierService/Verify";
        assert_eq!(own, [verify, "/tessera.v1.VerifierService/BatchVerify"]);
    }
}
