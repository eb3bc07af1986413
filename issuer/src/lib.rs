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
//! | `bootstrap`, `sweep` | the first start, the clean-up |
//! | `durability` | whether the store keeps what it acknowledges |
//! | `usage` | when permanent tokens are used |
//! | `metrics` | what is told of all that, for Prometheus |
//!
//! To add an RPC: write it in the `.proto`, the domain as a method of `Core` beside
//! its kin, and the conversion in `service`.

mod admin;
mod bootstrap;
mod caller;
mod core;
mod durability;
mod encryption;
mod failure;
mod fields;
mod http;
mod keys;
mod login;
mod metrics;
mod passwords;
mod presented;
mod service;
mod sessions;
mod sweep;
mod throttle;
mod tokens;
mod usage;

#[cfg(test)]
mod id_tests;
#[cfg(test)]
mod presented_tests;
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

use ring::rand::{SecureRandom, SystemRandom};
use tessera_proto::v1::{
    admin_service_server::AdminServiceServer, issuer_service_server::IssuerServiceServer,
};
use tessera_serve::{
    Drained, Health, Listeners, ServeError,
    accept::Gate,
    deadline::Timed,
    metrics::{Calls, Counted, MeasuredStore, StoreTimes},
    request::Identified,
    room::{Room, Rooms, Shed},
    tls::{Tls, fresh_during},
    trace::{StoreSpans, TracedCalls, Traces},
};
use tessera_shared::{
    clock::SystemClock,
    config::IssuerConfig,
    examine::Examiner,
    keys::PrivateKey,
    opaque::Opaque,
    password::PasswordHasher,
    role::Catalogue,
    store::StoreWriter,
    usage::{UsageNotes, report_during},
};
use tokio::{sync::oneshot, time::MissedTickBehavior};
use tonic::{server::NamedService, service::Routes};

pub use crate::bootstrap::FirstAdministrator;
use crate::{
    bootstrap::{FirstStart, StartFailure},
    core::{Core, Policy},
    durability::Durability,
    keys::{KeyRules, Keys},
    metrics::Logins,
    service::{admin::AdminApi, issuer::IssuerApi},
    throttle::{Limits, Throttle},
};

const RETRY: Duration = Duration::from_secs(1);
/// Enough that a few may be late.
const BEATS_PER_BOUND: u32 = 8;
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// Well below the age that a view of the keys may have, so that no call waits for one.
const TEND_EVERY: Duration = Duration::from_millis(500);

/// Whose health is told.
const SERVICES: [&str; 2] = [
    <IssuerServiceServer<IssuerApi> as NamedService>::NAME,
    <AdminServiceServer<AdminApi> as NamedService>::NAME,
];

/// Why the issuer could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// A setting can't be used; exit code 64.
    #[error("{setting}: {what}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// What is wrong with it, and what would be right.
        what: String,
    },
    /// The system's random bytes or the like failed.
    #[error("{0}")]
    Internal(String),
    /// Listening failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl IssuerError {
    /// What the process exits with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Setting { .. } => tessera_shared::config::USAGE,
            Self::Serve(error) => error.exit_code(),
            Self::Internal(_) => 1,
        }
    }
}

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
    let operation = &config.operation;
    let traces = Traces::of(operation.traces.as_ref(), "tessera-issuer")?;
    let store_times = Arc::new(StoreTimes::default());
    let spans = StoreSpans::new(traces.clone(), &config.store);
    let store = Arc::new(MeasuredStore::new(store, store_times.clone(), spans));
    let core = Arc::new(core(config, store).await?);
    let first = first_start(config)?;
    let durability = Durability::of(config, core.clock.clone())?;
    let health = Health::starting(&SERVICES).await;
    let routes = Routes::new(IssuerServiceServer::new(IssuerApi(core.clone())))
        .add_service(AdminServiceServer::new(AdminApi(core.clone())))
        .add_service(health.service());
    let routes = tessera_serve::with_reflection(routes, &[])?.prepare();
    let tls = config.tls.as_ref().map(Tls::of).transpose()?.map(Arc::new);
    let calls = Calls::of(tessera_serve::methods(&SERVICES));
    let connections = Room::new(operation.max_connections);
    let room = Room::new(operation.max_concurrent_calls);
    let rooms = Rooms { connections: connections.clone(), calls: room.clone() };
    let service = Identified(Counted::new(Shed::new(Timed(routes), room), calls.clone()));
    let service = TracedCalls::new(service, calls.clone(), traces.clone());
    let metrics = metrics::all(core.clone(), calls, store_times, rooms, tls.clone(), &traces);
    let gate = Gate::new(tls.clone(), connections, operation.max_connection_age);
    let app = http::app(core.clone(), &config.issuer_url.url)
        .merge(health.pages())
        .merge(tessera_serve::metrics::route(metrics.clone()));

    let beats = tokio::spawn(beat(core.store.clone(), config.staleness_bound / BEATS_PER_BOUND));
    let (refuse, refused) = oneshot::channel();
    let background = tokio::spawn({
        let (core, health) = (core.clone(), health.clone());
        async move {
            match durability.check().await {
                Ok(()) => {
                    let preparing = prepare(core, first, ready, refuse, health);
                    tokio::join!(preparing, durability.keep_looking());
                }
                Err(error) => drop(refuse.send(error)),
            }
        }
    });
    let gathering = tokio::spawn(usage::keep_gathering(core.clone(), config.usage_interval));
    let drained = Drained::pending();
    let http = tessera_serve::http(app, listeners.http, tls.clone(), &traces, drained.wait());
    let probes = tessera_serve::health(listeners.health, &health, metrics, drained.wait());
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
        Ok(())
    };
    let serving = async { tokio::try_join!(grpc, http, probes).map(drop) };
    let serving = fresh_during(tls.as_deref(), serving);
    let interval = config.usage_interval;
    let served = report_during(Box::pin(serving), &core.usage, &*core.store, interval).await;
    traces.end().await;
    served?;
    refusal.into_inner().map_or(Ok(()), Err)
}

