//! How a process ends that does not get as far as to serve.

use std::{io::Write, process::ExitCode};

use super::error::ConfigError;

/// The exit code for a bad setting: `EX_USAGE` of BSD's `sysexits.h`.
pub const USAGE: i32 = 64;

/// What to print, and the code to exit with: the answer to `--help` and
/// `--version`, or what is wrong with a setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    /// 0 for `--help` and `--version`, [`USAGE`] for a bad setting.
    pub code: i32,
    /// The text, with its last newline.
    pub text: String,
    /// Whether the text goes to stdout; else to stderr.
    pub to_stdout: bool,
}

impl Exit {
    /// Prints the text, and gives `main` what to return.
    pub fn report(self) -> ExitCode {
        // A reader that has gone away, as in `--help | head`, is not a failure.
        let _ = if self.to_stdout {
            std::io::stdout().write_all(self.text.as_bytes())
        } else {
            std::io::stderr().write_all(self.text.as_bytes())
        };
        ExitCode::from(u8::try_from(self.code).unwrap_or(u8::MAX))
    }
}

impl From<ConfigError> for Exit {
    fn from(error: ConfigError) -> Self {
        let text = format!("error: {error}\n\nFor more information, try '--help'.\n");
        Self { code: error.exit_code(), text, to_stdout: false }
    }
}
