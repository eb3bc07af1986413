//! HTTP over TLS: connections that have shaken hands, for axum to serve.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::Listener;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::tls::Tls;

/// A caller that has not shaken hands by then is let go.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at a time; more callers wait in the kernel.
const MOST_HANDSHAKES: usize = 1024;

type Connected = (TlsStream<TcpStream>, SocketAddr);

/// Each caller shakes hands beside the others, so that one who is slow at it holds up
/// nobody.
pub(crate) struct TlsListener {
    listener: TcpListener,
    tls: Arc<Tls>,
    handshakes: JoinSet<Option<Connected>>,
}

impl TlsListener {
    pub(crate) fn new(listener: TcpListener, tls: Arc<Tls>) -> Self {
        Self { listener, tls, handshakes: JoinSet::new() }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connected {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connected)) = done {
                        return connected;
                    }
                }
                (stream, address) = Listener::accept(&mut self.listener),
                    if self.handshakes.len() < MOST_HANDSHAKES =>
                {
                    self.handshakes.spawn(shake_hands(self.tls.http(), stream, address));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
) -> Option<Connected> {
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some((stream, address)),
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
    None
}
