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
use tessera_serve::{
    deadline::time_allowed,
    trace::{Parent, RpcSpan, Traces},
};
use tonic::{Code, Request, Response, Status, metadata::MetadataMap, server::NamedService as _};

use self::{request::Described, route::Route};
use crate::{
    answers::{Asker, GuardAnswers},
    guard::{Asked, Guard, refusal::Refusal},
};

/// The largest description of a request that is read, in bytes. Envoy's own limit for
/// headers is 60 KiB, unless it is set otherwise; bodies need not be sent.
const LARGEST_REQUEST: usize = 1 << 20;
/// So much earlier than Envoy gives up, at most, an outage is told: Envoy's own answer
/// would be 403.
const MARGIN: Duration = Duration::from_millis(50);

/// How HTTP says that a request may go on.
const GRANTED: u16 = 200;

/// The service.
pub(crate) struct Authz {
    guard: Guard,
    answers: GuardAnswers,
    traces: Traces,
}

/// As a part of a gRPC server.
pub(crate) type Server = AuthorizationServer<Authz>;

/// A service that answers from this.
pub(crate) fn server(guard: Guard, answers: GuardAnswers, traces: Traces) -> Server {
    Server::new(Authz { guard, answers, traces }).max_decoding_message_size(LARGEST_REQUEST)
}

#[tonic::async_trait]
impl Authorization for Authz {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let allowed = time_allowed(request.metadata().as_ref());
        let deadline = allowed - MARGIN.min(allowed / 4);
        let (metadata, _, message) = request.into_parts();
        let attributes = message.attributes.unwrap_or_default();
        let span = self.span(&metadata, &attributes);
        let deciding = self.decide(attributes, deadline);
        let decided = match span {
            None => deciding.await,
            Some(span) => span.around(deciding, code_of).await,
        };
        decided.map(Response::new)
    }
}

fn code_of(decided: &Result<CheckResponse, Status>) -> Code {
    decided.as_ref().map_or_else(Status::code, |_| Code::Ok)
}

impl Authz {
    /// The span of a call in whose metadata Envoy tells no trace: one that does not trace
    /// passes the client's trace context on in the request that it describes.
    fn span(&self, metadata: &MetadataMap, attributes: &AttributeContext) -> Option<Box<RpcSpan>> {
        if !self.traces.are_on() || Parent::of(metadata.as_ref()) != Parent::None {
            return None;
        }
        let described = Described::from(attributes);
        let parent = Parent::told(|name| described.values(name));
        self.traces.rpc_under(parent, (Server::NAME, "Check"))
    }

    async fn decide(
        &self,
        attributes: AttributeContext,
        deadline: Duration,
    ) -> Result<CheckResponse, Status> {
        let described = Described::from(&attributes);
        let route = match Route::read(&attributes.context_extensions) {
            Ok(route) => route,
            Err(wrong) => {
                self.answers.count(Asker::Envoy, wrong.http_status());
                return Ok(response::refused(&wrong, described.is_grpc()));
            }
        };
        if route.is_public(described.path) {
            self.answers.count(Asker::Envoy, GRANTED);
            return Ok(response::public(&described));
        }
        let asked = Asked {
            credential: described.credential(),
            address: described.address,
            has_query_token: described.has_query_token(),
        };
        let admitted = self.guard.admit(asked, &route.demand, deadline).await;
        let status = admitted.as_ref().map_or_else(Refusal::http_status, |_| GRANTED);
        self.answers.count(Asker::Envoy, status);
        match admitted {
            Ok(identity) => Ok(response::granted(&identity, &described)),
            Err(outage @ (Refusal::Outage | Refusal::Fault)) if route.fails_by_rpc => {
                Err(Status::new(outage.grpc().0, outage.message()))
            }
            Err(refusal) => Ok(response::refused(&refusal, described.is_grpc())),
        }
    }
}
