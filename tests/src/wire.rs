//! Callers of a service behind a proxy, in each of the languages that it may speak.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Request,
    body::Bytes,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::{Code, Status, metadata::MetadataMap, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::upstream::ECHO;

/// A caller that waits longer than this hangs, and the test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// What a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS.
    Http2,
    /// gRPC, through a client library.
    Grpc,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Grpc];
}

/// What a caller got.
#[derive(Debug)]
pub struct Answer {
    /// The status of HTTP; 0 for a gRPC call, whose library does not tell.
    pub status: u16,
    /// Of a gRPC call that failed: its code, and the reason in its `ErrorInfo`.
    pub grpc: Option<(Code, String)>,
    /// All headers, those that the service got among them.
    headers: HeaderMap,
    /// What people read.
    pub text: String,
}

impl Answer {
    /// Whether the service was reached.
    pub fn reached(&self) -> bool {
        self.headers.contains_key("echo-path")
    }

    /// The header of this name that the caller got.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The headers of this name that the service got, joined by `|` if there are several.
    pub fn seen(&self, name: &str) -> String {
        let all = self.headers.get_all(format!("{ECHO}{name}"));
        all.iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join("|")
    }

    /// The names of all headers that the service got.
    pub fn names_seen(&self) -> Vec<&str> {
        self.headers.keys().filter_map(|name| name.as_str().strip_prefix(ECHO)).collect()
    }

    /// Everything that the caller got, to look for what must not be there.
    pub fn all(&self) -> String {
        format!("{self:?}")
    }
}

/// Asks for `path` with these headers, over a connection of its own.
pub async fn ask(
    wire: Wire,
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, String)],
) -> Answer {
    let asking = async {
        match wire {
            Wire::Http1 | Wire::Http2 => over_http(wire, address, path, headers).await,
            Wire::Grpc => over_grpc(address, path, headers).await,
        }
    };
    tokio::time::timeout(LIMIT, asking).await.expect("an answer")
}

async fn over_http(
    wire: Wire,
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, String)],
) -> Answer {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut request = Request::builder().method("GET");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = if wire == Wire::Http1 {
        // As many headers as the service that tells of them got.
        let mut builder = http1::Builder::new();
        let (mut sender, connection) = builder.max_headers(1000).handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = request.uri(path).header("host", address.to_string());
        sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await
    } else {
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let request = request.uri(format!("http://{address}{path}"));
        sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await
    };
    let (parts, body) = response.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    Answer { status: parts.status.as_u16(), grpc: None, headers: parts.headers, text }
}

/// Below `path`, that is: a method has a path of its own.
async fn over_grpc(address: SocketAddr, path: &str, headers: &[(&'static str, String)]) -> Answer {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let origin = format!("http://{address}{path}").parse().unwrap();
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    match HealthClient::with_origin(channel, origin).check(request).await {
        Ok(answer) => Answer {
            status: 0,
            grpc: None,
            headers: answer.metadata().clone().into_headers(),
            text: String::new(),
        },
        Err(status) => failed(&status),
    }
}

fn failed(status: &Status) -> Answer {
    let reason = status.get_details_error_info().map(|info| {
        assert_eq!(info.domain, "tessera.v1");
        info.reason
    });
    let headers = MetadataMap::into_headers(status.metadata().clone());
    let grpc = Some((status.code(), reason.unwrap_or_default()));
    Answer { status: 0, grpc, headers, text: status.message().to_owned() }
}
