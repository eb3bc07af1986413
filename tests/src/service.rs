//! The programs under test, and how to tell that they serve.

use std::{net::SocketAddr, path::Path, process::Command};

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    client, port,
    process::{Process, built, clean},
    watch::eventually,
};

/// The first administrator's password; long enough that to find it anywhere is no
/// accident.
pub const ADMIN_PASSWORD: &str = "the first administrator's passphrase 9xw2";

/// So short that a test need not wait for `last_used_at`. A flag may say otherwise.
const USAGE_INTERVAL: &str = "200ms";

/// Where a service listens.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
}

impl Place {
    /// Two ports that are free.
    pub fn free() -> Self {
        Self { grpc: port::free(), http: port::free() }
    }
}

/// Starts an issuer.
pub fn issuer(store: &str, place: Place, flags: &[String], dir: &Path) -> Process {
    single("tessera-issuer", "issuer", store, place, flags, dir)
}

/// Starts a verifier, whose log is called `name`.
pub fn verifier(name: &str, store: &str, place: Place, flags: &[String], dir: &Path) -> Process {
    single("tessera-verifier", name, store, place, flags, dir)
}

fn single(
    program: &str,
    name: &str,
    store: &str,
    place: Place,
    flags: &[String],
    dir: &Path,
) -> Process {
    let mut command = clean(&built(program));
    command
        .args(["--dev", "--store", store])
        .args(["--listen", &place.grpc.to_string()])
        .args(["--http-listen", &place.http.to_string()])
        .args(flags)
        .env("TESSERA_USAGE_INTERVAL", USAGE_INTERVAL)
        .env("TESSERA_DRAIN_DELAY", "0s");
    if program == "tessera-issuer" {
        command.env("TESSERA_ADMIN_PASSWORD", ADMIN_PASSWORD);
    }
    Process::start(name, command, dir)
}

/// Starts both in one process, with the records in `data`.
pub fn up(data: &Path, issuer: Place, verifier: Place, flags: &[String], dir: &Path) -> Process {
    Process::start("up", up_command(data, issuer, verifier, flags), dir)
}

/// The command that [`up`] starts.
pub fn up_command(data: &Path, issuer: Place, verifier: Place, flags: &[String]) -> Command {
    let mut command = clean(&built("tessera"));
    command
        .arg("up")
        .arg("--data")
        .arg(data)
        .args(["--issuer-listen", &issuer.grpc.to_string()])
        .args(["--issuer-http-listen", &issuer.http.to_string()])
        .args(["--verifier-listen", &verifier.grpc.to_string()])
        .args(["--verifier-http-listen", &verifier.http.to_string()])
        .args(flags)
        .env("TESSERA_USAGE_INTERVAL", USAGE_INTERVAL)
        .env("TESSERA_ADMIN_PASSWORD", ADMIN_PASSWORD);
    command
}

/// Waits until `grpc.health.v1` at `address` says SERVING.
///
/// # Panics
/// When `process` ends before that.
pub async fn serving(process: &mut Process, address: SocketAddr) {
    eventually("SERVING", || {
        if let Some(status) = process.ended() {
            panic!("ended before it served, {status}:\n{}", process.log());
        }
        async move { (health(address).await == Some(ServingStatus::Serving)).then_some(()) }
    })
    .await;
}

/// What `grpc.health.v1` at `address` says of the whole server; `None`: no answer.
pub async fn health(address: SocketAddr) -> Option<ServingStatus> {
    let mut health = HealthClient::new(client::channel(address));
    let answer = health.check(HealthCheckRequest::default()).await.ok()?;
    Some(answer.into_inner().status())
}
