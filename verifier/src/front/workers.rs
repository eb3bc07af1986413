//! The threads that serve, and the connections of each.

use std::{
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::{Builder, Handle},
    sync::{mpsc, watch},
};

use super::{Service, call, opening::Opening};

/// A caller that has not said its first word so long after connecting is let go.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// All threads.
pub(super) struct Workers {
    workers: Vec<Worker>,
    stop: watch::Sender<()>,
    /// Closed once nobody holds the other end: every connection does.
    gone: mpsc::Receiver<()>,
    seat: mpsc::Sender<()>,
    service: Arc<Service>,
}

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Ends the thread when dropped.
    _running: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Workers {
    /// With one thread it is the caller's runtime that serves.
    pub(super) fn start(service: Arc<Service>, threads: usize) -> io::Result<Self> {
        let workers = if threads <= 1 {
            vec![Worker::here()]
        } else {
            (0..threads).map(Worker::start).collect::<io::Result<_>>()?
        };
        let (seat, gone) = mpsc::channel(1);
        Ok(Self { workers, stop: watch::Sender::new(()), gone, seat, service })
    }

    /// Serves a connection on the thread that has the fewest.
    pub(super) fn give(&self, stream: TcpStream) {
        let Some(worker) = self.workers.iter().min_by_key(|w| w.connections.load(Relaxed)) else {
            return;
        };
        worker.connections.fetch_add(1, Relaxed);
        let connection = Connection {
            service: self.service.clone(),
            stop: self.stop.subscribe(),
            _seat: self.seat.clone(),
            _count: Count(worker.connections.clone()),
        };
        // Off this runtime's reactor, on to the other's.
        match stream.into_std() {
            Ok(stream) => drop(worker.runtime.spawn(connection.serve(stream))),
            Err(error) => tracing::debug!(%error, "a connection was lost"),
        }
    }

    /// Asks every connection to finish, and waits until each has.
    pub(super) async fn end(mut self) {
        drop(self.seat);
        self.stop.send_replace(());
        let _ = self.gone.recv().await;
    }
}

impl Worker {
    fn here() -> Self {
        Self { runtime: Handle::current(), connections: Arc::default(), _running: None }
    }

    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new()
            .name(format!("verify-{number}"))
            .spawn(move || drop(runtime.block_on(ended)))?;
        Ok(Self { runtime: handle, connections: Arc::default(), _running: Some(running) })
    }
}

/// One place less when dropped.
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

struct Connection {
    service: Arc<Service>,
    stop: watch::Receiver<()>,
    _seat: mpsc::Sender<()>,
    _count: Count,
}

impl Connection {
    async fn serve(self, stream: std::net::TcpStream) {
        let opened = async {
            let stream = TcpStream::from_std(stream)?;
            // Answers are small: waiting to fill a packet only delays them.
            stream.set_nodelay(true)?;
            stream.readable().await?;
            Ok::<_, io::Error>(stream)
        };
        let Ok(Ok(stream)) = tokio::time::timeout(FIRST_WORD, opened).await else { return };
        match &self.service.tls {
            None => self.serve_on(stream).await,
            Some(tls) => match tokio::time::timeout(FIRST_WORD, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.serve_on(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }

    async fn serve_on(&self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = self.service.clone();
        let calls = service_fn(|request| call::answer(service.clone(), request));
        let stream = TokioIo::new(Opening::new(stream, FIRST_WORD));
        let mut serving = pin!(limits().serve_connection(stream, calls));
        let mut stop = self.stop.clone();
        tokio::select! {
            ended = &mut serving => return tell(ended),
            _ = stop.changed() => serving.as_mut().graceful_shutdown(),
        }
        tell(serving.as_mut().await);
    }
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The limits that a hostile client meets.
fn limits() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(tessera_serve::STREAMS_PER_CONNECTION)
        .max_header_list_size(tessera_serve::HEADER_BYTES)
        .keep_alive_interval(tessera_serve::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(tessera_serve::KEEPALIVE_TIMEOUT);
    builder
}
