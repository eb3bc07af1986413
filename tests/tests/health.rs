//! The port for health and metrics alone: plaintext beside TLS, and what it tells of a drain.

use std::net::SocketAddr;

use tempfile::TempDir;
use tessera_tests::{
    client, http, port,
    process::Process,
    redis::Redis,
    service::{self, Place},
    tls::Authority,
    watch::eventually,
};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

const NAMES: [&[&str]; 2] = [
    &["", "tessera.v1.IssuerService", "tessera.v1.AdminService"],
    &["", "tessera.v1.VerifierService"],
];

async fn check(address: SocketAddr, name: &str) -> Result<ServingStatus, Code> {
    let mut health = HealthClient::new(client::channel(address));
    let request = HealthCheckRequest { service: name.to_owned() };
    let answer = health.check(request).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

async fn ready(address: SocketAddr) -> (u16, String) {
    let answer = http::fetch(address, "/readyz").await;
    (answer.status, answer.body.trim().to_owned())
}

/// An issuer and a verifier over this Redis with these flags, each with its health port.
fn start(redis: &Redis, flags: &[&str], dir: &TempDir) -> [(Process, Place, SocketAddr); 2] {
    let make = |issuer: bool| {
        let (place, health) = (Place::free(), port::free());
        let mut all: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        all.extend(["--health-listen".to_owned(), health.to_string()]);
        let process = if issuer {
            service::issuer(&redis.url_as("issuer"), place, &all, dir.path())
        } else {
            service::verifier("verifier", &redis.url_as("verifier"), place, &all, dir.path())
        };
        (process, place, health)
    };
    [make(true), make(false)]
}

#[tokio::test]
async fn health_and_metrics_are_plaintext_on_one_port_beside_tls_and_mind_no_outage() {
    let (authority, dir, mut redis) =
        (Authority::new(), TempDir::new().unwrap(), Redis::start().await);
    let files = [authority.server_certificate(), authority.server_key()];
    let [cert, key] = files.map(|path| path.display().to_string());
    let flags = ["--tls-cert-file", &cert, "--tls-key-file", &key];
    let services = start(&redis, &flags, &dir);
    for ((_, _, health), names) in services.iter().zip(NAMES) {
        eventually("SERVING", || async {
            (check(*health, "").await == Ok(ServingStatus::Serving)).then_some(())
        })
        .await;
        for name in names {
            assert_eq!(check(*health, name).await, Ok(ServingStatus::Serving), "{name}");
        }
        assert_eq!(check(*health, "tessera.v1.NoService").await, Err(Code::NotFound));
        assert_eq!(ready(*health).await, (200, "ready".to_owned()));
        assert_eq!(http::fetch(*health, "/livez").await.status, 200);
        assert!(http::fetch(*health, "/metrics").await.body.contains("tessera_build_info"));
        // Nothing else is there.
        assert_eq!(http::fetch(*health, "/.well-known/jwks.json").await.body, "");
        let mut verifier = client::verifier(*health);
        let asked = verifier.verify(tessera_tests::ask::ask("x")).await;
        assert_eq!(asked.unwrap_err().code(), Code::Unimplemented);
    }
    // An outage of the store is no reason to be taken out.
    redis.kill9().await;
    for (_, _, health) in &services {
        assert_eq!(ready(*health).await, (200, "ready".to_owned()));
        assert_eq!(check(*health, "").await, Ok(ServingStatus::Serving));
    }
}

#[tokio::test]
async fn a_drain_is_told_while_calls_are_still_taken_and_a_second_signal_ends_the_wait() {
    let (dir, redis) = (TempDir::new().unwrap(), Redis::start().await);
    let mut services = start(&redis, &["--drain-delay", "1h"], &dir);
    for ((process, place, health), names) in services.iter_mut().zip(NAMES) {
        service::serving(process, place.grpc).await;
        let mut watch = HealthClient::new(client::channel(*health));
        let mut watch = watch.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

        process.signal("TERM");
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        for address in [place.http, *health] {
            assert_eq!(ready(address).await, (503, "draining".to_owned()));
            assert_eq!(http::fetch(address, "/livez").await.status, 200);
        }
        for name in names {
            for address in [place.grpc, *health] {
                assert_eq!(check(address, name).await, Ok(ServingStatus::NotServing), "{name}");
            }
        }
        assert!(process.ended().is_none());
        process.signal("TERM");
        assert_eq!(process.exit().await.code(), Some(0), "{}", process.log());
    }
}
