//! `grpc.health.v1` whose `Watch` of a service that there is not says SERVICE_UNKNOWN and goes
//! on, as `health.proto` has it; tonic's own fails with NOT_FOUND.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tonic::{Code, Request, Response, Status, async_trait, codegen::tokio_stream::Stream};
use tonic_health::{
    pb::{
        HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
        health_server::Health,
    },
    server::HealthService,
};

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The service.
pub(crate) struct Watched<E> {
    inner: HealthService,
    ended: E,
}

impl<E> Watched<E> {
    /// Watches of what there is not end with the future that `ended` makes.
    pub(crate) fn new(inner: HealthService, ended: E) -> Self {
        Self { inner, ended }
    }
}

#[async_trait]
impl<E: Fn() -> Ended + Send + Sync + 'static> Health for Watched<E> {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.inner.check(request).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        match self.inner.watch(request).await {
            Ok(watch) => Ok(watch.map(|watch| Box::pin(watch) as Self::WatchStream)),
            Err(status) if status.code() == Code::NotFound => {
                Ok(Response::new(Box::pin(Unknown { told: false, ended: (self.ended)() })))
            }
            Err(status) => Err(status),
        }
    }
}

/// No service becomes known that was not from the beginning.
struct Unknown {
    told: bool,
    ended: Ended,
}

impl Stream for Unknown {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.told {
            self.told = true;
            let status = ServingStatus::ServiceUnknown.into();
            return Poll::Ready(Some(Ok(HealthCheckResponse { status })));
        }
        ready!(self.ended.as_mut().poll(context));
        Poll::Ready(None)
    }
}
