//! The store itself, for the commands that work without a service.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser, value_parser};
use tessera_shared::{
    store::{OpenError, StoreOptions, StoreUrl, redis::Guarantee},
    survey::SurveyError,
};

use crate::{ask, context::Context, failure::Failure};

/// Which store, and how to be let in. The password of its user is in
/// TESSERA_STORE_PASSWORD, or the file that TESSERA_STORE_PASSWORD_FILE names; that of the
/// sentinels in TESSERA_STORE_SENTINEL_PASSWORD likewise.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// embedded:DIR, redis://USER@HOST:PORT/DB, redis+unix:///PATH,
    /// redis+sentinel://USER@H1,H2,H3/NAME/DB, redis+cluster://USER@H1,H2; rediss for TLS
    #[arg(long, env = "TESSERA_STORE", value_name = "URL", hide_env_values = true)]
    pub(crate) store: String,

    /// Authorities (PEM) that the store's certificate is checked against
    #[arg(long, env = "TESSERA_STORE_CA_FILE", value_name = "FILE")]
    store_ca_file: Option<PathBuf>,

    /// Our certificate (PEM), for a store that asks for one
    #[arg(long, env = "TESSERA_STORE_CERT_FILE", value_name = "FILE")]
    store_cert_file: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(long, env = "TESSERA_STORE_KEY_FILE", value_name = "FILE")]
    store_key_file: Option<PathBuf>,

    /// Replicas that confirm each write, as the issuer has it
    #[arg(long, env = "TESSERA_STORE_MIN_REPLICAS", value_name = "N",
        value_parser = value_parser!(u32).range(0..=100))]
    store_min_replicas: Option<u32>,

    /// Whether a write waits for disks too (WAITAOF), as the issuer has it
    #[arg(long, env = "TESSERA_STORE_WAIT_DISKS", value_parser = BoolishValueParser::new())]
    store_wait_disks: bool,
}

impl StoreArgs {
    /// The store's URL, and what goes with it.
    ///
    /// # Errors
    /// The URL is none, or the password can't be read.
    pub(crate) fn resolve(&self, context: &Context) -> Result<(StoreUrl, StoreOptions), Failure> {
        let bad = |error: &dyn std::error::Error| Failure::BadStore(format!("--store: {error}"));
        let url = StoreUrl::parse(&self.store).map_err(|error| bad(&error))?;
        let secret = |name| {
            let secret = ask::variable(&context.env, name)?;
            Ok::<_, Failure>(secret.map(|secret| secret.expose().to_owned()))
        };
        let options = StoreOptions {
            ca_file: self.store_ca_file.clone(),
            cert_file: self.store_cert_file.clone(),
            key_file: self.store_key_file.clone(),
            password: secret("TESSERA_STORE_PASSWORD")?,
            sentinel_password: secret("TESSERA_STORE_SENTINEL_PASSWORD")?,
            guarantee: Guarantee {
                replicas: self.store_min_replicas.unwrap_or(0),
                disks: self.store_wait_disks,
            },
        };
        Ok((url, options))
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::BadStore(error.to_string())
    }
}

impl From<SurveyError> for Failure {
    fn from(error: SurveyError) -> Self {
        match error {
            SurveyError::Setting(error) => error.into(),
            SurveyError::Store(error) => Self::StoreAway(error.to_string()),
        }
    }
}
