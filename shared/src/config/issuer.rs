//! The configuration of the issuer.

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    command::Program,
    common::{LogConfig, Place, StoreAccess, TlsFiles, store_without_credentials, token_prefix},
    error::ConfigError,
    exit::Exit,
    issuer_url::{IssuerUrl, introspection_endpoint},
    key_encryption::{
        KeyEncryptionKeySource, key_encryption_key, key_publication_delay, key_rotation_period,
        other_key_encryption_keys,
    },
    operation::OperationConfig,
    secret::Secret,
    settings,
    sources::Sources,
    value::secret_of,
};
use crate::{password::LONGEST_PASSWORD, store::StoreOptions};

static PROGRAM: Program = Program {
    name: "tessera-issuer",
    about: "Issues API tokens: log in, refresh, create and manage permanent tokens, sign JWTs.",
    sections: settings::ISSUER,
};

/// What the issuer runs with.
#[non_exhaustive]
pub struct IssuerConfig {
    /// The store's URL; may hold a password.
    pub store: String,
    /// What goes with the URL: passwords, certificates, how a write is confirmed.
    pub store_options: StoreOptions,
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where HTTP is served.
    pub http_listen: SocketAddr,
    /// Whether what is unfit for production is allowed.
    pub dev: bool,
    /// The certificate of both listeners; `None` is plaintext.
    pub tls: Option<TlsFiles>,
    /// The role catalogue; `None` is the built-in one.
    pub roles_file: Option<PathBuf>,
    /// How many live permanent tokens an account may have.
    pub tokens_per_account: u32,
    /// How long an access token lives.
    pub access_ttl: Duration,
    /// How long a refresh token lives.
    pub refresh_ttl: Duration,
    /// How long a retry with a used refresh token gets the same successor.
    pub refresh_grace: Duration,
    /// What permanent and refresh tokens start with.
    pub token_prefix: String,
    /// The audiences of a token whose maker names none; at least one.
    pub default_audiences: Vec<String>,
    /// The `iss` of access tokens (RFC 9068, section 2.2).
    pub issuer_url: IssuerUrl,
    /// Where callers reach `/introspect` of the verifiers; `None`: nobody is told.
    pub introspection_endpoint: Option<String>,
    /// What new signing keys sign with: `ES256`, `EdDSA` or `RS256`.
    pub signing_algorithm: String,
    /// How long a new signing key is published before it signs.
    pub key_publication_delay: Duration,
    /// How old a signing key gets before it is replaced; `None`: nobody minds.
    pub key_rotation_period: Option<Duration>,
    /// A private key to publish as the next signing key: PEM or JWK.
    pub import_signing_key_file: Option<PathBuf>,
    /// Seals the signing keys in the store. There is one, except where `dev` is set.
    pub key_encryption_key: Option<KeyEncryptionKeySource>,
    /// Open signing keys that were sealed with them: 64 hexadecimal digits each.
    pub other_key_encryption_keys: Vec<Secret>,
    /// The name of the first administrator, in lower case.
    pub admin_username: String,
    /// The first administrator's password; `None`: make one, and print it once.
    pub admin_password: Option<Secret>,
    /// How many characters a password has at least.
    pub password_min_length: usize,
    /// How many passwords are hashed at a time.
    pub password_concurrency: usize,
    /// How many logins with one name may fail from one network within the window.
    pub login_failures: u32,
    /// The same, from all networks together that never logged in with it.
    pub login_failures_per_user: u32,
    /// The time in which failed logins are forgiven.
    pub login_failure_window: Duration,
    /// How long after a revocation the last verifier denies.
    pub staleness_bound: Duration,
    /// Its health, its limits, its end.
    pub operation: OperationConfig,
    /// How often the use of tokens is reported and gathered.
    pub usage_interval: Duration,
    /// What is logged, and how.
    pub log: LogConfig,
}

