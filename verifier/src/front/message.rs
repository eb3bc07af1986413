//! gRPC's framing of one message in a request and one in a response ("gRPC over HTTP2").

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use hyper::{
    HeaderMap, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use prost::bytes::{Buf, Bytes, BytesMut};
use tessera_serve::{
    room::overloaded,
    unread::{Counted, Piece, Unread},
};
use tonic::Status;

use super::buffered::Load;

const PREFIX: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
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

/// A response with this message, its prefix included, and the status OK.
#[inline]
pub(super) fn reply(message: Piece) -> Response<Reply> {
    let mut response = Response::new(Reply::Message(message));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A response with a status that is not OK, and no message.
pub(super) fn refuse(status: Status, unread: &Arc<Unread>) -> Response<Reply> {
    routed(status.into_http(), unread)
}

/// What tonic answered.
pub(super) fn routed(
    response: Response<tonic::body::Body>,
    unread: &Arc<Unread>,
) -> Response<Reply> {
    response.map(|body| Reply::Routed(Counted::new(body, unread.clone())))
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

/// The message in `framed`, if it is all there and all that there is.
pub(super) fn unframed(mut framed: Bytes) -> Result<Bytes, Status> {
    let Some((prefix, message)) = framed.split_first_chunk::<PREFIX>() else {
        return Err(Status::invalid_argument("the request has no message"));
    };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err(Status::unimplemented("no compression is supported"));
    }
    if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err(Status::invalid_argument("the request is not one whole message"));
    }
    framed.advance(PREFIX);
    Ok(framed)
}