/// Shows the verifiers over and over that the store takes writes: what they hold is
/// good for a staleness bound after.
async fn beat(store: Arc<dyn StoreWriter>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = store.beat().await {
            tracing::debug!(%error, "a heartbeat was not written");
        }
    }
}

/// The first start, tried until it succeeds, or is refused for good; then the sweep, for ever.
async fn prepare(
    core: Arc<Core>,
    first: FirstStart,
    ready: impl FnOnce(Option<FirstAdministrator>) + Send,
    refuse: oneshot::Sender<IssuerError>,
    health: Health,
) {
    let made = loop {
        match core.bootstrap(&first).await {
            Ok(made) => break made,
            Err(StartFailure::OtherIssuer { held }) => {
                let _ = refuse.send(other_issuer(&held, &first.issuer_url.url));
                return;
            }
            Err(StartFailure::Passing(error)) => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "not ready yet; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    ready(made);
    health.ready().await;
    tracing::info!("the issuer is ready");
    tokio::join!(sweep(&core), tend(&core));
}

fn other_issuer(held: &str, given: &str) -> IssuerError {
    IssuerError::Setting {
        setting: "--issuer-url",
        what: format!(
            "the access tokens of this store are issued in the name of {held}, not of {given}; give \
             every issuer the same, or add --former-issuer-url {held} to replace it, which denies them"
        ),
    }
}

async fn sweep(core: &Core) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = core.sweep().await {
            tracing::warn!(%error, "the sweep stopped early; the next goes on");
        }
    }
}

async fn tend(core: &Core) {
    let mut ticks = tokio::time::interval(TEND_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut well = true;
    loop {
        ticks.tick().await;
        let tended = async { core.tend_keys().await.and(core.rotate_by_age().await) };
        match tended.await {
            Ok(()) => well = true,
            Err(error) if well => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "the key set can't be read; trying on");
                well = false;
            }
            Err(_) => {}
        }
    }
}

async fn core(config: &IssuerConfig, store: Arc<dyn StoreWriter>) -> Result<Core, IssuerError> {
    let rng: Arc<dyn SecureRandom + Send + Sync> = Arc::new(SystemRandom::new());
    let opaque = Opaque::new(config.token_prefix.as_str());
    let passwords = PasswordHasher::new(config.password_concurrency, rng.clone())
        .map_err(|error| IssuerError::Internal(error.to_string()))?;
    Ok(Core {
        examiner: Examiner::new(opaque.clone(), store.clone()),
        store,
        clock: Arc::new(SystemClock),
        rng,
        opaque,
        passwords,
        throttle: Throttle::new(Limits {
            failures: config.login_failures,
            failures_per_user: config.login_failures_per_user,
            window: config.login_failure_window,
        }),
        catalogue: catalogue(config)?,
        policy: Policy {
            tokens_per_account: config.tokens_per_account,
            access_ttl: config.access_ttl,
            refresh_ttl: config.refresh_ttl,
            refresh_grace: config.refresh_grace,
            default_audiences: config.default_audiences.clone(),
            password_min_length: config.password_min_length,
        },
        keys: Keys::new(key_rules(config).await?),
        usage: UsageNotes::default(),
        logins: Logins::default(),
    })
}

fn catalogue(config: &IssuerConfig) -> Result<Catalogue, IssuerError> {
    let wrong = |what: String| IssuerError::Setting { setting: "--roles-file", what };
    let Some(path) = &config.roles_file else {
        return Catalogue::standard().map_err(|error| wrong(error.to_string()));
    };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| wrong(format!("can't read {}: {error}", path.display())))?;
    Catalogue::from_toml(&text).map_err(|error| wrong(format!("{}: {error}", path.display())))
}

async fn key_rules(config: &IssuerConfig) -> Result<KeyRules, IssuerError> {
    let algorithm = config.signing_algorithm.parse().map_err(|_| IssuerError::Setting {
        setting: "--signing-algorithm",
        what: "ES256, EdDSA or RS256".to_owned(),
    })?;
    Ok(KeyRules {
        algorithm,
        encryption: encryption::keys(config).await?,
        publication_delay: config.key_publication_delay,
        rotation_period: config.key_rotation_period,
    })
}

/// The key that the operator brings.
fn import(config: &IssuerConfig) -> Result<Option<PrivateKey>, IssuerError> {
    let Some(path) = &config.import_signing_key_file else { return Ok(None) };
    let wrong = |what: &dyn std::fmt::Display| IssuerError::Setting {
        setting: "--import-signing-key-file",
        what: format!("{}: {what}", path.display()),
    };
    let text = std::fs::read_to_string(path).map(zeroize::Zeroizing::new);
    let text = text.map_err(|error| wrong(&error))?;
    PrivateKey::import(&text).map(Some).map_err(|error| wrong(&error))
}

fn first_start(config: &IssuerConfig) -> Result<FirstStart, IssuerError> {
    let wrong = |setting, what: String| IssuerError::Setting { setting, what };
    let username = fields::username(&config.admin_username);
    let admin_username = username.map_err(|v| wrong("--admin-username", v.description))?;
    let password =
        config.admin_password.as_ref().map(|p| zeroize::Zeroizing::new(p.expose().to_owned()));
    Ok(FirstStart {
        issuer_url: config.issuer_url.clone(),
        import: import(config)?,
        admin_username,
        admin_password: password,
    })
}
