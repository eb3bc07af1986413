//! A drain: what is told of it, and that nothing without an end holds it up.

use tessera_tests::{client, on_every_backend, system::Backend};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

on_every_backend!(a_drain_tells_health_watchers_and_does_not_wait_for_them);

async fn a_drain_tells_health_watchers_and_does_not_wait_for_them(backend: Backend) {
    let mut system = backend.start_with(&["--drain-timeout", "1h"]).await;
    let mut watches = Vec::new();
    for service in ["", "tessera.v1.IssuerService", "tessera.v1.AdminService"] {
        let mut health = HealthClient::new(client::channel(system.issuer_place().grpc));
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut watch = health.watch(request).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        watches.push(watch);
    }
    // That it ends is asserted; it would take an hour if a watch held it up.
    system.end().await;
    for mut watch in watches {
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        assert!(watch.message().await.unwrap().is_none());
    }
}
