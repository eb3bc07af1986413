//! The issuer: it holds secrets and writes. Log in, refresh, create and manage
//! permanent tokens, sign access tokens.
//!
//! | module | what lives there |
//! |---|---|
//! | `core` | what every call needs, and the rules of the installation |
//! | `caller`, `fields`, `failure` | who calls, what they ask, how a call fails |
//! | `login`, `throttle`, `passwords`, `sessions`, `tokens`, `presented`, `admin` | the domain |
//! | `service`, `http` | the gRPC and HTTP faces |
//! | `keys`, `encryption` | the signing keys, and what they are sealed with |
//! | `setup` | what the configuration makes |
//! | `bootstrap`, `sweep` | the first start, the clean-up |
//! | `unconfirmed` | calls whose writes are done and not confirmed |
//! | `recovery` | a password set by an operator at the store |
//! | `background` | what goes on beside the calls |
//! | `durability` | whether the store keeps what it acknowledges |
//! | `usage` | when permanent tokens are used |
//! | `audit` | who changed what, for the log |
//! | `metrics` | what is told of all that, for Prometheus |
//!
//! To add an RPC: write it in the `.proto`, the domain as a method of `Core` beside
//! its kin, and the conversion in `service`.

mod admin;
mod audit;
mod background;
mod bootstrap;
mod caller;
mod core;
mod durability;
mod encryption;
mod error;
mod failure;
mod fields;
mod http;
mod keys;
mod login;
mod metrics;
mod passwords;
mod presented;
mod recovery;
mod service;
mod sessions;
mod setup;
mod sweep;
mod throttle;
mod tokens;
mod unconfirmed;
mod usage;

#[cfg(test)]
mod id_tests;
#[cfg(test)]
mod presented_tests;
#[cfg(test)]
mod revocation_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod usage_tests;

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tessera_proto::v1::{
    admin_service_server::AdminServiceServer, issuer_service_server::IssuerServiceServer,
    verifier_service_server,
};
use tessera_serve::{
    Drained, Health, Listeners,
    accept::Gate,
    deadline::Timed,
    metrics::{Calls, Counted, MeasuredStore, Pages, StoreTimes},
    request::Identified,
    room::{Room, Rooms, Shed},
    tls::{Tls, fresh_during},
    trace::{StoreSpans, TracedCalls, Traces},
    unreadable::Readable,
};
use tessera_shared::{config::IssuerConfig, store::StoreWriter, usage::report_during};
use tokio::sync::oneshot;
use tonic::{server::NamedService, service::Routes};

pub use crate::{
    bootstrap::FirstAdministrator,
    error::IssuerError,
    recovery::{Reset, ResetError, ResetUser, reset_password},
};
use crate::{
    durability::Durability,
    service::{admin::AdminApi, issuer::IssuerApi},
    unconfirmed::{GoesOn, GoingOn},
};

/// What logs and traces call it.
const SERVICE: &str = "tessera-issuer";
/// The largest message that is read, in bytes; a permanent token with every field at its limit
/// takes a fifth of it.
const LARGEST_REQUEST: usize = 64 * 1024;

/// Whose health is told.
const SERVICES: [&str; 2] = [
    <IssuerServiceServer<IssuerApi> as NamedService>::NAME,
    <AdminServiceServer<AdminApi> as NamedService>::NAME,
];

/// What reflection lists: all of the contract, since one address may stand for issuers and
/// verifiers, and reflection goes to the issuers there (`deploy/envoy/services.yaml`).
const LISTED: [&str; 3] = [SERVICES[0], SERVICES[1], verifier_service_server::SERVICE_NAME];

