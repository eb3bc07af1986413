//! A process that dies with the value that stands for it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::watch::eventually;

/// A running program. Its standard output and error go to one file.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with no environment but `PATH` and what `command` sets.
    /// The log goes to `dir`, and is added to if `name` ran there before.
    pub fn start(name: &str, mut command: Command, dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Sends the signal of this name, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill")
            .args([format!("-{signal}"), self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(done.success(), "kill -{signal} {}", self.name);
    }

    /// Waits for the end.
    pub async fn exit(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually(&what, || std::future::ready(self.child.try_wait().unwrap())).await
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// The memory that it has in use.
    pub fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// All that it has written.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read(&self.log).unwrap_or_default();
            eprintln!("--- {}\n{}", self.name, String::from_utf8_lossy(&log));
        }
    }
}

/// A command with no environment but `PATH`.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// The path of one of the workspace's programs, beside this test's own.
pub fn built(program: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(program);
    assert!(path.exists(), "{} is not built: run ./test", path.display());
    path
}
