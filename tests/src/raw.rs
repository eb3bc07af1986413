//! gRPC with no library of it: a call whose deadline the server alone knows.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::Code;

use crate::watch::PATIENCE;

/// How a call of the RPC `path` ends that carries this message and these headers.
///
/// # Panics
/// When it does not end.
pub async fn call(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
    message: &[u8],
) -> Code {
    let calling = async {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::post(format!("http://{address}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        let request = request.body(Full::new(Bytes::from(framed))).unwrap();
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let status = parts.headers.get("grpc-status").or(trailers.get("grpc-status"));
        let status = status.expect("a status").to_str().unwrap().parse().unwrap();
        Code::from_i32(status)
    };
    tokio::time::timeout(PATIENCE, calling).await.expect("an end of the call")
}
