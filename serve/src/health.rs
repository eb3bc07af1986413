//! Whether a service should be called: told by `grpc.health.v1` and at `/readyz`, the same
//! by both.
//!
//! A service is ready once it has reached its store, and until it drains. An outage of the
//! store in between changes nothing: were readiness to follow it, one store would take
//! every replica out at once, and callers would be refused a connection instead of told
//! UNAVAILABLE. `/livez` only says that the process answers.

use std::{future::Future, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health as HealthRpcs, HealthServer},
    server::{HealthReporter, HealthService},
};

use crate::{asked_to_stop, health_watch::Watched};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Draining,
    Over,
}

/// The health of one service, and of its gRPC services by name.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    services: &'static [&'static str],
    state: watch::Sender<State>,
}

impl Health {
    /// Not ready yet.
    pub async fn starting(services: &'static [&'static str]) -> Self {
        let (reporter, state) = (HealthReporter::new(), watch::Sender::new(State::Starting));
        let health = Self { reporter, services, state };
        health.report(ServingStatus::NotServing).await;
        health
    }

    /// It serves from now on, unless it drains already.
    pub async fn ready(&self) {
        let began = self.state.send_if_modified(|state| {
            let starting = *state == State::Starting;
            if starting {
                *state = State::Ready;
            }
            starting
        });
        if began {
            self.report(ServingStatus::Serving).await;
        }
    }

    /// `grpc.health.v1.Health`.
    pub fn service(&self) -> HealthServer<impl HealthRpcs> {
        let state = self.state.clone();
        let ended = move || {
            let mut state = state.subscribe();
            Box::pin(async move { drop(state.wait_for(|state| *state == State::Over).await) }) as _
        };
        let inner = HealthService::from_health_reporter(self.reporter.clone());
        HealthServer::new(Watched::new(inner, ended))
    }

    /// `/livez`, `/healthz` and `/readyz`.
    pub fn pages(&self) -> Router {
        let state = self.state.clone();
        let ready = move || std::future::ready(page(*state.borrow()));
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
    }

    /// The same, and `grpc.health.v1`, for a listener that has nothing else.
    pub fn all(&self) -> Router {
        Routes::new(self.service()).prepare().into_axum_router().merge(self.pages())
    }

    /// Waits for `shutdown`, says NOT_SERVING, and goes on serving for `delay`, in which
    /// callers hear of it; a second signal ends that. Then the health watches end: they
    /// have no end of their own, and would hold each drain up to its deadline.
    pub async fn drain(mut self, shutdown: impl Future<Output = ()>, delay: Duration) {
        shutdown.await;
        tracing::info!(delay_ms = delay.as_millis(), "draining");
        self.state.send_replace(State::Draining);
        self.report(ServingStatus::NotServing).await;
        if !delay.is_zero() {
            let _ = tokio::time::timeout(delay, asked_to_stop()).await;
        }
        for service in self.names() {
            self.reporter.clear_service_status(service).await;
        }
        self.state.send_replace(State::Over);
    }

    async fn report(&self, status: ServingStatus) {
        for service in self.names() {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// The services, and the whole server.
    fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.services.iter().copied().chain([""])
    }
}

fn page(state: State) -> (StatusCode, &'static str) {
    match state {
        State::Starting => (StatusCode::SERVICE_UNAVAILABLE, "the store was not reached yet\n"),
        State::Ready => (StatusCode::OK, "ready\n"),
        State::Draining | State::Over => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_drains_is_never_ready_again() {
        let health = Health::starting(&["tessera.v1.Tester"]).await;
        assert_eq!(page(*health.state.borrow()).0, StatusCode::SERVICE_UNAVAILABLE);
        health.ready().await;
        assert_eq!(page(*health.state.borrow()), (StatusCode::OK, "ready\n"));
        health.clone().drain(std::future::ready(()), Duration::from_secs(5)).await;
        health.ready().await;
        assert_eq!(page(*health.state.borrow()).1, "draining\n");
    }
}
