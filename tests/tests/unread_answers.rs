//! Callers that ask on many streams and read none of the answers: what waits for them is
//! bounded, they are let go in the end, and others are served on.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tempfile::TempDir;
use tessera_proto::v1::{BatchVerifyRequest, CreatePermanentTokenRequest, LoginRequest};
use tessera_tests::{
    ask::{ask_cached, verdict},
    client, http,
    metrics::Scrape,
    process::Process,
    redis::Redis,
    service::{self, Place},
    system::named,
    watch::{PATIENCE, eventually},
};
use tokio::{
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};

type Sender = SendRequest<Full<Bytes>>;

const MIB: u64 = 1024 * 1024;

/// An issuer and a verifier, in order of dropping.
struct Pair {
    verifying: Process,
    verifier: Place,
    health: SocketAddr,
    issuer: Place,
    _issuing: Process,
    _redis: Redis,
    _dir: TempDir,
}

async fn pair() -> Pair {
    let (dir, redis) = (TempDir::new().unwrap(), Redis::start().await);
    let (issuer, verifier) = (Place::free(), Place::free());
    let health = Place::free().http;
    let mut issuing = service::issuer(&redis.url_as("issuer"), issuer, &[], dir.path());
    service::serving(&mut issuing, issuer.grpc).await;
    let flags = ["--health-listen".to_owned(), health.to_string()];
    let url = redis.url_as("verifier");
    let mut verifying = service::verifier("verifier", &url, verifier, &flags, dir.path());
    service::serving(&mut verifying, verifier.grpc).await;
    Pair { verifying, verifier, health, issuer, _issuing: issuing, _redis: redis, _dir: dir }
}

/// A caller that opens a window of so many bytes on each stream, and what ends with its
/// connection.
async fn reads_nothing(address: SocketAddr, window: u32) -> (Sender, JoinHandle<()>) {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window).adaptive_window(false);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    (sender, tokio::spawn(async move { drop(connection.await) }))
}

/// Asks `count` times on each connection, and waits for the heads of the answers.
async fn heads(
    callers: &mut [Sender],
    count: usize,
    request: impl Fn() -> Request<Full<Bytes>>,
) -> Vec<Response<Incoming>> {
    let mut asked = JoinSet::new();
    for sender in callers {
        for _ in 0..count {
            sender.ready().await.unwrap();
            asked.spawn(sender.send_request(request()));
        }
    }
    let answers = tokio::time::timeout(PATIENCE, asked.join_all()).await.expect("all heads");
    answers.into_iter().filter_map(Result::ok).collect()
}

/// Waits for the end of each answer, none of which can be read.
async fn all_end(answers: Vec<Response<Incoming>>) {
    let mut ends = JoinSet::new();
    for answer in answers {
        let mut body = answer.into_body();
        ends.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
    }
    tokio::time::timeout(PATIENCE, ends.join_all()).await.expect("an end of all answers");
}

#[tokio::test]
async fn pages_that_nobody_reads_take_little_memory_and_are_not_kept_for_ever() {
    let pair = pair().await;
    let before = pair.verifying.resident_bytes();
    let flooded = async |address: SocketAddr| {
        let mut callers = Vec::new();
        for _ in 0..40 {
            callers.push(reads_nothing(address, 0).await.0);
        }
        let asking =
            || Request::get(format!("http://{address}/metrics")).body(Full::default()).unwrap();
        let answers = heads(&mut callers, 30, asking).await;
        let grown = pair.verifying.resident_bytes().saturating_sub(before);
        println!("{} answered, {} KiB more", answers.len(), grown / 1024);
        assert!(grown < 128 * MIB, "{grown} bytes more");
        // A small page is in nobody's way.
        assert_eq!(http::fetch(address, "/livez").await.status, 200);
        all_end(answers).await;
        eventually("a page that is larger", || async {
            tokio::spawn(async move { Scrape::of(address).await }).await.ok()
        })
        .await;
    };
    tokio::join!(flooded(pair.verifier.http), flooded(pair.health));
}

#[tokio::test]
async fn answers_that_nobody_reads_take_their_share_of_memory_and_their_callers_are_let_go() {
    let pair = pair().await;
    let login = LoginRequest { username: "admin".into(), password: service::ADMIN_PASSWORD.into() };
    let anybody = client::Credentials::none();
    let session = client::issuer(pair.issuer.grpc, &anybody).login(login).await.unwrap();
    let admin = client::Credentials::bearer(&session.into_inner().access_token);
    let audiences = (0..16).map(|n| format!("{n:02}{}", "a".repeat(250))).collect();
    let long = CreatePermanentTokenRequest { audiences, ..named("long") };
    let made = client::issuer(pair.issuer.grpc, &admin).create_permanent_token(long).await;
    let token = made.unwrap().into_inner().token;
    let mut verifier = client::verifier(pair.verifier.grpc);
    verdict(verifier.verify(ask_cached(&token)).await.unwrap().into_inner()).unwrap();
    let before = pair.verifying.resident_bytes();

    // With a window of one byte the whole answer waits behind it, further on than with none.
    let (none, first) = reads_nothing(pair.verifier.grpc, 0).await;
    let (one, second) = reads_nothing(pair.verifier.grpc, 1).await;
    let mut callers = [none, one];
    let batch = BatchVerifyRequest { requests: vec![ask_cached(&token); 1_000] }.encode_to_vec();
    let length = u32::try_from(batch.len()).unwrap().to_be_bytes();
    let framed = Bytes::from([&[0][..], &length, &batch].concat());
    let uri = format!("http://{}/tessera.v1.VerifierService/BatchVerify", pair.verifier.grpc);
    let asking = || {
        let request = Request::post(&uri).header("content-type", "application/grpc");
        request.header("te", "trailers").body(Full::new(framed.clone())).unwrap()
    };
    let answers = heads(&mut callers, 100, asking).await;
    let grown = pair.verifying.resident_bytes().saturating_sub(before);
    let refused = answers.iter().filter(|answer| answer.headers().contains_key("grpc-status"));
    let refused = refused.inspect(|answer| assert_eq!(answer.headers()["grpc-status"], "8"));
    println!("{} of {} refused, {} KiB more", refused.count(), answers.len(), grown / 1024);
    assert!(grown < 256 * MIB, "{grown} bytes more");
    // Others go on, and so do small batches.
    verdict(verifier.verify(ask_cached(&token)).await.unwrap().into_inner()).unwrap();
    let requests = vec![ask_cached(&token); 10];
    verifier.batch_verify(BatchVerifyRequest { requests }).await.unwrap();

    for connection in [first, second] {
        tokio::time::timeout(PATIENCE, connection).await.expect("it is closed").unwrap();
    }
    all_end(answers).await;
    let requests = vec![ask_cached(&token); 1_000];
    let mut verifier = verifier.max_decoding_message_size(8 << 20);
    let answer = verifier.batch_verify(BatchVerifyRequest { requests }).await;
    assert_eq!(answer.unwrap().into_inner().responses.len(), 1_000);
}
