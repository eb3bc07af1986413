//! The verifier: it holds no secret and only reads. `Verify` and `BatchVerify` for
//! every request of every service, and the public keys for those who check access
//! tokens themselves.
//!
//! | module | what lives there |
//! |---|---|
//! | `front` | connections, threads, and which way a call goes |
//! | `callers` | who may ask |
//! | `service` | the gRPC face: the hot path, limits, conversions, how a call fails |
//! | `authz` | what Envoy asks before it lets a request through |
//! | `forward` | what nginx, Caddy and Traefik ask for the same, over HTTP |
//! | `guard` | what stands behind both: credentials, identity, refusals |
//! | `answers` | how often each answer was given to those |
//! | `introspect` | the same question in the words of OAuth (RFC 7662) |
//! | `memory` | what was found about tokens, and whether it still holds |
//! | `http` | the HTTP face: keys, forward auth, health |
//! | `published` | the public keys, also during an outage |
//! | `watched` | the store, and whether it answers |
//! | `metrics` | what is told of all that, for Prometheus |
//!
//! What a token is worth is decided in [`tessera_shared::examine`]. To add a limit to a
//! request: document it in `verifier_service.proto`, and check it in
//! `service::question`.

mod answers;
mod authz;
mod callers;
mod forward;
mod front;
mod guard;
mod http;
mod introspect;
mod memory;
mod metrics;
mod published;
mod service;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod usage_tests;
mod watched;

use std::{future::Future, sync::Arc};

use tessera_proto::ENVOY_DESCRIPTORS;
use tessera_serve::{
    Drained, Health,
    accept::Gate,
    metrics::{Calls, MeasuredStore, Pages, StoreTimes},
    room::{Room, Rooms},
    tls::{Tls, fresh_during},
    trace::{StoreSpans, Traces},
};
pub use tessera_serve::{Listeners, ServeError};
use tessera_shared::{
    clock::{Clock, SystemClock},
    config::VerifierConfig,
    opaque::Opaque,
    store::StoreReader,
    usage::{UsageNotes, report_during},
};
use tonic::{server::NamedService, service::Routes};

use crate::{
    answers::GuardAnswers,
    callers::Callers,
    guard::Guard,
    http::Face,
    memory::Memory,
    metrics::Verdicts,
    published::Published,
    service::{Api, Named},
    watched::WatchedStore,
};

/// What logs and traces call it.
const SERVICE: &str = "tessera-verifier";

/// Whose health is told.
const SERVICES: [&str; 2] = [Named::NAME, <authz::Server as NamedService>::NAME];

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
    listeners.announce(SERVICE, config.tls.as_ref());
    let operation = &config.operation;
    let traces = Traces::of(operation.traces.as_ref(), SERVICE)?;
    let store_times = Arc::new(StoreTimes::default());
    let spans = StoreSpans::new(traces.clone(), &config.store);
    let measured = MeasuredStore::new(store, store_times.clone(), spans);
    let store = Arc::new(WatchedStore::new(Arc::new(measured)));
    let memory = Memory::new(
        store.clone(),
        clock.clone(),
        Opaque::new(config.token_prefix.as_str()),
        config.staleness_bound,
        config.cache_bytes,
    );
    let health = Health::starting(&SERVICES).await;
    let tls = config.tls.as_ref().map(Tls::of).transpose()?.map(Arc::new);
    let usage = Arc::new(UsageNotes::default());
    let api = Api {
        memory: memory.clone(),
        clock,
        require_audience: config.require_audience,
        usage: usage.clone(),
        verdicts: Verdicts::default(),
    };
    let guard = Guard(api.clone());
    let answers = GuardAnswers::default();
    let authz = authz::server(guard.clone(), answers.clone(), traces.clone());
    let routes = Routes::new(health.service()).add_service(authz);
    let routes = tessera_serve::with_reflection(routes, &SERVICES, &[ENVOY_DESCRIPTORS])?.prepare();
    let authorization = format!("/{}/Check", authz::Server::NAME);
    let calls =
        Calls::of(tessera_serve::methods(&[Named::NAME]).into_iter().chain([authorization]));
    let pages = Pages::new();
    let read = metrics::Read {
        memory: memory.clone(),
        verdicts: api.verdicts.clone(),
        calls: calls.clone(),
        pages: pages.clone(),
        answers: answers.clone(),
    };
    let connections = Room::new(operation.max_connections);
    let room = Room::new(operation.max_concurrent_calls);
    let readers = Room::new(operation.max_connections);
    let rooms =
        Rooms { connections: connections.clone(), http: readers.clone(), calls: room.clone() };
    let metrics = metrics::all(read, store_times, rooms, tls.clone(), &traces);
    let age = operation.max_connection_age;
    let gate = Gate::new(tls.clone(), connections, age);
    let service = front::Service {
        api,
        routes,
        calls,
        room: room.clone(),
        callers: Callers::new(config.verify_callers.clone()),
        budget: gate.budget().clone(),
        traces: traces.clone(),
    };
    let http_gate = Gate::http(tls.clone(), readers, age);
    // A room of its own, so that callers can't keep a probe out.
    let health_gate = Gate::http(None, Room::new(operation.max_connections), age);
    let face = Face {
        published: Arc::new(Published::new(store.clone())),
        guard,
        callers: config.verify_callers.clone(),
        introspection_scope: config.introspection_scope.as_str().into(),
        introspection_endpoint: config.introspection_endpoint.as_deref().map(Into::into),
        room,
        answers,
    };
    let app =
        http::app(face).merge(health.pages()).merge(tessera_serve::metrics::route(metrics.clone()));
    let app = pages.count(app);

    let drained = Drained::pending();
    let http = tessera_serve::http(app, listeners.http, http_gate, &traces, drained.wait());
    let probes =
        tessera_serve::health(listeners.health, health_gate, &health, metrics, drained.wait());
    let grpc = async {
        let end = health.clone().drain(shutdown, operation.drain_delay);
        let (threads, drain) = (config.threads, operation.drain_timeout);
        let served = front::serve(service, gate, listeners.grpc, threads, end, drain).await;
        drained.tell();
        served
    };
    let serving = async {
        let serving = async { tokio::join!(grpc, http, probes).0 };
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended,
            () = warmed(&memory, &store) => health.ready().await,
        }
        serving.await
    };
    let serving = fresh_during(tls.as_deref(), serving);
    let served = report_during(Box::pin(serving), &usage, &*store, config.usage_interval).await;
    traces.end().await;
    served?;
    tracing::info!(service = SERVICE, "stopped");
    Ok(())
}

/// Resolves once the store has answered, and what is always needed is in memory.
async fn warmed(memory: &Memory, store: &WatchedStore) {
    store.wait_for_an_answer().await;
    if let Err(error) = memory.warm().await {
        // Each call reads for itself what it needs.
        tracing::debug!(%error, "the memory is cold");
    }
}
