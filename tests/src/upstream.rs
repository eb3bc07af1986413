//! A service that a proxy stands in front of: it tells what reached it.
//!
//! It answers every request, HTTP and gRPC alike, with one header `echo-NAME` for each
//! that it got, `echo-path`, and for gRPC with an empty message.

use std::{convert::Infallible, net::SocketAddr};

use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Frame, Incoming},
    header::{HeaderName, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::port;

/// What comes before a header's name in the answer.
pub const ECHO: &str = "echo-";

type Body = BoxBody<Bytes, Infallible>;

/// A running service. It ends when dropped.
pub struct Upstream {
    /// Where it speaks HTTP/1.1.
    pub http1: SocketAddr,
    /// Where it speaks HTTP/2 without TLS: gRPC.
    pub http2: SocketAddr,
    serving: [JoinHandle<()>; 2],
}

impl Upstream {
    /// Starts one.
    pub async fn start() -> Self {
        let (http1, http2) = (port::free(), port::free());
        let listeners =
            [TcpListener::bind(http1).await.unwrap(), TcpListener::bind(http2).await.unwrap()];
        let [first, second] = listeners;
        let serving = [tokio::spawn(serve(first, false)), tokio::spawn(serve(second, true))];
        Self { http1, http2, serving }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

async fn serve(listener: TcpListener, is_http2: bool) {
    while let Ok((stream, _)) = listener.accept().await {
        let (stream, answer) = (TokioIo::new(stream), service_fn(answer));
        // A connection that breaks is the proxy's affair.
        tokio::spawn(async move {
            if is_http2 {
                drop(
                    http2::Builder::new(TokioExecutor::new())
                        .serve_connection(stream, answer)
                        .await,
                );
            } else {
                // More than the hundred that it takes by itself: proxies take them too.
                let mut builder = http1::Builder::new();
                drop(builder.max_headers(1000).serve_connection(stream, answer).await);
            }
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let is_grpc = request.headers().get("content-type").is_some_and(|it| it == "application/grpc");
    let mut response =
        Response::new(if is_grpc { empty_message() } else { Full::default().boxed() });
    let headers = response.headers_mut();
    if is_grpc {
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    }
    for (name, value) in request.headers() {
        let name = HeaderName::try_from(format!("{ECHO}{name}")).unwrap();
        headers.append(name, value.clone());
    }
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    headers.insert("echo-path", HeaderValue::try_from(path).unwrap());
    Ok(response)
}

fn empty_message() -> Body {
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)];
    let frames = frames.map(Ok::<_, Infallible>);
    StreamBody::new(tokio_stream::iter(frames)).boxed()
}
