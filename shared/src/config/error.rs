//! What is wrong with a setting, where it was given, and what would be right.

use std::{fmt, net::SocketAddr, path::PathBuf};

use super::{exit::USAGE, setting::Setting};
use crate::store::StoreUrlError;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The flag of this name.
    Flag(&'static str),
    /// The environment variable of this name.
    Variable(String),
    /// A key in the configuration file.
    Key {
        /// The key as it is written there.
        key: String,
        /// The file.
        file: PathBuf,
    },
    /// The default of the setting of this name.
    Default(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::Key { key, file } => write!(f, "{key} in {}", file.display()),
            Self::Default(name) => write!(f, "the default of --{name}"),
        }
    }
}

/// A value as an error may repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In quotes.
    Text(String),
    /// Not at all: it is, or may hold, a credential.
    Withheld,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Withheld => f.write_str("the value"),
        }
    }
}

/// A setting that can't be used. The text names the setting, where it was given
/// and what would be right; it never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The value has not the form of what it should be.
    #[error("{origin}: {shown} is not {what}; expected {expected}")]
    Malformed {
        /// Where it was given.
        origin: Origin,
        /// The value.
        shown: Shown,
        /// What it should be, with an article: `a duration`.
        what: &'static str,
        /// What would be right.
        expected: String,
    },
    /// A store URL that is none; what is wrong with it repeats nothing of it.
    #[error("{origin}: {cause}")]
    StoreUrl {
        /// Where it was given.
        origin: Origin,
        /// What would be right.
        cause: StoreUrlError,
    },
    /// The value has the right form, but is too small or too large.
    #[error("{origin}: {shown} is out of range; expected {least} to {most}")]
    OutOfRange {
        /// Where it was given.
        origin: Origin,
        /// The value.
        shown: Shown,
        /// The least that is allowed.
        least: String,
        /// The most that is allowed.
        most: String,
    },
    /// The value is not Unicode text.
    #[error("{0}: the value is not UTF-8 text")]
    NotUnicode(Origin),
    /// A setting that must be given is not.
    #[error("no {} is given; set {}", .0.name, .0.ways())]
    Missing(&'static Setting),
    /// A secret on the command line.
    #[error(
        "--{}: a secret is never given on the command line, where other processes can read it; set {}",
        .0.name, .0.ways()
    )]
    SecretFlag(&'static Setting),
    /// Two sources give the same secret.
    #[error("{first} and {second} give the same secret twice; keep one of them")]
    TwoForms {
        /// One of them.
        first: Origin,
        /// Another.
        second: Origin,
    },
    /// A secret of no characters.
    #[error("{0}: the secret is empty")]
    EmptySecret(Origin),
    /// A file that a setting names can't be read.
    #[error("{origin}: can't read {}: {cause}", file.display())]
    Unreadable {
        /// What names the file.
        origin: Origin,
        /// The file.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The configuration file is not TOML. The line itself is not repeated,
    /// since it may hold a secret.
    #[error("{}, line {line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the TOML parser has to say.
        message: String,
    },
    /// No setting of any binary has this name.
    #[error("{key} in {}: no setting has this name; {}", file.display(), suggestion(nearest))]
    UnknownKey {
        /// The key as it is written.
        key: String,
        /// The file.
        file: PathBuf,
        /// The setting that it resembles.
        nearest: Option<String>,
    },
    /// A key twice, once with dashes and once with underscores.
    #[error("{first} and {second} in {} are the same setting; keep one of them", file.display())]
    RepeatedKey {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The file.
        file: PathBuf,
    },
    /// A TOML value of a type that the setting does not take.
    #[error("{origin}: a TOML {found} can't be its value; expected {expected}")]
    WrongType {
        /// Where it was given.
        origin: Origin,
        /// The type that was found: `float`.
        found: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A certificate without its key, or the other way round.
    #[error("{given} is given without --{}; give both of them, or none", missing.name)]
    HalfTls {
        /// The one that is given.
        given: Origin,
        /// The one that is not.
        missing: &'static Setting,
    },
    /// A setting that is of no use without another.
    #[error("{given} is of no use without --{}; give that too, or neither", missing.name)]
    Needs {
        /// The one that is given.
        given: Origin,
        /// The one that is not.
        missing: &'static Setting,
    },
    /// A listener beyond loopback would carry tokens in plaintext.
    #[error(
        "{origin}: {address} is open to other machines, and tokens and keys would cross the network in plaintext; \
         give --tls-cert-file and --tls-key-file, or --dev to allow it"
    )]
    Plaintext {
        /// Where the address was given.
        origin: Origin,
        /// The address.
        address: SocketAddr,
    },
    /// No key encryption key outside development.
    #[error(
        "no key-encryption-key is given, and the signing keys would lie unsealed in the store; \
         make one with `openssl rand -hex 32` and set TESSERA_KEY_ENCRYPTION_KEY or \
         TESSERA_KEY_ENCRYPTION_KEY_FILE, or give a --key-encryption-key-command that prints it, \
         or --dev to go without"
    )]
    NoKeyEncryptionKey,
}

impl ConfigError {
    /// What the process exits with: [`USAGE`], always.
    pub fn exit_code(&self) -> i32 {
        i32::from(USAGE)
    }
}

fn suggestion(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("did you mean {name}?"),
        None => "the keys are the names of the flags that --help lists".to_owned(),
    }
}