impl IssuerConfig {
    /// Reads the command line `args`, the program's name first, the variables that
    /// `env` knows, and the file of `--config`.
    ///
    /// # Errors
    /// The answer to `--help` or `--version`; or what is wrong with a setting.
    pub fn from_process_like(
        args: impl IntoIterator<Item = impl Into<OsString>>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Exit> {
        let sources = Sources::new(&PROGRAM, args.into_iter().map(Into::into), &env)?;
        Ok(Self::own(&sources)?)
    }

    fn own(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let place = Place {
            store: StoreAccess::read_for_writing(sources)?,
            grpc: &settings::ISSUER_GRPC,
            http: &settings::ISSUER_HTTP,
            operation: OperationConfig::read(
                sources,
                &settings::HEALTH_LISTEN,
                &settings::DRAIN_DELAY,
            )?,
            dev: sources.switch(&settings::DEV)?.unwrap_or(false),
        };
        Self::read(sources, place)
    }

    pub(super) fn read(sources: &Sources<'_>, place: Place) -> Result<Self, ConfigError> {
        let tls = TlsFiles::read(sources)?;
        let [listen, http_listen] = place.addresses(sources, tls.as_ref())?;
        let password_min_length = sources.integer(&settings::PASSWORD_MIN_LENGTH)?;
        Ok(Self {
            listen,
            http_listen,
            roles_file: sources.path(&settings::ROLES_FILE)?,
            tokens_per_account: sources.integer(&settings::TOKENS_PER_ACCOUNT)?,
            access_ttl: sources.duration(&settings::ACCESS_TTL)?,
            refresh_ttl: sources.duration(&settings::REFRESH_TTL)?,
            refresh_grace: sources.duration(&settings::REFRESH_GRACE)?,
            token_prefix: token_prefix(sources)?,
            default_audiences: default_audiences(sources)?,
            issuer_url: IssuerUrl::read(sources, http_listen, tls.is_some())?,
            introspection_endpoint: introspection_endpoint(sources)?,
            tls,
            signing_algorithm: sources.choice(&settings::SIGNING_ALGORITHM)?.to_owned(),
            key_publication_delay: key_publication_delay(sources)?,
            import_signing_key_file: sources.path(&settings::IMPORT_SIGNING_KEY_FILE)?,
            key_rotation_period: key_rotation_period(sources)?,
            key_encryption_key: key_encryption_key(sources, place.dev)?,
            other_key_encryption_keys: other_key_encryption_keys(sources)?,
            admin_username: admin_username(sources)?,
            admin_password: admin_password(sources, password_min_length)?,
            password_min_length,
            password_concurrency: sources.integer(&settings::PASSWORD_CONCURRENCY)?,
            login_failures: sources.integer(&settings::LOGIN_FAILURES)?,
            login_failures_per_user: sources.integer(&settings::LOGIN_FAILURES_PER_USER)?,
            login_failure_window: sources.duration(&settings::LOGIN_FAILURE_WINDOW)?,
            staleness_bound: sources.duration(&settings::STALENESS_BOUND)?,
            operation: place.operation,
            usage_interval: sources.duration(&settings::USAGE_INTERVAL)?,
            log: LogConfig::read(sources)?,
            dev: place.dev,
            store: place.store.url,
            store_options: place.store.options,
        })
    }
}

impl fmt::Debug for IssuerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerConfig")
            .field("store", &store_without_credentials(&self.store))
            .field("listen", &self.listen)
            .field("http_listen", &self.http_listen)
            .field("dev", &self.dev)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

fn default_audiences(sources: &Sources<'_>) -> Result<Vec<String>, ConfigError> {
    let audiences = sources.list(&settings::DEFAULT_AUDIENCES)?;
    // The limits of the contract: `CreatePermanentTokenRequest.audiences`.
    let fits = |audience: &String| {
        audience.len() <= 255 && audience.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if audiences.len() <= 16 && audiences.iter().all(fits) {
        return Ok(audiences);
    }
    let expected = "at most 16 names, each of at most 255 visible ASCII characters";
    Err(sources.required(&settings::DEFAULT_AUDIENCES)?.malformed("a list of audiences", expected))
}

/// The limits of the contract: `User.username`.
fn admin_username(sources: &Sources<'_>) -> Result<String, ConfigError> {
    let expected = "1 to 128 of a-z, 0-9 and . _ @ + -";
    sources.parsed(&settings::ADMIN_USERNAME, "a username", expected, |text| {
        let name = text.to_ascii_lowercase();
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._@+-".contains(&byte)
        };
        ((1..=128).contains(&name.len()) && name.bytes().all(allowed)).then_some(name)
    })
}

/// The limits of any password: those of `CreateUserRequest.password`.
fn admin_password(sources: &Sources<'_>, min_length: usize) -> Result<Option<Secret>, ConfigError> {
    let Some(found) = sources.lookup(&settings::ADMIN_PASSWORD)? else { return Ok(None) };
    let text = found.text()?;
    if text.chars().count() >= min_length && text.len() <= LONGEST_PASSWORD {
        return secret_of(found).map(Some);
    }
    let expected = format!("{min_length} characters to {LONGEST_PASSWORD} bytes");
    Err(found.malformed("a password for a user", expected))
}
