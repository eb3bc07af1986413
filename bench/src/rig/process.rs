//! Programs that die with the value that stands for them.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::failure::{Failure, OrFail as _};

/// Where a program runs, and how far behind others.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    cores: &'a str,
    niceness: u8,
}

impl<'a> Place<'a> {
    /// On `cores`, as important as the rig itself.
    pub(crate) const fn on(cores: &'a str) -> Self {
        Self { cores, niceness: 0 }
    }

    /// The same, but with about a third of what one of the others there gets.
    pub(crate) const fn behind(self) -> Self {
        Self { niceness: 5, ..self }
    }
}

/// A running program.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` on `cores`, with no environment but `variables`; what it writes goes to a file in `dir`.
    pub(crate) fn start(
        program: &Path,
        Place { cores, niceness }: Place<'_>,
        arguments: &[String],
        variables: &[(&str, &str)],
        dir: &Path,
    ) -> Result<Self, Failure> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log);
        let out = out.or_fail(format_args!("write {}", log.display()))?;
        let child = Command::new("nice")
            .args(["-n", &niceness.to_string(), "taskset", "-c", cores])
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(variables.iter().copied())
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(out.try_clone().or_fail("open a log twice")?)
            .stderr(out)
            .spawn()
            .or_fail(format_args!(
                "start {name} by nice and taskset (Debian: coreutils, util-linux)"
            ))?;
        Ok(Self { name, child, log })
    }

    /// `nice` and `taskset` become the program, so its id is the program's.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the log if the program has ended.
    pub(crate) fn still_runs(&mut self) -> Result<(), Failure> {
        let ended = self.child.try_wait().or_fail(format_args!("look after {}", self.name))?;
        let Some(status) = ended else { return Ok(()) };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        Err(Failure::Ended { program: self.name.clone(), status, log: log.trim().to_owned() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the program `name` is, by PATH.
pub(crate) fn on_path(name: &str, remedy: &'static str) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(name));
    let found = places.find(|place| place.is_file());
    found.ok_or_else(|| Failure::NoProgram { program: name.to_owned(), remedy })
}

/// An address of loopback that is free now.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener.and_then(|listener| listener.local_addr()).or_fail("find a free port of 127.0.0.1")
}
