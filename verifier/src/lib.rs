//! The verifier: it holds no secret and only reads. `Verify` and `BatchVerify` for
//! every request of every service, and the public keys for those who check access
//! tokens themselves.
//!
//! | module | what lives there |
//! |---|---|
//! | `front` | connections, threads, and which way a call goes |
//! | `service` | the gRPC face: the hot path, limits, conversions, how a call fails |
//! | `authz` | what Envoy asks before it lets a request through |
//! | `forward` | what nginx, Caddy and Traefik ask for the same, over HTTP |
//! | `guard` | what stands behind both: credentials, identity, refusals |
//! | `introspect` | the same question in the words of OAuth (RFC 7662) |
//! | `memory` | what was found about tokens, and whether it still holds |
//! | `http` | the HTTP face: keys, forward auth, health |
//! | `watched` | the store, and whether it answers |
//!
//! What a token is worth is decided in [`tessera_shared::examine`]. To add a limit to a
//! request: document it in `verifier_service.proto`, and check it in
//! `service::question`.

mod authz;
mod forward;
mod front;
mod guard;
mod http;
mod introspect;
mod memory;
mod service;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod usage_tests;
mod watched;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tessera_proto::ENVOY_DESCRIPTORS;
pub use tessera_serve::{Listeners, ServeError};
use tessera_shared::{
    clock::{Clock, SystemClock},
    config::VerifierConfig,
    opaque::Opaque,
    store::StoreReader,
    usage::{UsageNotes, report_during},
};
use tokio::sync::oneshot;
use tonic::{server::NamedService as _, service::Routes};

use crate::{
    guard::Guard,
    http::Face,
    memory::Memory,
    service::{Api, Named},
    watched::WatchedStore,
};

/// Serves until `shutdown`, then finishes what is under way, for at most the
/// configured drain. HTTP answers until the end, so that a probe sees the drain.
///
/// A store out of reach stops nothing: calls fail with UNAVAILABLE until it is back.
///
/// # Errors
/// When a certificate can't be used or a listener fails.
pub async fn run(
    config: &VerifierConfig,
    store: Arc<dyn StoreReader>,
    listeners: Listeners,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    serve(config, store, Arc::new(SystemClock), listeners, shutdown).await
}

async fn serve(
    config: &VerifierConfig,
    store: Arc<dyn StoreReader>,
    clock: Arc<dyn Clock>,
    listeners: Listeners,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let store = Arc::new(WatchedStore::new(store));
    let memory = Memory::new(
        store.clone(),
        clock.clone(),
        Opaque::new(config.token_prefix.as_str()),
        config.staleness_bound,
        config.cache_bytes,
    );
    let (mut health, health_service) = tonic_health::server::health_reporter();
    let reporter = health.clone();
    tessera_serve::report::<Named>(&health, false).await;
    tessera_serve::report::<authz::Server>(&health, false).await;
    let tls = config.tls.as_ref().map(tessera_serve::tls::acceptor).transpose()?;
    let usage = Arc::new(UsageNotes::default());
    let api = Api {
        memory: memory.clone(),
        clock,
        require_audience: config.require_audience,
        usage: usage.clone(),
    };
    let guard = Guard(api.clone());
    let routes = Routes::new(health_service).add_service(authz::server(guard.clone()));
    let routes = tessera_serve::with_reflection(routes, &[ENVOY_DESCRIPTORS])?.prepare();
    let service = front::Service { api, routes, tls };
    let draining = Arc::new(AtomicBool::new(false));
    let app = http::app(Face {
        store: store.clone(),
        guard,
        introspection_scope: config.introspection_scope.as_str().into(),
        draining: draining.clone(),
    });

    let (drained, until_drained) = oneshot::channel::<()>();
    let end = async {
        shutdown.await;
        tracing::info!("draining");
        draining.store(true, Relaxed);
        tessera_serve::end_health(&mut health, &[Named::NAME, authz::Server::NAME]).await;
    };
    let grpc = async {
        let served =
            front::serve(service, listeners.grpc, config.threads, end, config.drain_timeout).await;
        drop(drained);
        served
    };
    let http = tessera_serve::http(app, listeners.http, config.tls.as_ref(), async {
        let _ = until_drained.await;
    });
    let serving = async {
        let serving = async { tokio::try_join!(grpc, http).map(drop) };
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended,
            () = warmed(&memory, &store) => {
                tessera_serve::report::<Named>(&reporter, true).await;
                tessera_serve::report::<authz::Server>(&reporter, true).await;
            }
        }
        serving.await
    };
    report_during(Box::pin(serving), &usage, &*store, config.usage_interval).await
}

/// Resolves once the store has answered, and what is always needed is in memory.
async fn warmed(memory: &Memory, store: &WatchedStore) {
    store.wait_for_an_answer().await;
    if let Err(error) = memory.warm().await {
        // Each call reads for itself what it needs.
        tracing::debug!(%error, "the memory is cold");
    }
}
