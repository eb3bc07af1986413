//! `envoy.service.auth.v3.Authorization`: Envoy asks it before it lets a request through.
//!
//! A verdict is always in the message, under the RPC status OK, and always says its
//! status: Envoy takes an empty `CheckResponse` for a grant, and an RPC error for an
//! outage of this service. How Envoy was seen to behave is told in `deploy/envoy/README.md`.
//!
//! | module | what lives there |
//! |---|---|
//! | `route` | what a route demands: its `context_extensions` |
//! | `request` | a request as Envoy describes it |
//! | `response` | verdicts in Envoy's words |
//!
//! To add a `context_extensions` key: a row in `route`, and one in the README.

mod request;
mod response;
mod route;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tessera_proto::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse,
    authorization_server::{Authorization, AuthorizationServer},
};
use tessera_serve::deadline::time_allowed;
use tonic::{Request, Response, Status};

use self::{request::Described, route::Route};
use crate::guard::{Asked, Guard, refusal::Refusal};

/// The largest description of a request that is read, in bytes. Envoy's own limit for
/// headers is 60 KiB, unless it is set otherwise; bodies need not be sent.
const LARGEST_REQUEST: usize = 1 << 20;
/// So much earlier than Envoy gives up, at most, an outage is told: Envoy's own answer
/// would be 403.
const MARGIN: Duration = Duration::from_millis(50);

/// The service.
pub(crate) struct Authz {
    guard: Guard,
}

/// As a part of a gRPC server.
pub(crate) type Server = AuthorizationServer<Authz>;

/// A service that answers from this.
pub(crate) fn server(guard: Guard) -> Server {
    Server::new(Authz { guard }).max_decoding_message_size(LARGEST_REQUEST)
}

#[tonic::async_trait]
impl Authorization for Authz {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let allowed = time_allowed(request.metadata().as_ref());
        let deadline = allowed - MARGIN.min(allowed / 4);
        let attributes = request.into_inner().attributes.unwrap_or_default();
        self.decide(attributes, deadline).await.map(Response::new)
    }
}

impl Authz {
    async fn decide(
        &self,
        attributes: AttributeContext,
        deadline: Duration,
    ) -> Result<CheckResponse, Status> {
        let described = Described::from(&attributes);
        let route = match Route::read(&attributes.context_extensions) {
            Ok(route) => route,
            Err(wrong) => return Ok(response::refused(&wrong, described.is_grpc())),
        };
        if route.is_public(described.path) {
            return Ok(response::public(&described));
        }
        let asked = Asked {
            credential: described.credential(),
            address: described.address,
            has_query_token: described.has_query_token(),
        };
        match self.guard.admit(asked, &route.demand, deadline).await {
            Ok(identity) => Ok(response::granted(&identity, &described)),
            Err(outage @ (Refusal::Outage | Refusal::Fault)) if route.fails_by_rpc => {
                Err(Status::new(outage.grpc().0, outage.message()))
            }
            Err(refusal) => Ok(response::refused(&refusal, described.is_grpc())),
        }
    }
}
