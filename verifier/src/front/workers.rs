//! The threads that serve, and the connections of each.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::service::service_fn;
use tessera_serve::{accept::Gate, connection::Peer, metrics::Tally, turn::InConnection};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
};

use super::{Service, VERIFY, buffered::Caller, call};

/// All threads.
pub(super) struct Workers {
    workers: Vec<Worker>,
    gate: Gate,
}

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    post: Arc<Post>,
    /// Ends the thread when dropped.
    _running: Option<tokio::sync::oneshot::Sender<()>>,
}

/// What calls are answered with on one thread. Each call holds it for a while, and
/// counts what it did: no other thread touches those counters.
pub(super) struct Post {
    pub(super) service: Arc<Service>,
    /// Calls of `Verify` that were answered from memory.
    pub(super) quick: Arc<Tally>,
}

impl Workers {
    /// With one thread it is the caller's runtime that serves.
    pub(super) fn start(service: Arc<Service>, gate: Gate, threads: usize) -> io::Result<Self> {
        let post = || {
            let quick = service.calls.tally(VERIFY);
            Arc::new(Post { service: service.clone(), quick })
        };
        let workers = if threads <= 1 {
            vec![Worker::here(post())]
        } else {
            (0..threads).map(|n| Worker::start(n, post())).collect::<io::Result<_>>()?
        };
        Ok(Self { workers, gate })
    }

    /// Serves a connection on the thread that has the fewest.
    pub(super) fn give(&self, stream: TcpStream) {
        let Some(worker) = self.workers.iter().min_by_key(|w| w.connections.load(Relaxed)) else {
            return;
        };
        let Some(connection) = self.gate.admit() else { return };
        let count = Count::one_more(&worker.connections);
        let post = worker.post.clone();
        // Off this runtime's reactor, on to the other's.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "a connection was lost"),
        };
        worker.runtime.spawn(async move {
            let _count = count;
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            let calls = |peer: &Peer| {
                let caller = Arc::new(Caller::new(post, peer));
                service_fn(move |request| call::answer(caller.clone(), request))
            };
            connection.serve(stream, InConnection::default(), calls).await;
        });
    }

    /// Asks every connection to finish, and waits until each has, for at most `deadline`.
    pub(super) async fn end(self, deadline: Duration) {
        self.gate.close(deadline).await;
    }
}

impl Worker {
    fn here(post: Arc<Post>) -> Self {
        let (runtime, connections) = (Handle::current(), Arc::default());
        Self { runtime, connections, post, _running: None }
    }

    fn start(number: usize, post: Arc<Post>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new()
            .name(format!("verify-{number}"))
            .spawn(move || drop(runtime.block_on(ended)))?;
        let connections = Arc::default();
        Ok(Self { runtime: handle, connections, post, _running: Some(running) })
    }
}

/// One fewer when dropped.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn one_more(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Relaxed);
        Self(all.clone())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
