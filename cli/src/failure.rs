//! Every way in which a command fails: its line on stderr and its exit code.

use std::{io, path::PathBuf, process::ExitCode};

use thiserror::Error;
use tonic::{Code, Status};

use crate::{status, when};

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  done; `verify`, `bench`: every token is granted; `health`: SERVING
   1  `verify`, `bench`: a token is denied; `health`: not SERVING; `doctor`: a promise is broken
   2  wrong usage
   3  a fault on this side: a file, the terminal, the output
  64  `doctor`, `admin` on a store itself: a bad setting; and 69: the store gives no answer
  11  CANCELLED           17  PERMISSION_DENIED    23  INTERNAL
  12  UNKNOWN             18  RESOURCE_EXHAUSTED   24  UNAVAILABLE
  13  INVALID_ARGUMENT    19  FAILED_PRECONDITION  25  DATA_LOSS
  14  DEADLINE_EXCEEDED   20  ABORTED              26  UNAUTHENTICATED, or
  15  NOT_FOUND           21  OUT_OF_RANGE             not logged in
  16  ALREADY_EXISTS      22  UNIMPLEMENTED
A gRPC failure exits with 10 and its code. `verify` says 1 for no outage: it could not ask.";

/// `EX_UNAVAILABLE` of BSD's `sysexits.h`.
const UNAVAILABLE: u8 = 69;

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// A service answered with an error, or no service answered.
    #[error("{}", status::line(.status, .server))]
    Rpc {
        /// The URL that was called.
        server: String,
        /// What came back.
        status: Box<Status>,
    },
    /// A service answered without what the contract promises.
    #[error("the answer has no {0}: is that service a Tessera of this version?")]
    Incomplete(&'static str),
    /// No credentials.
    #[error("not logged in: run `tessera login`, or set TESSERA_TOKEN or TESSERA_TOKEN_FILE")]
    NotLoggedIn,
    /// The session's time is over.
    #[error("the session ended at {}: run `tessera login`", when::brief(&when::to_wire(*.0)))]
    SessionOver(tessera_shared::clock::Timestamp),
    /// The session belongs to another issuer; its tokens are not for this one.
    #[error(
        "the session is with {session}, not with {asked}: run `tessera login --issuer {asked}`"
    )]
    OtherIssuer {
        /// The issuer of the session.
        session: String,
        /// The issuer asked for.
        asked: String,
    },
    /// Not the URL of a service.
    #[error("{0} is not the URL of a service: write it as http://127.0.0.1:50051")]
    Url(&'static str),
    /// A secret is given twice.
    #[error("{0} and {0}_FILE are both set: set one of them")]
    Twice(&'static str),
    /// A variable that is not text.
    #[error("{0} is not valid UTF-8")]
    NotText(String),
    /// There is nobody to ask for a secret.
    #[error("{what} is needed: {instead}")]
    NoTerminal {
        /// What to give.
        what: &'static str,
        /// How, without a terminal.
        instead: &'static str,
    },
    /// The two entries of a new password differ.
    #[error("the two passwords differ")]
    Differ,
    /// A secret that is empty.
    #[error("{0} is empty")]
    Empty(String),
    /// The terminal or standard input failed.
    #[error("can't read {0}: {1}")]
    Input(&'static str, io::Error),
    /// A file failed.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The session file is readable by others, so its tokens may be known to them.
    #[error("{} is open to others (mode {mode:03o}): run `chmod 600` on it, or log in anew", .path.display())]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The session file is none.
    #[error("{} is not a session file: run `tessera login`", .0.display())]
    NotASession(PathBuf),
    /// Neither XDG_CONFIG_HOME nor HOME tells where the session file is.
    #[error("no place for the session file: set HOME or TESSERA_SESSION_FILE")]
    NoHome,
    /// The certificates or the TLS settings are unusable.
    #[error("TLS with {0} can't be set up: {1}")]
    Tls(String, tonic::transport::Error),
    /// The store's settings can't be used.
    #[error("{0}")]
    BadStore(String),
    /// A backup can't be made or used.
    #[error(transparent)]
    Backup(tessera_shared::backup::BackupError),
    /// Lines of a file that say what can't be.
    #[error("{}: nothing is written\n{}", .0.display(), .1)]
    WrongLines(PathBuf, String),
    /// The store gives no answer.
    #[error("{0}")]
    StoreAway(String),
    /// The asynchronous runtime did not start.
    #[error("can't start: {0}")]
    Runtime(io::Error),
    /// Standard output failed.
    #[error("can't write: {0}")]
    Output(io::Error),
    /// A token was made, and its only showing failed.
    #[error("{what} was made but could not be shown: {source}; rotate or revoke it")]
    Undelivered {
        /// Which token.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Failure {
    /// The exit code; see [`EXIT_CODES`].
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Rpc { status, .. } => of_code(status.code()),
            Self::NotLoggedIn | Self::SessionOver(_) => of_code(Code::Unauthenticated),
            Self::OtherIssuer { .. }
            | Self::Url(_)
            | Self::Twice(_)
            | Self::NotText(_)
            | Self::NoTerminal { .. }
            | Self::Differ
            | Self::Empty(_) => ExitCode::from(2),
            Self::BadStore(_) => ExitCode::from(tessera_shared::config::USAGE),
            Self::StoreAway(_) => ExitCode::from(UNAVAILABLE),
            Self::Backup(_)
            | Self::WrongLines(..)
            | Self::Incomplete(_)
            | Self::Input(..)
            | Self::File { .. }
            | Self::OpenToOthers { .. }
            | Self::NotASession(_)
            | Self::NoHome
            | Self::Tls(..)
            | Self::Runtime(_)
            | Self::Output(_)
            | Self::Undelivered { .. } => ExitCode::from(3),
        }
    }

    /// Whether a service said that the credentials are not good.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        match self {
            Self::Rpc { status, .. } => status.code() == Code::Unauthenticated,
            Self::NotLoggedIn | Self::SessionOver(_) => true,
            _ => false,
        }
    }
}

/// The exit code of a gRPC failure: 10 and its code.
pub(crate) fn of_code(code: Code) -> ExitCode {
    ExitCode::from(u8::try_from(i32::from(code) + 10).unwrap_or(12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_the_exit_code_of_every_grpc_code() {
        for number in 1..=16 {
            let code = Code::from_i32(number);
            let entry = format!("{}  {}", number + 10, status::name(code));
            assert!(EXIT_CODES.contains(&entry), "{entry}");
            assert_eq!(of_code(code), ExitCode::from(number as u8 + 10));
        }
    }

    #[test]
    fn being_logged_out_exits_as_unauthenticated() {
        assert_eq!(Failure::NotLoggedIn.exit_code(), ExitCode::from(26));
    }
}