/// Serves until `shutdown`, then drains. `ready` is called once it can serve, with the
/// first administrator if this issuer made it. A store that would lose what it acknowledges is
/// refused, but for development. A store out of reach is waited for:
/// until it is reached, health says NOT_SERVING and calls fail with UNAVAILABLE.
///
/// # Errors
/// When a setting can't be used or a listener fails.
pub async fn run(
    config: &IssuerConfig,
    store: Arc<dyn StoreWriter>,
    listeners: Listeners,
    ready: impl FnOnce(Option<FirstAdministrator>) + Send + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), IssuerError> {
    tessera_shared::jwt::provider::install();
    listeners.announce(SERVICE, config.tls.as_ref());
    let operation = &config.operation;
    let traces = Traces::of(operation.traces.as_ref(), SERVICE)?;
    let store_times = Arc::new(StoreTimes::default());
    let links = store.connections();
    let spans = StoreSpans::new(traces.clone(), &config.store);
    let store = Arc::new(MeasuredStore::new(store, store_times.clone(), spans));
    let store = Arc::new(GoingOn(store));
    let core = Arc::new(setup::core(config, store).await?);
    let first = setup::first_start(config)?;
    let durability = Durability::of(config, core.clock.clone())?;
    let health = Health::starting(&SERVICES).await;
    let issuer = IssuerServiceServer::new(IssuerApi(core.clone()));
    let admin = AdminServiceServer::new(AdminApi(core.clone()));
    let routes = Routes::new(issuer.max_decoding_message_size(LARGEST_REQUEST))
        .add_service(admin.max_decoding_message_size(LARGEST_REQUEST))
        .add_service(health.service());
    let routes = tessera_serve::with_reflection(routes, &LISTED, &[])?.prepare();
    let tls = config.tls.as_ref().map(Tls::of).transpose()?.map(Arc::new);
    let calls = Calls::of(tessera_serve::methods(&SERVICES));
    let connections = Room::new(operation.max_connections);
    let room = Room::new(operation.max_concurrent_calls);
    let readers = Room::new(operation.max_connections);
    let rooms =
        Rooms { connections: connections.clone(), http: readers.clone(), calls: room.clone() };
    let routes = Readable(Timed(GoesOn(routes)));
    let service = Identified(Counted::new(Shed::new(routes, room), calls.clone()));
    let service = TracedCalls::new(service, calls.clone(), traces.clone());
    let pages = Pages::new();
    let read = metrics::Read {
        core: core.clone(),
        durability: durability.found(),
        calls,
        pages: pages.clone(),
    };
    let metrics = metrics::all(read, store_times, rooms, tls.clone(), &traces);
    let age = operation.max_connection_age;
    let gate = Gate::new(tls.clone(), connections, age);
    let http_gate = Gate::http(tls.clone(), readers, age);
    // A room of its own, so that callers can't keep a probe out.
    let health_gate = Gate::http(None, Room::new(operation.max_connections), age);
    let introspection = config.introspection_endpoint.as_deref();
    let app = http::app(core.clone(), &config.issuer_url.url, introspection)
        .merge(health.pages())
        .merge(tessera_serve::metrics::route(metrics.clone()));
    let app = pages.count(app);

    let beats = tokio::spawn(background::beat(core.store.clone(), config.staleness_bound));
    let (refuse, refused) = oneshot::channel();
    let background = tokio::spawn({
        let (core, health) = (core.clone(), health.clone());
        async move {
            match durability.check().await {
                Ok(()) => {
                    let preparing = background::prepare(core, first, ready, refuse, health);
                    tokio::join!(preparing, durability.keep_looking(links));
                }
                Err(error) => drop(refuse.send(error)),
            }
        }
    });
    let gathering = tokio::spawn(usage::keep_gathering(core.clone(), config.usage_interval));
    let drained = Drained::pending();
    let http = tessera_serve::http(app, listeners.http, http_gate, &traces, drained.wait());
    let probes =
        tessera_serve::health(listeners.health, health_gate, &health, metrics, drained.wait());
    let refusal = OnceLock::new();
    let end = async {
        let why = tokio::select! {
            () = shutdown => None,
            Ok(why) = refused => Some(why),
        };
        // Nobody was sent here yet who could need the delay.
        let delay = if why.is_some() { Duration::ZERO } else { operation.drain_delay };
        health.clone().drain(std::future::ready(()), delay).await;
        why.map(|why| refusal.set(why));
    };
    let grpc = async {
        tessera_serve::grpc(service, listeners.grpc, gate, end, operation.drain_timeout).await;
        // Until here: calls under way sign, and verifiers live on the heartbeat.
        background.abort();
        beats.abort();
        gathering.abort();
        drained.tell();
    };
    let serving = async {
        tokio::join!(grpc, http, probes);
    };
    let serving = fresh_during(tls.as_deref(), serving);
    let interval = config.usage_interval;
    report_during(Box::pin(serving), &core.usage, &*core.store, interval).await;
    traces.end().await;
    tracing::info!(service = SERVICE, "stopped");
    refusal.into_inner().map_or(Ok(()), Err)
}
