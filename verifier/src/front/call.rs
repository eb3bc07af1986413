//! One call: the hot path if it may, the ordinary path for our own two RPCs, and tonic
//! for the rest.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use http_body::Body as _;
use hyper::{Request, Response, body::Incoming, http::request::Parts};
use prost::bytes::Bytes;
use tessera_serve::{
    deadline::{exceeded, time_allowed},
    metrics::status_of,
    request::RequestId,
    room::{EXEMPT, overloaded},
    trace::{Parent, RpcSpan},
    unreadable::blame_the_caller,
};
use tonic::{Code, Status};
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::{
    Service,
    buffered::{Caller, Load, Weighed},
    message::{self, Reply, refuse, reply, routed},
};
use crate::service::{LARGEST_MESSAGE, Unanswered};

pub(crate) const VERIFY: &str = "/tessera.v1.VerifierService/Verify";
const BATCH_VERIFY: &str = "/tessera.v1.VerifierService/BatchVerify";

/// What Envoy asks: its caller's trace may be told in the request that it describes, and is
/// then for [`crate::authz`] to see.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Answers every call of a connection.
pub(super) async fn answer(
    caller: Arc<Caller>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let post = &caller.post;
    let begun = post.quick.begin();
    let (parts, mut body) = request.into_parts();
    if let VERIFY | BATCH_VERIFY = parts.uri.path()
        && let Some(refused) = message::not_grpc(&parts)
    {
        return Ok(refused);
    }
    let service = &post.service;
    let span = if service.traces.are_on() { service.span(&parts) } else { None };
    let (first, is_whole) = match parts.uri.path() {
        VERIFY if caller.trusted => first_piece(&mut body).await,
        _ => (None, false),
    };
    let mut tried = None;
    if let Some(framed) = first.as_ref().filter(|_| is_whole)
        && let Ok(asked) = message::unframed(framed.clone())
    {
        match service.api.quick_answer(&asked) {
            Ok(answer) => {
                if let Some(answer) = caller.unread.hold(answer) {
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
            }
            Err(unanswered) => tried = Some(unanswered),
        }
    }
    // In boxes, so that the future of the hot path stays small.
    let id = id_of(&parts);
    let answering = ordinary(caller, parts, (first, tried), body);
    Ok(match (id, span) {
        (None, None) => Box::pin(answering).await,
        (None, span) => Box::pin(traced(span, answering)).await,
        (Some(id), span) => Box::pin(traced(span, identified(id, answering))).await,
    })
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
fn id_of(parts: &Parts) -> Option<RequestId> {
    match parts.uri.path() {
        VERIFY | BATCH_VERIFY => RequestId::given(&parts.headers),
        _ => Some(RequestId::of(&parts.headers)),
    }
}

async fn identified(
    id: RequestId,
    answered: impl Future<Output = Response<Reply>>,
) -> Response<Reply> {
    let mut response = answered.instrument(id.span()).await;
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
    caller: Arc<Caller>,
    parts: Parts,
    first: (Option<Bytes>, Option<Unanswered>),
    body: Incoming,
) -> Response<Reply> {
    let service = &caller.post.service;
    let call = service.calls.begin(parts.uri.path());
    // What no list of callers keeps anybody from, and nobody traces: health and reflection.
    let is_exempt = parts.uri.path().starts_with(EXEMPT);
    let mut place = if is_exempt { caller.exempt.enter() } else { service.room.enter() };
    let load = Load::of(&caller, place.is_some() && !is_exempt);
    let longest = time_allowed(&parts.headers);
    let answered = async {
        if !caller.trusted
            && !is_exempt
            && let Err(refused) =
                Box::pin(service.callers.check(&service.api, &parts.headers)).await
        {
            return caller.own(Err(refused));
        }
        match parts.uri.path() {
            _ if place.is_none() => caller.own(Err(overloaded())),
            VERIFY => caller.own(service.api_verify(first, body, &load).await),
            BATCH_VERIFY => caller.own(Box::pin(service.api_batch_verify(body, &load)).await),
            _ => {
                // Kept for as long as what was read of it may be.
                let load = Arc::new(load);
                let body = Weighed { body, load: load.clone() };
                let (response, code) =
                    Box::pin(service.routed(Request::from_parts(parts, body))).await;
                // A watch of health has its place for as long as it lasts.
                let place = if is_exempt { place.take() } else { None };
                (routed(response, &caller.unread, place), code)
            }
        }
    };
    // In its place, so that it is not copied there.
    let answered = tokio::time::timeout(longest, pin!(answered)).await;
    let (response, code) = answered.unwrap_or_else(|_| caller.own(Err(exceeded())));
    call.end(code);
    response
}

impl Caller {
    /// The response with this answer of ours, if there is room to keep it until it is read.
    fn own(&self, answer: Result<Bytes, Status>) -> (Response<Reply>, Code) {
        match answer.and_then(|answer| self.unread.hold(answer).ok_or_else(overloaded)) {
            Ok(answer) => (reply(answer), Code::Ok),
            Err(status) => {
                let code = status.code();
                (refuse(status, &self.unread), code)
            }
        }
    }
}

impl Service {
    /// The span of a call, if it is to be traced.
    fn span(&self, parts: &Parts) -> Option<Box<RpcSpan>> {
        let path = parts.uri.path();
        if path.starts_with(EXEMPT) || path == CHECK && Parent::of(&parts.headers) == Parent::None {
            return None;
        }
        self.traces.rpc(&parts.headers, || self.calls.names(path))
    }

    async fn api_verify(
        &self,
        (first, tried): (Option<Bytes>, Option<Unanswered>),
        mut body: Incoming,
        load: &Load,
    ) -> Result<Bytes, Status> {
        let message = message::read(first, &mut body, LARGEST_MESSAGE, load).await?;
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

    async fn api_batch_verify(&self, mut body: Incoming, load: &Load) -> Result<Bytes, Status> {
        let message = message::read(None, &mut body, LARGEST_MESSAGE, load).await?;
        match self.api.quick_batch(&message) {
            Some(answer) => Ok(answer),
            None => self.api.batch_verify(&message).await,
        }
    }

    async fn routed(&self, request: Request<Weighed>) -> (Response<tonic::body::Body>, Code) {
        match self.routes.clone().oneshot(request).await {
            Ok(mut response) => {
                blame_the_caller(&mut response);
                let code = status_of(response.headers());
                (response, code)
            }
            Err(never) => match never {},
        }
    }
}
