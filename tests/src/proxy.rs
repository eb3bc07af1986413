//! A TCP proxy whose faults a test turns on and off: what a network does to the
//! connections between a service and its Redis.
//!
//! Each fault holds until it is taken back. A byte that was held or delayed is
//! delivered later, in order; only a cut or a half-open connection loses bytes.

mod carry;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::AbortHandle,
};

use crate::port;

/// Where bytes flow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// From the service to Redis: requests.
    Server,
    /// From Redis to the service: replies and pushes.
    Client,
}

/// Which connections a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those alone that asked for invalidations: a client sent `CLIENT TRACKING`.
    Tracking,
    /// Those of other servers: sentinels and replicas.
    Servers,
}

/// A proxy in front of one server. Its connections end when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    target: SocketAddr,
    rules: watch::Sender<Rules>,
    connections: Mutex<Vec<Connection>>,
}

/// What is done to bytes now.
#[derive(Clone, Debug, Default)]
struct Rules {
    to_server: Duration,
    to_client: Duration,
    frozen: Option<Which>,
    refusing: bool,
}

struct Connection {
    link: Arc<Link>,
    task: AbortHandle,
}

/// What is known of one connection, and how to tell it something.
#[derive(Default)]
struct Link {
    is_tracking: AtomicBool,
    is_of_a_server: AtomicBool,
    lose_the_server: Notify,
}

impl Proxy {
    /// Starts a proxy in front of `target`, with no fault.
    pub async fn start(target: SocketAddr) -> Self {
        let address = port::free();
        let listener = TcpListener::bind(address).await.unwrap();
        let (rules, _) = watch::channel(Rules::default());
        let shared = Arc::new(Shared { target, rules, connections: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, shared.clone())).abort_handle();
        Self { address, shared, accepting }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes every fault back.
    pub fn pass(&self) {
        self.shared.rules.send_replace(Rules::default());
    }

    /// Delivers each byte in this direction so much later.
    pub fn delay(&self, towards: Towards, by: Duration) {
        self.shared.rules.send_modify(|rules| match towards {
            Towards::Server => rules.to_server = by,
            Towards::Client => rules.to_client = by,
        });
    }

    /// Delivers nothing in either direction; connections stay open, and new ones
    /// are taken.
    pub fn freeze(&self, which: Which) {
        self.shared.rules.send_modify(|rules| rules.frozen = Some(which));
    }

    /// Closes each new connection at once.
    pub fn refuse(&self) {
        self.shared.rules.send_modify(|rules| rules.refusing = true);
    }

    /// Closes connections on both sides; what was under way is lost. Answers how many.
    pub fn cut(&self, which: Which) -> usize {
        self.shared.each(which, |connection| connection.task.abort())
    }

    /// Closes the server's side alone: the client's stays open, takes what it is
    /// sent, and never answers. Answers how many.
    pub fn half_open(&self, which: Which) -> usize {
        self.shared.each(which, |connection| connection.link.lose_the_server.notify_one())
    }

    /// How many connections are open.
    pub fn count(&self, which: Which) -> usize {
        self.shared.each(which, |_| {})
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut(Which::All);
    }
}

impl Shared {
    fn each(&self, which: Which, act: impl Fn(&Connection)) -> usize {
        let mut connections = self.connections.lock().unwrap();
        connections.retain(|connection| !connection.task.is_finished());
        let chosen = connections.iter().filter(|connection| connection.link.is_in(which));
        chosen.map(act).count()
    }
}

impl Link {
    fn is_in(&self, which: Which) -> bool {
        match which {
            Which::All => true,
            Which::Tracking => self.is_tracking.load(SeqCst),
            Which::Servers => self.is_of_a_server.load(SeqCst),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if shared.rules.borrow().refusing {
            continue;
        }
        let link = Arc::<Link>::default();
        let serving = serve(client, shared.target, link.clone(), shared.rules.subscribe());
        // Under the lock, so that a cut either finds the connection or came before it.
        let mut connections = shared.connections.lock().unwrap();
        connections.retain(|connection| !connection.task.is_finished());
        connections.push(Connection { link, task: tokio::spawn(serving).abort_handle() });
    }
}

async fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    link: Arc<Link>,
    rules: watch::Receiver<Rules>,
) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        () = carry::both(&mut client, server, &link, rules) => {}
        () = link.lose_the_server.notified() => carry::swallow(&mut client).await,
    }
}
