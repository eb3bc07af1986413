//! Callers that take more than their share: of connections over HTTP, of memory with
//! requests that never end, of watches of health. Others are served on.

use std::{convert::Infallible, net::SocketAddr};

use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request,
    body::{Bytes, Frame},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tessera_proto::v1::{BatchVerifyRequest, VerifyRequest};
use tessera_tests::{
    ask::{ask_cached, verdict},
    client, http,
    metrics::Scrape,
    system::{Backend, named},
    watch::{PATIENCE, eventually},
};
use tokio::{io::AsyncReadExt as _, net::TcpStream, task::JoinSet};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

/// A message that its caller announces, in bytes: nearly the largest.
const ANNOUNCED: u32 = 16 * 1024 * 1024;
/// What it sends of that.
const SENT: usize = 2 * 1024 * 1024;
const CONNECTIONS: usize = 16;
const CALLS: usize = 32;
/// What all callers together may have held of their requests, and what the process may need
/// for that: half of what is sent.
const HELD: usize = 40 * 1024 * 1024;
const ALLOWED_GROWTH: f64 = (CONNECTIONS * CALLS * SENT / 2) as f64;

type Body = UnsyncBoxBody<Bytes, Infallible>;

#[tokio::test]
async fn connections_over_http_are_limited_and_those_of_grpc_are_not_theirs() {
    let system = Backend::Embedded.start_all_with(&["--max-connections", "4"]).await;
    let made = system.permanent(&system.admin().await, named("good")).await;
    for place in [system.issuer_place(), system.verifier_places()[0]] {
        eventually("room for four", || async {
            let four = [(); 4].map(|()| TcpStream::connect(place.http));
            let mut open = Vec::new();
            for one in four {
                open.push(one.await.unwrap());
            }
            // Taken in order: so if the fifth is closed, the four are open.
            let mut fifth = TcpStream::connect(place.http).await.unwrap();
            let closed = tokio::time::timeout(PATIENCE, fifth.read_u8()).await.expect("closed");
            assert!(closed.is_err());
            let asked = client::verifier(system.verifier_places()[0].grpc)
                .verify(ask_cached(&made.token))
                .await;
            verdict(asked.unwrap().into_inner()).unwrap();
            Some(open)
        })
        .await;
        eventually("an answer over HTTP", || async {
            let mut stream = TcpStream::connect(place.http).await.ok()?;
            let closed =
                tokio::time::timeout(std::time::Duration::from_millis(200), stream.read_u8());
            // Kept open: there is room again.
            closed.await.is_err().then_some(())
        })
        .await;
        let scrape = Scrape::of(place.http).await;
        assert!(scrape.expect("tessera_refused_http_connections_total") >= 1.0);
        assert_eq!(http::fetch(place.http, "/livez").await.status, 200);
    }
}

#[tokio::test]
async fn requests_that_never_end_take_their_share_of_memory_and_no_more() {
    let system = Backend::Redis.start().await;
    let made = system.permanent(&system.admin().await, named("good")).await;
    let place = system.verifier_places()[0];
    let resident = async || Scrape::of(place.http).await.expect("process_resident_memory_bytes");
    let before = resident().await;

    let mut answers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut sender = connect(place.grpc).await;
        for _ in 0..CALLS {
            sender.ready().await.unwrap();
            answers.spawn(sender.send_request(endless(place.grpc)));
        }
    }
    // All but those that fit are refused; what is below 32 KiB counts for none.
    let fit = HELD / (SENT - 32 * 1024) + 1;
    for _ in 0..CONNECTIONS * CALLS - fit {
        let answer = tokio::time::timeout(PATIENCE, answers.join_next()).await.expect("an answer");
        let answer = answer.unwrap().unwrap().expect("a connection that stays");
        assert_eq!(answer.headers()["grpc-status"], "8", "{answer:?}");
    }
    let grown = resident().await - before;
    assert!(grown < ALLOWED_GROWTH, "{grown} bytes more than before");
    // Those that are left hold what there is; others go on, and so do small batches.
    let mut verifier = client::verifier(place.grpc);
    let asked = ask_cached(&made.token);
    verdict(verifier.verify(asked.clone()).await.unwrap().into_inner()).unwrap();
    let requests = vec![asked; 10];
    verifier.batch_verify(BatchVerifyRequest { requests }).await.unwrap();
    println!("{} of {} refused, {grown} bytes", CONNECTIONS * CALLS - fit, CONNECTIONS * CALLS);

    answers.shutdown().await;
    let long = VerifyRequest { token: "a".repeat(8 * 1024), ..VerifyRequest::default() };
    let large = BatchVerifyRequest { requests: vec![long; 1000] };
    eventually("room for a large batch", || {
        let (mut verifier, large) = (verifier.clone(), large.clone());
        async move { verifier.batch_verify(large).await.ok() }
    })
    .await;
}

#[tokio::test]
async fn watches_of_health_are_limited_on_one_connection_and_not_on_others() {
    let system = Backend::Embedded.start_all_with(&[]).await;
    for place in [system.issuer_place(), system.verifier_places()[0]] {
        let one = HealthClient::new(client::channel(place.grpc));
        let watch = |mut health: HealthClient<Channel>| async move {
            Ok(health.watch(HealthCheckRequest::default()).await?.into_inner())
        };
        let (mut watches, mut refused) = (Vec::new(), Vec::<Status>::new());
        for _ in 0..100 {
            match watch(one.clone()).await {
                Ok(mut watch) => {
                    let told = watch.message().await.unwrap().unwrap();
                    assert_eq!(told.status(), ServingStatus::Serving);
                    watches.push(watch);
                }
                Err(status) => refused.push(status),
            }
        }
        assert_eq!((watches.len(), refused.len()), (64, 36));
        for status in refused {
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
        }
        let mut other = HealthClient::new(client::channel(place.grpc));
        other.check(HealthCheckRequest::default()).await.unwrap();
        drop(watches);
        eventually("the places of those that ended", || async {
            one.clone().check(HealthCheckRequest::default()).await.ok()
        })
        .await;
    }
}

async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A batch that begins, and goes on for ever.
fn endless(address: SocketAddr) -> Request<Body> {
    let prefix = [&[0][..], &ANNOUNCED.to_be_bytes()].concat();
    let piece = Bytes::from(vec![0; 16 * 1024]);
    let pieces = std::iter::once(Bytes::from(prefix)).chain(vec![piece; SENT / (16 * 1024)]);
    let frames = tokio_stream::iter(pieces).chain(tokio_stream::pending());
    let body = StreamBody::new(frames.map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
    Request::post(format!("http://{address}/tessera.v1.VerifierService/BatchVerify"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body.boxed_unsync())
        .unwrap()
}
