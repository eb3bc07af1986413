//! The configuration of `tessera up`: issuer and verifier in one process.

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgMatches, Command};

use super::{
    command::Program,
    common::{Place, StoreAccess, is_loopback},
    error::ConfigError,
    exit::Exit,
    issuer::IssuerConfig,
    operation::OperationConfig,
    settings,
    sources::Sources,
    verifier::VerifierConfig,
};

static PROGRAM: Program = Program {
    name: "up",
    about: "Runs issuer, verifier and HTTP in one process, with an embedded store.",
    sections: settings::UP,
};

/// The subcommand `up`, for the command tree of the CLI: its help, its completions,
/// and the matches that [`UpConfig::from_matches`] reads.
pub fn up_command() -> Command {
    // The CLI has the version.
    PROGRAM.command().disable_version_flag(true)
}

/// What `tessera up` runs with.
#[derive(Debug)]
#[non_exhaustive]
pub struct UpConfig {
    /// The folder that holds all records.
    pub data: PathBuf,
    /// The issuer, with the embedded store in `data`.
    pub issuer: IssuerConfig,
    /// The verifier, with the same store.
    pub verifier: VerifierConfig,
}

impl UpConfig {
    /// Reads the arguments after `up`, the variables that `env` knows, and the file
    /// of `--config`.
    ///
    /// # Errors
    /// The answer to `--help`; or what is wrong with a setting.
    pub fn from_args(
        args: Vec<OsString>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Exit> {
        let args = std::iter::once(OsString::from("tessera up")).chain(args);
        let sources = Sources::new(&PROGRAM, args, &env)?;
        Ok(Self::read(&sources)?)
    }

    /// Reads what clap made of [`up_command`], the variables that `env` knows, and
    /// the file of `--config`.
    ///
    /// # Errors
    /// What is wrong with a setting.
    pub fn from_matches(
        matches: ArgMatches,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        Self::read(&Sources::from_matches(matches, &env)?)
    }

    fn read(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let data =
            sources.parsed(&settings::DATA, "a folder", "a path: ./tessera-data", |text| {
                (!text.is_empty()).then(|| text.to_owned())
            })?;
        let dev = development(sources)?;
        let operation = |health| OperationConfig::read(sources, health, &settings::UP_DRAIN_DELAY);
        let issuer = Place {
            store: StoreAccess::embedded(&data),
            grpc: &settings::UP_ISSUER_GRPC,
            http: &settings::UP_ISSUER_HTTP,
            operation: operation(&settings::UP_ISSUER_HEALTH)?,
            dev,
        };
        let verifier = Place {
            store: StoreAccess::embedded(&data),
            grpc: &settings::UP_VERIFIER_GRPC,
            http: &settings::UP_VERIFIER_HTTP,
            operation: operation(&settings::UP_VERIFIER_HEALTH)?,
            dev,
        };
        Ok(Self {
            issuer: IssuerConfig::read(sources, issuer)?,
            verifier: VerifierConfig::read(sources, verifier)?,
            data: data.into(),
        })
    }
}

/// Development is what `--dev` says; where nothing does, a process that no other
/// machine can reach.
fn development(sources: &Sources<'_>) -> Result<bool, ConfigError> {
    if let Some(said) = sources.switch(&settings::DEV)? {
        return Ok(said);
    }
    let listeners = [
        &settings::UP_ISSUER_GRPC,
        &settings::UP_ISSUER_HTTP,
        &settings::UP_VERIFIER_GRPC,
        &settings::UP_VERIFIER_HTTP,
    ];
    for listener in listeners {
        if !is_loopback(sources.socket_address(listener)?) {
            return Ok(false);
        }
    }
    Ok(true)
}
