//! Why the issuer ends.

use tessera_serve::ServeError;

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
