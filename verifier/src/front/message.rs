//! gRPC's framing of one message in a request and one in a response ("gRPC over HTTP2").

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue},
    http::request::Parts,
};
use prost::bytes::{Buf, Bytes, BytesMut};
use tessera_serve::{
    room::{Place, overloaded},
    unread::{Counted, Piece, Unread},
};
use tonic::{Status, metadata::MetadataValue};

use super::buffered::Load;

const PREFIX: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_PROTO: &[u8] = b"application/grpc+proto";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");

/// What goes back to a caller.
pub(super) enum Reply {
    /// An answer of ours, in one piece.
    Message(Piece),
    /// The trailers after it.
    Trailers,
    End,
    /// What tonic answered.
    Routed(Counted<tonic::body::Body>),
}

/// How a request is answered that is not one of gRPC ("gRPC over HTTP2", Content-Type): what it
/// carries is not read.
#[inline]
pub(super) fn not_grpc(request: &Parts) -> Option<Response<Reply>> {
    let kind = request.headers.get(CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes() == GRPC.as_bytes() || is_proto(kind));
    (!is_grpc || request.method != Method::POST).then(|| not_grpc_but(&request.method))
}

/// The message format may be named, and parameters may follow.
#[cold]
fn is_proto(kind: &HeaderValue) -> bool {
    let name = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let name = name.trim_ascii_end();
    name.eq_ignore_ascii_case(GRPC.as_bytes()) || name.eq_ignore_ascii_case(GRPC_PROTO)
}

#[cold]
fn not_grpc_but(method: &Method) -> Response<Reply> {
    let mut response = Response::new(Reply::End);
    if method == Method::POST {
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    } else {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// A response with this message, its prefix included, and the status OK.
#[inline]
pub(super) fn reply(message: Piece) -> Response<Reply> {
    let mut response = Response::new(Reply::Message(message));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A response with a status that is not OK, and no message.
pub(super) fn refuse(status: Status, unread: &Arc<Unread>) -> Response<Reply> {
    routed(status.into_http(), unread, None)
}

/// What tonic answered, keeping the place of its call to its end.
pub(super) fn routed(
    response: Response<tonic::body::Body>,
    unread: &Arc<Unread>,
    place: Option<Place>,
) -> Response<Reply> {
    response.map(|body| Reply::Routed(Counted::new(body, unread.clone()).keeping(place)))
}

impl Body for Reply {
    type Data = Piece;
    type Error = Box<dyn Error + Send + Sync>;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Self::Error>>> {
        match &mut *self {
            Self::Message(message) => {
                let message = std::mem::take(message);
                *self = Self::Trailers;
                Poll::Ready(Some(Ok(Frame::data(message))))
            }
            Self::Trailers => {
                *self = Self::End;
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(GRPC_STATUS, OK);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Self::End => Poll::Ready(None),
            Self::Routed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Message(_) | Self::Trailers => false,
            Self::End => true,
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Routed(body) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

/// The request's one message, without its prefix, of at most `largest` bytes, if `load` has
/// room for it. `first` is what was read of the body already.
pub(super) async fn read(
    mut first: Option<Bytes>,
    body: &mut Incoming,
    largest: usize,
    load: &Load,
) -> Result<Bytes, Status> {
    if let Some(first) = &first {
        fits(first.len(), load)?;
    }
    // More than one piece is rare.
    let mut all = BytesMut::new();
    while let Some(frame) = next(body).await? {
        let Ok(data) = frame.into_data() else { break };
        fits(data.len(), load)?;
        if all.is_empty() {
            let Some(before) = first.take() else {
                first = Some(data);
                continue;
            };
            all.extend_from_slice(&before);
        }
        make_room(&mut all, data.len());
        all.extend_from_slice(&data);
        if all.len() > PREFIX + largest {
            return Err(too_large(largest));
        }
    }
    let framed = first.unwrap_or_else(|| all.freeze());
    if framed.len() > PREFIX + largest {
        return Err(too_large(largest));
    }
    unframed(framed)
}

fn fits(bytes: usize, load: &Load) -> Result<(), Status> {
    if load.grow(bytes) { Ok(()) } else { Err(overloaded()) }
}

fn too_large(largest: usize) -> Status {
    Status::out_of_range(format!("a message of at most {largest} bytes"))
}

/// For so many more bytes, and beyond that by doubling, but never for more than the prefix
/// announces: no more than what has been counted is held, or twice that while it grows.
fn make_room(all: &mut BytesMut, more: usize) {
    let announced = match all.split_first_chunk::<PREFIX>() {
        Some(([_, length @ ..], _)) => {
            PREFIX + usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX)
        }
        None => 0,
    };
    let (length, free) = (all.len(), all.capacity() - all.len());
    if free < more {
        all.reserve(more.max(length.min(announced.saturating_sub(length))));
    }
}

async fn next(body: &mut Incoming) -> Result<Option<Frame<Bytes>>, Status> {
    let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
    frame.transpose().map_err(|_| Status::cancelled("the request was cut off"))
}

/// Tells what is supported instead ("gRPC over HTTP2", Message-Encoding).
#[cold]
fn no_compression() -> Status {
    let mut status = Status::unimplemented("no compression is supported");
    status.metadata_mut().insert("grpc-accept-encoding", MetadataValue::from_static("identity"));
    status
}

/// The message in `framed`, if it is all there and all that there is.
pub(super) fn unframed(mut framed: Bytes) -> Result<Bytes, Status> {
    let Some((prefix, message)) = framed.split_first_chunk::<PREFIX>() else {
        return Err(Status::invalid_argument("the request has no message"));
    };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err(no_compression());
    }
    if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err(Status::invalid_argument("the request is not one whole message"));
    }
    framed.advance(PREFIX);
    Ok(framed)
}
