//! One call: the hot path if it may, the ordinary path for our own two RPCs, and tonic
//! for the rest.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, task::Poll};

use http_body::Body as _;
use hyper::{Request, Response, body::Incoming, http::request::Parts};
use prost::bytes::Bytes;
use tessera_serve::{
    deadline::{exceeded, time_allowed},
    metrics::status_of,
    request::RequestId,
    room::overloaded,
    trace::{Parent, RpcSpan},
};
use tonic::{Code, Status};
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::{
    Service,
    message::{self, Reply, refuse, reply},
    workers::Post,
};
use crate::service::{LARGEST_MESSAGE, Unanswered};

pub(crate) const VERIFY: &str = "/tessera.v1.VerifierService/Verify";
const BATCH_VERIFY: &str = "/tessera.v1.VerifierService/BatchVerify";

/// What Envoy asks: its caller's trace may be told in the request that it describes, and is
/// then for [`crate::authz`] to see.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// What no list of callers keeps anybody from, and nobody traces: health and reflection.
const OPEN: &str = "/grpc.";

/// Answers every call of a connection; `trusted`: its caller may ask whatever a call carries.
pub(super) async fn answer(
    post: Arc<Post>,
    trusted: bool,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let begun = post.quick.begin();
    let (parts, mut body) = request.into_parts();
    let service = &post.service;
    let span = if service.traces.are_on() { service.span(&parts) } else { None };
    let (first, is_whole) = match parts.uri.path() {
        VERIFY if trusted => first_piece(&mut body).await,
        _ => (None, false),
    };
    let mut tried = None;
    if let Some(framed) = first.as_ref().filter(|_| is_whole)
        && let Ok(asked) = message::unframed(framed.clone())
    {
        match service.api.quick_answer(&asked) {
            Ok(answer) => {
                post.quick.end(begun);
                let mut response = reply(answer);
                let id = RequestId::given(&parts.headers);
                if let Some(span) = span {
                    end_quick(*span, id.as_ref());
                }
                if let Some(id) = id {
                    id.tell(&mut response);
                }
                return Ok(response);
            }
            Err(unanswered) => tried = Some(unanswered),
        }
    }
    // In a box, so that the future of the hot path stays small.
    let answering = identified(post, trusted, parts, (first, tried), body);
    Ok(Box::pin(traced(span, answering)).await)
}

async fn traced(
    span: Option<Box<RpcSpan>>,
    answering: impl Future<Output = Response<Reply>>,
) -> Response<Reply> {
    match span {
        Some(span) => span.around(answering, |response| status_of(response.headers())).await,
        None => answering.await,
    }
}

#[cold]
fn end_quick(span: RpcSpan, id: Option<&RequestId>) {
    if let Some(id) = id {
        span.note_request(id.as_str());
    }
    span.end(Code::Ok);
}

/// Our own two RPCs have an id if their caller gives one, since to make one would cost what
/// a look into the memory does; all others have one.
async fn identified(
    post: Arc<Post>,
    trusted: bool,
    parts: Parts,
    first: (Option<Bytes>, Option<Unanswered>),
    body: Incoming,
) -> Response<Reply> {
    let id = match parts.uri.path() {
        VERIFY | BATCH_VERIFY => RequestId::given(&parts.headers),
        _ => Some(RequestId::of(&parts.headers)),
    };
    let Some(id) = id else { return ordinary(post, trusted, parts, first, body).await };
    let span = id.span();
    let mut response = ordinary(post, trusted, parts, first, body).instrument(span).await;
    id.tell(&mut response);
    response
}

/// What has arrived of the body by now, without waiting, and whether it is all.
async fn first_piece(body: &mut Incoming) -> (Option<Bytes>, bool) {
    std::future::poll_fn(|context| {
        let piece = match Pin::new(&mut *body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            _ => None,
        };
        Poll::Ready((piece, body.is_end_stream()))
    })
    .await
}

async fn ordinary(
    post: Arc<Post>,
    trusted: bool,
    parts: Parts,
    first: (Option<Bytes>, Option<Unanswered>),
    body: Incoming,
) -> Response<Reply> {
    let service = &post.service;
    let call = service.calls.begin(parts.uri.path());
    let is_ours = !parts.uri.path().starts_with(OPEN);
    let place = if is_ours { service.room.enter() } else { None };
    let longest = time_allowed(&parts.headers);
    let answered = async {
        if !trusted
            && !parts.uri.path().starts_with(OPEN)
            && let Err(refused) = service.callers.check(&service.api, &parts.headers).await
        {
            return own(Err(refused));
        }
        match parts.uri.path() {
            _ if is_ours && place.is_none() => own(Err(overloaded())),
            VERIFY => own(service.api_verify(first, body).await),
            BATCH_VERIFY => own(service.api_batch_verify(body).await),
            _ => service.routed(Request::from_parts(parts, body)).await,
        }
    };
    let answered = tokio::time::timeout(longest, answered).await;
    let (response, code) = answered.unwrap_or_else(|_| own(Err(exceeded())));
    call.end(code);
    response
}

fn own(answer: Result<Bytes, Status>) -> (Response<Reply>, Code) {
    match answer {
        Ok(answer) => (reply(answer), Code::Ok),
        Err(status) => {
            let code = status.code();
            (refuse(status), code)
        }
    }
}

impl Service {
    /// The span of a call, if it is to be traced.
    fn span(&self, parts: &Parts) -> Option<Box<RpcSpan>> {
        let path = parts.uri.path();
        if path.starts_with(OPEN) || path == CHECK && Parent::of(&parts.headers) == Parent::None {
            return None;
        }
        self.traces.rpc(&parts.headers, || self.calls.names(path))
    }

    async fn api_verify(
        &self,
        (first, tried): (Option<Bytes>, Option<Unanswered>),
        mut body: Incoming,
    ) -> Result<Bytes, Status> {
        let message = message::read(first, &mut body, LARGEST_MESSAGE).await?;
        let answer = match tried {
            Some(unanswered) => Err(unanswered),
            None => self.api.quick_answer(&message),
        };
        match answer {
            Ok(answer) => {
                self.api.count_from_memory(1);
                Ok(answer)
            }
            Err(unanswered) => self.api.verify(&message, unanswered).await,
        }
    }

    async fn api_batch_verify(&self, mut body: Incoming) -> Result<Bytes, Status> {
        let message = message::read(None, &mut body, LARGEST_MESSAGE).await?;
        match self.api.quick_batch(&message) {
            Some(answer) => Ok(answer),
            None => self.api.batch_verify(&message).await,
        }
    }

    async fn routed(&self, request: Request<Incoming>) -> (Response<Reply>, Code) {
        match self.routes.clone().oneshot(request).await {
            Ok(response) => {
                let code = status_of(response.headers());
                (response.map(Reply::Routed), code)
            }
            Err(never) => match never {},
        }
    }
}
