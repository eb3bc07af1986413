//! The command line `tessera`, as a user of an installation runs it: with a home folder
//! of its own, and nothing in the environment but where the services are.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    process::{built, clean},
    system::System,
};

/// A user at a shell.
pub struct Cli {
    home: TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Cli {
    /// A user of this installation, with a new home.
    pub fn of(system: &System) -> Self {
        Self::at(TempDir::new().unwrap())
            .and("TESSERA_ISSUER", &format!("http://{}", system.issuer_place().grpc))
            .and("TESSERA_VERIFIER", &format!("http://{}", system.verifier_places()[0].grpc))
    }

    /// A user with this home, who knows of no installation.
    pub fn at(home: TempDir) -> Self {
        let path = home.path().display().to_string();
        Self { home, variables: Vec::new() }.and("HOME", &path)
    }

    /// The same user with one variable more.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder of the user.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where the session is kept.
    pub fn session_file(&self) -> PathBuf {
        self.home().join(".config/tessera/session.json")
    }

    /// Runs the words of `line` with nothing on standard input.
    pub fn run(&self, line: &str) -> Ran {
        self.run_with(line, "", &[])
    }

    /// As [`Self::run`], with `input` on standard input.
    pub fn pipe(&self, input: &str, line: &str) -> Ran {
        self.run_with(line, input, &[])
    }

    /// As [`Self::pipe`], with more variables for this command alone.
    pub fn run_with(&self, line: &str, input: &str, variables: &[(&str, &str)]) -> Ran {
        let mut command = clean(&built("tessera"));
        command
            .args(line.split_whitespace())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads no input may have closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Opens a session with the password on standard input.
    pub fn login(&self, username: &str, password: &str) {
        let line = format!("login --username {username} --password-stdin");
        self.pipe(&format!("{password}\n"), &line).ok();
    }
}

impl Ran {
    /// Standard output of a command that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// Standard output, as the JSON that it is, of a command that must succeed.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }

    /// Asserts that the command failed with this code, said this, and gave no result.
    #[track_caller]
    pub fn fails(self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(says), "{self:?}\nand not: {says}");
        assert_eq!(self.stdout, "", "{self:?}");
    }
}
