//! Requests on our own RPCs that are not gRPC, or not as we speak it ("gRPC over HTTP2").

use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, Response, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tessera_tests::{system::Backend, watch::PATIENCE};
use tokio::net::TcpStream;

const RPCS: [&str; 2] = ["Verify", "BatchVerify"];

async fn ask(
    address: std::net::SocketAddr,
    rpc: &str,
    method: Method,
    kind: Option<&str>,
    message: &'static [u8],
) -> Response<HeaderMap> {
    let asking = async {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let uri = format!("http://{address}/tessera.v1.VerifierService/{rpc}");
        let mut request = Request::builder().method(method).uri(uri).header("te", "trailers");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(Full::new(Bytes::from_static(message))).unwrap();
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
        Response::from_parts(parts, trailers)
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("an answer")
}

#[tokio::test]
async fn what_is_not_grpc_is_refused_by_http_and_what_is_named_otherwise_is_answered() {
    let system = Backend::Embedded.start().await;
    let address = system.verifier_places()[0].grpc;
    for rpc in RPCS {
        for kind in [
            None,
            Some("application/json"),
            Some("application/grpc-web"),
            Some("application/grpc+json"),
            Some("application/grpcx"),
            Some("text/plain; a=application/grpc"),
        ] {
            let answer = ask(address, rpc, Method::POST, kind, &[0; 5]).await;
            assert_eq!(answer.status(), 415, "{rpc} {kind:?}");
            assert!(!answer.headers().contains_key("grpc-status"));
        }
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = ask(address, rpc, method.clone(), Some("application/grpc"), &[0; 5]).await;
            assert_eq!(answer.status(), 405, "{rpc} {method}");
            assert_eq!(answer.headers()["allow"], "POST");
        }
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;charset=utf-8",
            "Application/gRPC ; a=b",
        ] {
            let answer = ask(address, rpc, Method::POST, Some(kind), &[0; 5]).await;
            assert_eq!(answer.status(), 200, "{rpc} {kind}");
            // An empty message is a question with no token, or a batch with none: wrong, but read.
            let status = answer.headers().get("grpc-status").or(answer.body().get("grpc-status"));
            assert!(status.is_some(), "{rpc} {kind}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_compression_tells_what_is_supported() {
    let system = Backend::Embedded.start().await;
    let address = system.verifier_places()[0].grpc;
    for rpc in RPCS {
        let compressed = &[1, 0, 0, 0, 0];
        let answer = ask(address, rpc, Method::POST, Some("application/grpc"), compressed).await;
        assert_eq!(answer.headers()["grpc-status"], "12");
        assert_eq!(answer.headers()["grpc-accept-encoding"], "identity");
    }
}
