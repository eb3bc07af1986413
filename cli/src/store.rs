//! The store itself, for the commands that work without a service.

use std::path::PathBuf;

use clap::Args;
use tessera_shared::{
    store::{OpenError, StoreOptions, StoreUrl},
    survey::SurveyError,
};

use crate::{ask, context::Context, failure::Failure};

/// Which store, and how to be let in. The password of its user is in
/// TESSERA_STORE_PASSWORD, or the file that TESSERA_STORE_PASSWORD_FILE names.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// embedded:DIR, redis://USER@HOST:PORT/DB, rediss:// or redis+unix:///PATH
    #[arg(long, env = "TESSERA_STORE", value_name = "URL", hide_env_values = true)]
    pub(crate) store: String,

    /// Authorities (PEM) that the store's certificate is checked against
    #[arg(long, env = "TESSERA_STORE_CA_FILE", value_name = "FILE")]
    store_ca_file: Option<PathBuf>,
}

impl StoreArgs {
    /// The store's URL, and what goes with it.
    ///
    /// # Errors
    /// The URL is none, or the password can't be read.
    pub(crate) fn resolve(&self, context: &Context) -> Result<(StoreUrl, StoreOptions), Failure> {
        let bad = |error: &dyn std::error::Error| Failure::BadStore(format!("--store: {error}"));
        let url = StoreUrl::parse(&self.store).map_err(|error| bad(&error))?;
        let password = ask::variable(&context.env, "TESSERA_STORE_PASSWORD")?;
        let password = password.map(|password| password.expose().to_owned());
        Ok((url, StoreOptions { ca_file: self.store_ca_file.clone(), password }))
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
