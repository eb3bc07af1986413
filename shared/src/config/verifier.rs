//! The configuration of the verifier.

use std::{ffi::OsString, fmt, net::SocketAddr, time::Duration};

use super::{
    callers::VerifyCallers,
    command::Program,
    common::{LogConfig, Place, StoreAccess, TlsFiles, store_without_credentials, token_prefix},
    error::ConfigError,
    exit::Exit,
    issuer_url::introspection_endpoint,
    operation::OperationConfig,
    settings,
    sources::Sources,
};
use crate::{role::is_scope, store::StoreOptions};

static PROGRAM: Program = Program {
    name: "tessera-verifier",
    about: "Answers whether an API token is good. Holds no secret of the issuer, and only reads.",
    sections: settings::VERIFIER,
};

/// What the verifier runs with.
#[non_exhaustive]
pub struct VerifierConfig {
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
    /// How old the view may be that an answer is given from.
    pub staleness_bound: Duration,
    /// How much memory may hold tokens, in bytes.
    pub cache_bytes: u64,
    /// How many threads answer.
    pub threads: usize,
    /// Who may ask.
    pub verify_callers: VerifyCallers,
    /// Whether a question that names no audience is refused.
    pub require_audience: bool,
    /// What a caller of `/introspect` must hold.
    pub introspection_scope: String,
    /// Where callers reach `/introspect`; `None`: nobody is told.
    pub introspection_endpoint: Option<String>,
    /// What permanent and refresh tokens start with.
    pub token_prefix: String,
    /// Its health, its limits, its end.
    pub operation: OperationConfig,
    /// How often the use of tokens is reported.
    pub usage_interval: Duration,
    /// What is logged, and how.
    pub log: LogConfig,
}

impl VerifierConfig {
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
            store: StoreAccess::read(sources)?,
            grpc: &settings::VERIFIER_GRPC,
            http: &settings::VERIFIER_HTTP,
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
        Ok(Self {
            listen,
            http_listen,
            verify_callers: VerifyCallers::read(sources, tls.as_ref())?,
            tls,
            staleness_bound: sources.duration(&settings::STALENESS_BOUND)?,
            cache_bytes: sources.integer(&settings::CACHE_BYTES)?,
            threads: threads(sources.integer(&settings::THREADS)?),
            require_audience: sources.switch(&settings::REQUIRE_AUDIENCE)?.unwrap_or(false),
            introspection_scope: introspection_scope(sources)?,
            introspection_endpoint: introspection_endpoint(sources)?,
            token_prefix: token_prefix(sources)?,
            operation: place.operation,
            usage_interval: sources.duration(&settings::USAGE_INTERVAL)?,
            log: LogConfig::read(sources)?,
            dev: place.dev,
            store: place.store.url,
            store_options: place.store.options,
        })
    }
}

fn introspection_scope(sources: &Sources<'_>) -> Result<String, ConfigError> {
    let expected = "service:action, each of a-z 0-9 - _ .: tessera:introspect";
    sources.parsed(&settings::INTROSPECTION_SCOPE, "a scope", expected, |text| {
        is_scope(text).then(|| text.to_owned())
    })
}

/// 0 stands for what the process may run on: its affinity and its control group count.
fn threads(asked: u64) -> usize {
    match usize::try_from(asked) {
        Ok(0) | Err(_) => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        Ok(threads) => threads,
    }
}

impl fmt::Debug for VerifierConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierConfig")
            .field("store", &store_without_credentials(&self.store))
            .field("listen", &self.listen)
            .field("http_listen", &self.http_listen)
            .field("dev", &self.dev)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
