//! The reference of all measurements: a tonic and prost server that does nothing.
//!
//! `Verify` ignores the token and answers one principal, always the same, in a message
//! as long as the verifier's. One `current_thread` runtime, mimalloc, plaintext, and the
//! HTTP/2 limits that `serve/` had when the targets were set. They are written out here,
//! and not taken from there: a reference must not change with what is held against it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use prost::Message as _;
use tessera_proto::v1::{
    BatchVerifyRequest, BatchVerifyResponse, Principal, PrincipalKind, VerifyRequest,
    VerifyResponse,
    verifier_service_server::{VerifierService, VerifierServiceServer},
    verify_response::Verdict,
};
use tokio::net::TcpListener;
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, transport::Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Answers one principal to every question
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:50059")]
    listen: SocketAddr,

    /// A file with the VerifyResponse to give, encoded [default: one of about 150 bytes]
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let answer = match args.answer {
        Some(file) => VerifyResponse::decode(std::fs::read(file)?.as_slice())?,
        None => usual(),
    };
    let listener = TcpListener::bind(args.listen).await?;
    let incoming = TcpListenerStream::new(listener)
        .map(|stream| stream.inspect(|stream| drop(stream.set_nodelay(true))));
    Server::builder()
        .max_concurrent_streams(1024)
        .timeout(Duration::from_secs(30))
        .http2_max_header_list_size(32 * 1024)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_service(
            VerifierServiceServer::new(Noop { answer }).max_decoding_message_size(10 * 1024 * 1024),
        )
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

struct Noop {
    answer: VerifyResponse,
}

#[tonic::async_trait]
impl VerifierService for Noop {
    async fn verify(&self, _: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        Ok(Response::new(self.answer.clone()))
    }

    async fn batch_verify(
        &self,
        request: Request<BatchVerifyRequest>,
    ) -> Result<Response<BatchVerifyResponse>, Status> {
        let responses = vec![self.answer.clone(); request.get_ref().requests.len()];
        Ok(Response::new(BatchVerifyResponse { responses }))
    }
}

fn usual() -> VerifyResponse {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 250_000_000 });
    let principal = Principal {
        kind: PrincipalKind::PermanentToken.into(),
        token_id: 7_000_000_000_000_001,
        account_id: 7_000_000_000_000_002,
        user_id: 7_000_000_000_000_003,
        role: "Engineers".to_owned(),
        scopes: ["cdn:purge", "cdn:prefetch", "cdn:read"].map(str::to_owned).to_vec(),
        audiences: vec!["cdn".to_owned()],
        issued_at: at(1_790_000_000),
        expires_at: at(1_800_000_000),
        name: "deploy of the shop".to_owned(),
        ..Principal::default()
    };
    VerifyResponse { verdict: Some(Verdict::Principal(principal)), as_of: at(1_790_000_001) }
}
