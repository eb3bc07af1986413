//! What the configuration makes: the core of the issuer, and its first start.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use ring::rand::{SecureRandom, SystemRandom};
use tessera_shared::{
    clock::SystemClock,
    config::IssuerConfig,
    examine::Examiner,
    keys::{Algorithm, EncryptionKeys, PrivateKey},
    opaque::Opaque,
    password::PasswordHasher,
    role::Catalogue,
    store::StoreWriter,
    usage::UsageNotes,
};

use crate::{
    IssuerError,
    bootstrap::FirstStart,
    core::{Core, Policy},
    encryption, fields,
    keys::{KeyRules, Keys},
    metrics::Logins,
    throttle::{Limits, Throttle},
};

/// What NIST SP 800-63B-4 says of a password that stands alone, in characters.
const SHORTEST_PASSWORD: usize = 15;

pub(crate) async fn core(
    config: &IssuerConfig,
    store: Arc<dyn StoreWriter>,
) -> Result<Core, IssuerError> {
    let policy = Policy {
        tokens_per_account: config.tokens_per_account,
        access_ttl: config.access_ttl,
        refresh_ttl: config.refresh_ttl,
        refresh_grace: config.refresh_grace,
        default_audiences: config.default_audiences.clone(),
        password_min_length: config.password_min_length,
    };
    let limits = Limits {
        failures: config.login_failures,
        failures_per_user: config.login_failures_per_user,
        window: config.login_failure_window,
    };
    let hashing = config.password_concurrency;
    let rules = Rules { policy, limits, hashing, keys: key_rules(config).await? };
    of(store, catalogue(config)?, Opaque::new(config.token_prefix.as_str()), rules)
}

/// What is not served: an operator's change of the store. It makes no token.
pub(crate) fn at_rest(
    store: Arc<dyn StoreWriter>,
    catalogue: Catalogue,
) -> Result<Core, IssuerError> {
    let policy = Policy {
        tokens_per_account: 0,
        access_ttl: Duration::ZERO,
        refresh_ttl: Duration::ZERO,
        refresh_grace: Duration::ZERO,
        default_audiences: Vec::new(),
        password_min_length: SHORTEST_PASSWORD,
    };
    let keys = KeyRules {
        algorithm: Algorithm::Es256,
        encryption: EncryptionKeys::default(),
        publication_delay: Duration::ZERO,
        rotation_period: None,
    };
    let limits = Limits { failures: 0, failures_per_user: 0, window: Duration::ZERO };
    of(store, catalogue, Opaque::new("tessera"), Rules { policy, limits, hashing: 1, keys })
}

/// What an installation goes by.
struct Rules {
    policy: Policy,
    limits: Limits,
    /// How many passwords are hashed at once.
    hashing: usize,
    keys: KeyRules,
}

fn of(
    store: Arc<dyn StoreWriter>,
    catalogue: Catalogue,
    opaque: Opaque,
    rules: Rules,
) -> Result<Core, IssuerError> {
    let rng: Arc<dyn SecureRandom + Send + Sync> = Arc::new(SystemRandom::new());
    let passwords = PasswordHasher::new(rules.hashing, rng.clone())
        .map_err(|error| IssuerError::Internal(error.to_string()))?;
    Ok(Core {
        examiner: Examiner::new(opaque.clone(), store.clone()),
        store,
        clock: Arc::new(SystemClock),
        rng,
        opaque,
        passwords,
        throttle: Throttle::new(rules.limits),
        catalogue,
        policy: rules.policy,
        keys: Keys::new(rules.keys),
        usage: UsageNotes::default(),
        logins: Logins::default(),
        prepared: AtomicBool::new(false),
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

/// As long as a reader may keep the keys (`Cache-Control` in `serve`, 15 s), and the time to
/// ask for them.
const SHORTEST_PUBLICATION: Duration = Duration::from_secs(20);

/// Our verifiers follow by themselves; others deny the tokens of a key that they do not know.
fn warn_of_a_short_publication(delay: Duration) {
    if delay < SHORTEST_PUBLICATION {
        let (delay_ms, least_ms) = (delay.as_millis(), SHORTEST_PUBLICATION.as_millis());
        tracing::warn!(
            delay_ms,
            least_ms,
            "--key-publication-delay is short: readers of the JWKS may keep it for 15 s, and deny what a new key signs until they read it again"
        );
    }
}

async fn key_rules(config: &IssuerConfig) -> Result<KeyRules, IssuerError> {
    let algorithm = config.signing_algorithm.parse().map_err(|_| IssuerError::Setting {
        setting: "--signing-algorithm",
        what: "ES256, EdDSA or RS256".to_owned(),
    })?;
    warn_of_a_short_publication(config.key_publication_delay);
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
    let text = std::fs::read(path).map(zeroize::Zeroizing::new);
    let text = text.map_err(|error| wrong(&error))?;
    PrivateKey::import(&text).map(Some).map_err(|error| wrong(&error))
}

pub(crate) fn first_start(config: &IssuerConfig) -> Result<FirstStart, IssuerError> {
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
