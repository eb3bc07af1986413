//! Why a measurement can't go on.

use std::{error::Error, fmt::Display, process::ExitStatus};

use crate::scenario;

/// Why the rig stops. What it has started ends with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no such scenario; exit code 2.
    #[error("no scenario is called {0}\n\n{list}", list = scenario::list())]
    UnknownScenario(String),
    /// A program is not where it is looked for.
    #[error("{program} is not there: {remedy}")]
    NoProgram {
        /// Its name or its path.
        program: String,
        /// How to get it.
        remedy: &'static str,
    },
    /// A program ended that is under measurement, or that it takes.
    #[error("{program} ended, {status}:\n{log}")]
    Ended {
        /// Its name.
        program: String,
        /// How.
        status: ExitStatus,
        /// All that it wrote.
        log: String,
    },
    /// A step failed.
    #[error("can't {step}: {cause}")]
    Step {
        /// What was to be done.
        step: String,
        /// What spoke against it.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// Something is not there that a step needs.
    #[error("there is no {0}")]
    Absent(String),
    /// What came back is nothing that a figure can rest on.
    #[error("{0}")]
    Unexpected(String),
}

impl Failure {
    /// What the process exits with.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownScenario(_) => 2,
            _ => 1,
        }
    }
}

/// A failure in words.
pub(crate) trait OrFail<T> {
    /// The value, or else a failure that says so: of an error "can't" and `words`, where
    /// nothing is there "there is no" and `words`.
    fn or_fail(self, words: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrFail<T> for Result<T, E> {
    fn or_fail(self, words: impl Display) -> Result<T, Failure> {
        self.map_err(|cause| Failure::Step { step: words.to_string(), cause: cause.into() })
    }
}

impl<T> OrFail<T> for Option<T> {
    fn or_fail(self, words: impl Display) -> Result<T, Failure> {
        self.ok_or_else(|| Failure::Absent(words.to_string()))
    }
}
