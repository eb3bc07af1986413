//! Configuration: strings from outside, turned once into a type that can only be
//! valid.
//!
//! One table, [`settings`], names every setting. The `--help`, the environment
//! variables, the keys of the TOML file and the text of every error come from it.
//! A flag wins over its variable, a variable over the file, the file over the
//! default. A variable that is set to nothing counts as not set, since that is
//! what `X=${X:-}` in a compose file makes of it. Relative paths start at the
//! working directory, in the file too.
//!
//! A secret has no flag, because every process of a machine can read the command
//! lines of the others. It comes from a variable `TESSERA_X`, a file named by
//! `TESSERA_X_FILE`, or the keys of the same names, and from only one of them:
//! where two are given nobody could say which one is meant.
//!
//! Nothing here reads the process: arguments and environment come in, so a test
//! can hand over its own.
//!
//! To add a setting: write its [`Setting`] in [`settings`], list it in the
//! sections of the binaries that take it, and read it in [`IssuerConfig`],
//! [`VerifierConfig`] or [`UpConfig`].

mod callers;
mod command;
mod common;
mod error;
mod exit;
mod file;
mod issuer;
mod issuer_url;
mod key_encryption;
mod operation;
mod secret;
mod setting;
pub mod settings;
mod sources;
mod traces;
mod up;
mod value;
mod verifier;

pub use self::{
    callers::{CallerList, VerifyCallers},
    common::{LogConfig, LogFormat, TlsFiles},
    error::{ConfigError, Origin},
    exit::{Exit, USAGE},
    issuer::IssuerConfig,
    issuer_url::IssuerUrl,
    key_encryption::KeyEncryptionKeySource,
    operation::OperationConfig,
    secret::Secret,
    setting::{Kind, Section, Setting},
    sources::{Found, Sources},
    traces::TracesConfig,
    up::{UpConfig, up_command},
    verifier::VerifierConfig,
};

#[cfg(test)]
mod tests;
