//! The verifier: it holds no secret and only reads. `Verify` and `BatchVerify` for
//! every request of every service, and the public keys for those who check access
//! tokens themselves.
//!
//! | module | what lives there |
//! |---|---|
//! | `service` | the gRPC face: limits, conversions, how a call fails |
//! | `http` | the HTTP face: keys, health |
//! | `watched` | the store, and whether it answers |
//!
//! The examination itself is [`tessera_shared::examine`]. To add a limit to a
//! request: document it in `verifier_service.proto`, and check it in
//! `service::question`.

mod http;
mod service;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod watched;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

pub use tessera_serve::{Listeners, ServeError};
use tessera_shared::{
    clock::{Clock, SystemClock},
    config::VerifierConfig,
    examine::Examiner,
    opaque::Opaque,
    store::StoreReader,
};
use tokio::sync::oneshot;
use tonic::server::NamedService;

use crate::{
    http::Face,
    service::{Server, VerifierApi},
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
    let api = VerifierApi {
        examiner: Examiner::new(Opaque::new(config.token_prefix.as_str()), store.clone()),
        clock,
        require_audience: config.require_audience,
    };
    let (mut health, health_service) = tonic_health::server::health_reporter();
    let reporter = health.clone();
    tessera_serve::report::<Server>(&health, false).await;
    let router = tessera_serve::server(config.tls.as_ref())?
        .add_service(service::server(api))
        .add_service(health_service);
    let router = tessera_serve::with_reflection(router)?;
    let draining = Arc::new(AtomicBool::new(false));
    let app = http::app(Face { store: store.clone(), draining: draining.clone() });

    let (drained, until_drained) = oneshot::channel::<()>();
    let end = async {
        shutdown.await;
        tracing::info!("draining");
        draining.store(true, Relaxed);
        tessera_serve::end_health(&mut health, &[<Server as NamedService>::NAME]).await;
    };
    let grpc = async {
        let served = tessera_serve::grpc(router, listeners.grpc, end, config.drain_timeout).await;
        drop(drained);
        served
    };
    let http = tessera_serve::http(app, listeners.http, async {
        let _ = until_drained.await;
    });
    let serving = async { tokio::try_join!(grpc, http) };
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.map(drop),
        () = store.wait_for_an_answer() => {
            tessera_serve::report::<Server>(&reporter, true).await;
        }
    }
    serving.await.map(drop)
}
