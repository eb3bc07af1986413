//! Carrying bytes from one side to the other, under rules that change.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Link, Rules, Towards};

/// Pieces that may be held in one direction; then the sender is made to wait.
const HELD: usize = 4_096;
const PIECE: usize = 16 * 1024;

/// `CLIENT TRACKING` as a client sends it.
const TRACKING: &[u8] = b"client\r\n$8\r\ntracking\r\n";
/// What a replica sends first, and how a sentinel names its connections.
const SERVERS: [&[u8]; 2] = [b"replconf\r\n", b"\r\nsentinel-"];
/// No shorter than any of them.
const LONGEST: usize = TRACKING.len();

struct Piece {
    arrived: Instant,
    bytes: Vec<u8>,
}

/// Carries until both sides have closed.
pub(super) async fn both(
    client: &mut TcpStream,
    mut server: TcpStream,
    link: &Link,
    rules: watch::Receiver<Rules>,
) {
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let requests = carry(client_read, server_write, Towards::Server, link, rules.clone());
    let replies = carry(server_read, client_write, Towards::Client, link, rules);
    tokio::join!(requests, replies);
}

/// Takes what the client sends, to no purpose, until it closes.
pub(super) async fn swallow(client: &mut TcpStream) {
    let mut buffer = vec![0; PIECE];
    while client.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}

/// Reading goes on while what was read before waits: a delay makes nothing slower.
async fn carry(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    towards: Towards,
    link: &Link,
    rules: watch::Receiver<Rules>,
) {
    let (held, holding) = mpsc::channel(HELD);
    tokio::join!(take(from, towards, link, held), give(to, towards, link, rules, holding));
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    towards: Towards,
    link: &Link,
    held: mpsc::Sender<Piece>,
) {
    let mut sniffer = Sniffer::default();
    let mut buffer = vec![0; PIECE];
    while let Ok(length) = from.read(&mut buffer).await {
        let bytes = buffer[..length].to_vec();
        if towards == Towards::Server {
            sniffer.take(&bytes);
            if sniffer.finds(TRACKING) {
                link.is_tracking.store(true, SeqCst);
            }
            if SERVERS.iter().any(|words| sniffer.finds(words)) {
                link.is_of_a_server.store(true, SeqCst);
            }
        }
        // An empty piece is the end, and waits for its turn as well.
        let sent = held.send(Piece { arrived: Instant::now(), bytes }).await;
        if sent.is_err() || length == 0 {
            return;
        }
    }
}

async fn give(
    mut to: impl AsyncWrite + Unpin,
    towards: Towards,
    link: &Link,
    mut rules: watch::Receiver<Rules>,
    mut holding: mpsc::Receiver<Piece>,
) {
    while let Some(piece) = holding.recv().await {
        turn(piece.arrived, towards, link, &mut rules).await;
        if piece.bytes.is_empty() || to.write_all(&piece.bytes).await.is_err() {
            break;
        }
    }
    // Fails only where the other end is gone.
    let _ = to.shutdown().await;
}

/// Waits until the rules let a piece through that arrived at this instant.
async fn turn(arrived: Instant, towards: Towards, link: &Link, rules: &mut watch::Receiver<Rules>) {
    loop {
        let due = rules.borrow_and_update().wait(towards, link).map(|wait| arrived + wait);
        let changed = match due {
            Some(due) if due <= Instant::now() => return,
            Some(due) => tokio::select! {
                () = sleep_until(due) => return,
                changed = rules.changed() => changed,
            },
            None => rules.changed().await,
        };
        if changed.is_err() {
            return; // The proxy is gone.
        }
    }
}

impl Rules {
    /// How long a piece is held; `None`: for as long as this rule stands.
    fn wait(&self, towards: Towards, link: &Link) -> Option<Duration> {
        if self.frozen.is_some_and(|which| link.is_in(which)) {
            return None;
        }
        Some(match towards {
            Towards::Server => self.to_server,
            Towards::Client => self.to_client,
        })
    }
}

/// Looks for words, which may come in several pieces.
#[derive(Default)]
struct Sniffer {
    tail: Vec<u8>,
}

impl Sniffer {
    fn take(&mut self, bytes: &[u8]) {
        let old = self.tail.len().saturating_sub(LONGEST - 1);
        self.tail.drain(..old);
        self.tail.extend(bytes.iter().map(u8::to_ascii_lowercase));
    }

    fn finds(&self, words: &[u8]) -> bool {
        self.tail.windows(words.len()).any(|window| window == words)
    }
}
