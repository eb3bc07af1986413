//! `tessera up`: issuer, verifier and HTTP in one process.

#[expect(dead_code, reason = "`run` calls it once the servers are wired in")]
mod demonstration;

use std::{ffi::OsString, process::ExitCode};

use crate::output;

/// Runs the whole system with the arguments after `up`.
pub(crate) fn run(_args: Vec<OsString>) -> ExitCode {
    output::complain("error: `up` is not part of this build");
    ExitCode::from(3)
}
