//! Taking connections in, and knowing when all of them are gone.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tessera_shared::sparing::Sparing;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    connection::Connection,
    room::{Place, Room},
    tls::Tls,
    unread::{Budget, Unread},
};

/// After a failed accept: the process is out of file descriptors, and an attempt at once
/// would fail too.
const PAUSE: Duration = Duration::from_millis(20);

/// Hands each connection to `give`, until `shutdown`.
pub async fn accept(
    listener: &TcpListener,
    shutdown: impl Future<Output = ()>,
    mut give: impl FnMut(TcpStream, SocketAddr),
) {
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return,
        };
        match accepted {
            Ok((stream, peer)) => give(stream, peer),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                static FAILED: Sparing = Sparing::new();
                if let Some(left_out) = FAILED.turn() {
                    tracing::warn!(%error, left_out, "a connection can't be accepted");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The caller was gone before it was served.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The way in. It lets in so many at a time, and waits at the end until all have gone.
pub struct Gate {
    tls: Option<Arc<Tls>>,
    /// What a connection shakes hands with.
    acceptor: fn(&Tls) -> TlsAcceptor,
    room: Arc<Room>,
    /// For what is answered and not read.
    budget: Arc<Budget>,
    max_age: Option<Duration>,
    number: AtomicU64,
    stop: watch::Sender<()>,
    /// Closed once nobody holds the other end: every pass does.
    gone: mpsc::Receiver<()>,
    seat: mpsc::Sender<()>,
}

/// What each connection holds for as long as it is open.
#[derive(Debug)]
pub struct Pass {
    stop: watch::Receiver<()>,
    budget: Arc<Budget>,
    _seat: mpsc::Sender<()>,
    _place: Place,
}

impl Gate {
    /// Lets in whom `room` has a place for. They speak TLS if there is a certificate, and are
    /// asked to come back as new ones after `max_age`, give or take a tenth.
    pub fn new(tls: Option<Arc<Tls>>, room: Arc<Room>, max_age: Option<Duration>) -> Self {
        let (seat, gone) = mpsc::channel(1);
        let (number, stop) = (AtomicU64::new(0), watch::Sender::new(()));
        let budget = Budget::grpc();
        Self { tls, acceptor: Tls::grpc, room, budget, max_age, number, stop, gone, seat }
    }

    /// The same, of a listener for HTTP.
    pub fn http(tls: Option<Arc<Tls>>, room: Arc<Room>, max_age: Option<Duration>) -> Self {
        Self { acceptor: Tls::http, budget: Budget::http(), ..Self::new(tls, room, max_age) }
    }

    /// For the bytes that are held for callers.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Lets a connection in, if there is room.
    pub fn admit(&self) -> Option<Connection> {
        let pass = Pass {
            stop: self.stop.subscribe(),
            budget: self.budget.clone(),
            _seat: self.seat.clone(),
            _place: self.room.enter()?,
        };
        let number = self.number.fetch_add(1, Relaxed);
        let age = self.max_age.map(|age| age.mul_f64(0.9 + 0.2 * spread(number)));
        let tls = self.tls.as_deref().map(self.acceptor);
        Some(Connection { pass, tls, max_age: age })
    }

    /// Asks every connection to finish, and waits until each has, for at most `deadline`:
    /// a graceful stop alone may never end (hyper#4170).
    pub async fn close(mut self, deadline: Duration) {
        drop(self.seat);
        self.stop.send_replace(());
        if tokio::time::timeout(deadline, self.gone.recv()).await.is_err() {
            tracing::warn!(drain_s = deadline.as_secs(), "calls still under way are cut off");
        }
    }
}

impl Pass {
    /// For what the connection's caller does not read.
    pub(crate) fn unread(&self) -> Arc<Unread> {
        Unread::of(self.budget.clone())
    }

    /// Resolves when the connection is to finish.
    pub(crate) async fn asked_to_stop(&mut self) {
        let _ = self.stop.changed().await;
    }
}

/// From 0 to 1, far apart for numbers that follow each other (the golden ratio's multiples):
/// connections that began together do not all end together.
fn spread(number: u64) -> f64 {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
    mixed as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_begin_together_end_apart() {
        let room = Room::new(100);
        let gate = Gate::new(None, room, Some(Duration::from_secs(100)));
        let admitted = || gate.admit().unwrap().max_age.unwrap().as_secs();
        let mut ages: Vec<_> = (0..10).map(|_| admitted()).collect();
        assert!(ages.iter().all(|age| (90..=110).contains(age)), "{ages:?}");
        ages.sort_unstable();
        ages.dedup();
        assert!(ages.len() >= 9, "{ages:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_lets_in_as_many_as_there_is_room_for_and_waits_until_they_left() {
        let gate = Gate::new(None, Room::new(1), None);
        let connection = gate.admit().unwrap();
        assert!(gate.admit().is_none());
        let closing = tokio::spawn(gate.close(Duration::from_secs(10)));
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        drop(connection);
        closing.await.unwrap();
    }
}
