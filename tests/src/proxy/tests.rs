use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout},
};

use super::*;
use crate::watch::{PATIENCE, eventually};

/// Too short a wait proves nothing wrong: what is held never comes.
const A_WHILE: Duration = Duration::from_millis(100);
const TRACKING: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n";

/// A proxy before a server that answers with what it is sent.
async fn before_an_echo() -> Proxy {
    let address = port::free();
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    Proxy::start(address).await
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut answer = vec![0; bytes.len()];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(answer, bytes);
}

async fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    expect(stream, bytes).await;
}

async fn assert_silent(stream: &mut TcpStream) {
    let read = timeout(A_WHILE, stream.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}

async fn assert_closed(stream: &mut TcpStream) {
    let read = timeout(PATIENCE, stream.read_u8()).await.expect("the end");
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn without_a_fault_bytes_pass_both_ways_and_the_end_too() {
    let proxy = before_an_echo().await;
    let mut stream = connect(&proxy).await;
    let long: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    echo(&mut stream, b"short").await;
    echo(&mut stream, &long).await;
    stream.shutdown().await.unwrap();
    assert_closed(&mut stream).await;
    eventually("the end", || std::future::ready((proxy.count(Which::All) == 0).then_some(())))
        .await;
}

#[tokio::test]
async fn each_direction_has_a_delay_of_its_own() {
    let proxy = before_an_echo().await;
    let mut stream = connect(&proxy).await;
    for towards in [Towards::Server, Towards::Client] {
        proxy.pass();
        proxy.delay(towards, Duration::from_millis(200));
        let begun = Instant::now();
        echo(&mut stream, b"late").await;
        assert!(begun.elapsed() >= Duration::from_millis(200), "{towards:?}");
    }
}

#[tokio::test]
async fn a_delay_taken_back_lets_go_what_it_held() {
    let proxy = before_an_echo().await;
    let mut stream = connect(&proxy).await;
    proxy.delay(Towards::Client, Duration::from_secs(3_600));
    stream.write_all(b"held").await.unwrap();
    assert_silent(&mut stream).await;
    proxy.pass();
    expect(&mut stream, b"held").await;
}

#[tokio::test]
async fn a_freeze_holds_bytes_and_ends_and_delivers_them_after() {
    let proxy = before_an_echo().await;
    let mut stream = connect(&proxy).await;
    echo(&mut stream, b"before").await;
    proxy.freeze(Which::All);
    stream.write_all(b"held").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut new = connect(&proxy).await;
    new.write_all(b"held as well").await.unwrap();
    assert_silent(&mut stream).await;
    assert_silent(&mut new).await;
    proxy.pass();
    expect(&mut stream, b"held").await;
    assert_closed(&mut stream).await;
    expect(&mut new, b"held as well").await;
}

#[tokio::test]
async fn a_cut_closes_what_is_open_and_nothing_that_comes_after() {
    let proxy = before_an_echo().await;
    let mut streams = [connect(&proxy).await, connect(&proxy).await];
    for stream in &mut streams {
        echo(stream, b"open").await;
    }
    assert_eq!(proxy.cut(Which::All), 2);
    for stream in &mut streams {
        assert_closed(stream).await;
    }
    echo(&mut connect(&proxy).await, b"again").await;
}

#[tokio::test]
async fn refusal_is_for_new_connections_alone() {
    let proxy = before_an_echo().await;
    let mut old = connect(&proxy).await;
    echo(&mut old, b"open").await;
    proxy.refuse();
    assert_closed(&mut connect(&proxy).await).await;
    echo(&mut old, b"still open").await;
    proxy.pass();
    echo(&mut connect(&proxy).await, b"again").await;
}

#[tokio::test]
async fn a_half_open_connection_takes_bytes_and_never_answers() {
    let proxy = before_an_echo().await;
    let mut stream = connect(&proxy).await;
    echo(&mut stream, b"open").await;
    assert_eq!(proxy.half_open(Which::All), 1);
    assert_silent(&mut stream).await;
    stream.write_all(b"into the void").await.unwrap();
    assert_silent(&mut stream).await;
    assert_eq!(proxy.cut(Which::All), 1);
    assert_closed(&mut stream).await;
}

#[tokio::test]
async fn the_tracking_connection_can_be_hit_alone() {
    let proxy = before_an_echo().await;
    let (mut plain, mut tracking) = (connect(&proxy).await, connect(&proxy).await);
    echo(&mut plain, b"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$8\r\nTRACKING\r\n").await;
    // In pieces, as a network may deliver it.
    echo(&mut tracking, &TRACKING[..15]).await;
    assert_eq!(proxy.count(Which::Tracking), 0);
    echo(&mut tracking, &TRACKING[15..]).await;
    assert_eq!(proxy.count(Which::Tracking), 1);

    proxy.freeze(Which::Tracking);
    tracking.write_all(b"held").await.unwrap();
    echo(&mut plain, b"passed").await;
    assert_silent(&mut tracking).await;
    proxy.pass();
    expect(&mut tracking, b"held").await;

    assert_eq!(proxy.cut(Which::Tracking), 1);
    assert_closed(&mut tracking).await;
    echo(&mut plain, b"untouched").await;
}
