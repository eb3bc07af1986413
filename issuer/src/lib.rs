//! The issuer: it holds secrets and writes. Log in, refresh, create and manage
//! permanent tokens, sign access tokens.
//!
//! | module | what lives there |
//! |---|---|
//! | `core` | what every call needs, and the rules of the installation |
//! | `caller`, `fields`, `failure` | who calls, what they ask, how a call fails |
//! | `login`, `throttle`, `passwords`, `sessions`, `tokens`, `admin` | the domain |
//! | `service`, `http` | the gRPC and HTTP faces |
//! | `keys`, `encryption` | the signing keys, and what they are sealed with |
//! | `bootstrap`, `sweep` | the first start, the clean-up |
//! | `durability` | whether the store keeps what it acknowledges |
//! | `usage` | when permanent tokens are used |
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
mod passwords;
mod service;
mod sessions;
mod sweep;
mod throttle;
mod tokens;
mod usage;

#[cfg(test)]
mod id_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod usage_tests;

use std::{future::Future, sync::Arc, time::Duration};

use ring::rand::{SecureRandom, SystemRandom};
use tessera_proto::v1::{
    admin_service_server::AdminServiceServer, issuer_service_server::IssuerServiceServer,
};
use tessera_serve::{Listeners, ServeError};
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
use tokio::{
    sync::{oneshot, watch},
    time::MissedTickBehavior,
};
use tonic::{server::NamedService, service::Routes};
use tonic_health::server::HealthReporter;

pub use crate::bootstrap::FirstAdministrator;
use crate::{
    bootstrap::FirstStart,
    core::{Core, Policy},
    durability::Durability,
    keys::{KeyRules, Keys},
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
    let core = Arc::new(core(config, store).await?);
    let first = first_start(config)?;
    let durability = Durability::of(config, core.clock.clone())?;
    let (mut health, health_service) = tonic_health::server::health_reporter();
    report(&health, false).await;
    let routes = Routes::new(IssuerServiceServer::new(IssuerApi(core.clone())))
        .add_service(AdminServiceServer::new(AdminApi(core.clone())))
        .add_service(health_service);
    let routes = tessera_serve::with_reflection(routes, &[])?;
    let router = tessera_serve::server(config.tls.as_ref())?.add_routes(routes);
    let beats = tokio::spawn(beat(core.store.clone(), config.staleness_bound / BEATS_PER_BOUND));
    let (refuse, refused) = oneshot::channel();
    let preparing = prepare(core.clone(), first, ready, health.clone());
    let background = tokio::spawn(async move {
        match durability.check().await {
            Ok(()) => drop(tokio::join!(preparing, durability.keep_looking())),
            Err(error) => drop(refuse.send(error)),
        }
    });
    let gathering = tokio::spawn(usage::keep_gathering(core.clone(), config.usage_interval));
    let (stop, stopped) = watch::channel(());
    let until = |mut stopped: watch::Receiver<()>| async move {
        let _ = stopped.changed().await;
    };
    let end = async {
        let refused = tokio::select! {
            () = shutdown => None,
            Ok(error) = refused => Some(error),
        };
        background.abort();
        beats.abort();
        gathering.abort();
        tessera_serve::end_health(&mut health, &SERVICES).await;
        let _ = stop.send(());
        refused
    };
    let grpc =
        tessera_serve::grpc(router, listeners.grpc, until(stopped.clone()), config.drain_timeout);
    let app = http::app(core.clone(), &config.issuer_url);
    let http = tessera_serve::http(app, listeners.http, config.tls.as_ref(), until(stopped));
    let serving = async { tokio::join!(end, grpc, http) };
    let interval = config.usage_interval;
    let (refused, served, answered) =
        report_during(Box::pin(serving), &core.usage, &*core.store, interval).await;
    if let Some(error) = refused {
        return Err(error);
    }
    served?;
    Ok(answered?)
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

/// The first start, tried until it succeeds; then the sweep, for ever.
async fn prepare(
    core: Arc<Core>,
    first: FirstStart,
    ready: impl FnOnce(Option<FirstAdministrator>) + Send,
    health: HealthReporter,
) {
    let made = loop {
        match core.bootstrap(&first).await {
            Ok(made) => break made,
            Err(error) => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "not ready yet; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    ready(made);
    report(&health, true).await;
    tracing::info!("the issuer is ready");
    tokio::join!(sweep(&core), tend(&core));
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

async fn report(health: &HealthReporter, serving: bool) {
    tessera_serve::report::<IssuerServiceServer<IssuerApi>>(health, serving).await;
    tessera_serve::report::<AdminServiceServer<AdminApi>>(health, serving).await;
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
