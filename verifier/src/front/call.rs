//! One call: the hot path if it may, the ordinary path for our own two RPCs, and tonic
//! for the rest.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, task::Poll, time::Duration};

use http_body::Body as _;
use hyper::{HeaderMap, Request, Response, body::Incoming, http::request::Parts};
use prost::bytes::Bytes;
use tonic::Status;
use tower::ServiceExt as _;

use super::{
    Service,
    message::{self, Reply, refuse, reply},
};
use crate::service::{LARGEST_MESSAGE, Unanswered};

const VERIFY: &str = "/tessera.v1.VerifierService/Verify";
const BATCH_VERIFY: &str = "/tessera.v1.VerifierService/BatchVerify";
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Answers every call of a connection.
pub(super) async fn answer(
    service: Arc<Service>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let (first, is_whole) = match parts.uri.path() {
        VERIFY => first_piece(&mut body).await,
        _ => (None, false),
    };
    let mut tried = None;
    if let Some(framed) = first.as_ref().filter(|_| is_whole)
        && let Ok(asked) = message::unframed(framed.clone())
    {
        match service.api.quick_answer(&asked) {
            Ok(answer) => return Ok(reply(answer)),
            Err(unanswered) => tried = Some(unanswered),
        }
    }
    // In a box, so that the future of the hot path stays small.
    Ok(Box::pin(ordinary(service, parts, (first, tried), body)).await)
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
    service: Arc<Service>,
    parts: Parts,
    first: (Option<Bytes>, Option<Unanswered>),
    body: Incoming,
) -> Response<Reply> {
    let longest = time_allowed(&parts.headers);
    let answered = async {
        match parts.uri.path() {
            VERIFY => own(service.api_verify(first, body)).await,
            BATCH_VERIFY => own(service.api_batch_verify(body)).await,
            _ => service.routed(Request::from_parts(parts, body)).await,
        }
    };
    match tokio::time::timeout(longest, answered).await {
        Ok(response) => response,
        Err(_) => refuse(Status::deadline_exceeded("the call took too long")),
    }
}

async fn own(answer: impl Future<Output = Result<Bytes, Status>>) -> Response<Reply> {
    answer.await.map_or_else(refuse, reply)
}

impl Service {
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
            Ok(answer) => Ok(answer),
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

    async fn routed(&self, request: Request<Incoming>) -> Response<Reply> {
        match self.routes.clone().oneshot(request).await {
            Ok(response) => response.map(Reply::Routed),
            Err(never) => match never {},
        }
    }
}

/// The caller's deadline ("gRPC over HTTP2", `grpc-timeout`: up to eight digits and a
/// unit), but never more than our own. One that can't be read is passed over.
pub(crate) fn time_allowed(headers: &HeaderMap) -> Duration {
    let asked = headers.get(GRPC_TIMEOUT).and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|text| {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let is_number =
            (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let number = digits.parse::<u64>().ok().filter(|_| is_number)?;
        match unit {
            "H" => Some(Duration::from_secs(number * 3600)),
            "M" => Some(Duration::from_secs(number * 60)),
            "S" => Some(Duration::from_secs(number)),
            "m" => Some(Duration::from_millis(number)),
            "u" => Some(Duration::from_micros(number)),
            "n" => Some(Duration::from_nanos(number)),
            _ => None,
        }
    });
    asked.map_or(tessera_serve::CALL_TIMEOUT, |asked| asked.min(tessera_serve::CALL_TIMEOUT))
}
