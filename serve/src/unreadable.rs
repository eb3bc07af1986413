//! A message that can't be read is its caller's fault. tonic says INTERNAL of it, which is
//! what a service says of its own faults, and what somebody is woken for.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::http::{HeaderValue, Request, Response};
use tonic::Code;
use tower::Service;

use crate::metrics::status_of;

const INVALID_ARGUMENT: HeaderValue = HeaderValue::from_static("3");

/// Makes INVALID_ARGUMENT of an INTERNAL that is tonic's own: a service's has an `ErrorInfo`.
pub fn blame_the_caller<R>(response: &mut Response<R>) {
    let headers = response.headers_mut();
    if status_of(headers) == Code::Internal && !headers.contains_key("grpc-status-details-bin") {
        headers.insert("grpc-status", INVALID_ARGUMENT);
    }
}

/// A service whose callers are told of messages that it can't read.
#[derive(Clone, Debug)]
pub struct Readable<S>(pub S);

impl<S, B, R> Service<Request<B>> for Readable<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            blame_the_caller(&mut answer);
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Status, body::Body};
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn a_fault_of_the_services_own_stays_one() {
        let details = ErrorDetails::with_error_info("INTERNAL", "tessera.v1", []);
        let ours = Status::with_error_details(Code::Internal, "a fault", details);
        for (status, code) in [
            (Status::internal("failed to decode Protobuf message"), Code::InvalidArgument),
            (ours, Code::Internal),
            (Status::unavailable("an outage"), Code::Unavailable),
        ] {
            let mut response = status.into_http::<Body>();
            blame_the_caller(&mut response);
            assert_eq!(status_of(response.headers()), code);
        }
    }
}
