//! One connection of HTTP/2, with the limits that a hostile client meets.

use std::{error::Error, pin::pin, sync::Arc, time::Duration};

use http_body::Body;
use hyper::{
    body::Incoming, rt::bounds::Http2ServerConnExec, server::conn::http2, service::HttpService,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, rustls::pki_types::CertificateDer, server::TlsStream};

use crate::{
    CALL_TIMEOUT, HEADER_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAMS_PER_CONNECTION,
    accept::Pass, opening::Opening, room::Room, turn::Turns, unread::Unread,
};

/// A caller that has not said its first word so long after connecting is let go, and one
/// that has not shaken hands by then.
pub(crate) const FIRST_WORD: Duration = Duration::from_secs(10);

/// When a connection is closed since an answer on it was not read, its other calls have so long.
pub(crate) const OTHER_CALLS: Duration = Duration::from_secs(2);

/// A connection that has been let in.
pub struct Connection {
    /// That it has been.
    pub pass: Pass,
    /// What it shakes hands with.
    pub tls: Option<TlsAcceptor>,
    /// After how long its caller is asked to make a new one.
    pub max_age: Option<Duration>,
}

/// Who is at the other end, as far as the handshake tells.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The certificate that it showed, found to be of our authorities.
    pub certificate: Option<CertificateDer<'static>>,
    /// What it was answered and has not read.
    pub unread: Arc<Unread>,
    /// For its calls of health and reflection.
    pub exempt: Arc<Room>,
}

impl Connection {
    /// Serves the caller at the other end of `stream` with what `calls` makes for it, until
    /// it leaves, or until the gate closes or its time is over and its calls are answered.
    pub async fn serve<S, B, T>(self, stream: TcpStream, turns: T, calls: impl FnOnce(&Peer) -> S)
    where
        T: Turns,
        T::Executor: Http2ServerConnExec<S::Future, B>,
        S: HttpService<Incoming, ResBody = B>,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Self { pass, tls, max_age } = self;
        let unread = pass.unread();
        let exempt = Room::of_exempt_calls();
        match Opened::of(stream, tls).await {
            Some(Opened::Plain(stream)) => {
                let calls = calls(&Peer { certificate: None, unread: unread.clone(), exempt });
                serve_on(pass, max_age, &unread, stream, turns, calls).await;
            }
            Some(Opened::Tls(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let certificate = certificates.and_then(<[_]>::first).cloned();
                let certificate = certificate.map(|it| it.into_owned());
                let calls = calls(&Peer { certificate, unread: unread.clone(), exempt });
                serve_on(pass, max_age, &unread, *stream, turns, calls).await;
            }
            None => {}
        }
    }
}

/// A connection whose caller has begun to speak, after the handshake where there is one.
pub(crate) enum Opened {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Opened {
    /// `None`: the caller took too long, or left.
    pub(crate) async fn of(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Self> {
        let opened = async {
            // Answers are small: waiting to fill a packet only delays them.
            stream.set_nodelay(true)?;
            stream.readable().await
        };
        let Ok(Ok(())) = tokio::time::timeout(FIRST_WORD, opened).await else { return None };
        let Some(tls) = tls else { return Some(Self::Plain(stream)) };
        match tokio::time::timeout(FIRST_WORD, tls.accept(stream)).await {
            Ok(Ok(stream)) => return Some(Self::Tls(Box::new(stream))),
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
        None
    }
}

async fn serve_on<S, B, T>(
    mut pass: Pass,
    max_age: Option<Duration>,
    unread: &Unread,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    mut turns: T,
    calls: S,
) where
    T: Turns,
    T::Executor: Http2ServerConnExec<S::Future, B>,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let stream = TokioIo::new(Opening::new(stream, FIRST_WORD));
    let mut serving = pin!(limits(turns.executor()).serve_connection(stream, calls));
    let limit = tokio::select! {
        ended = turns.drive(serving.as_mut()) => return tell(ended),
        () = pass.asked_to_stop() => None,
        // A stream without an end, such as a health watch, does not keep it for ever.
        () = at_the_age(max_age) => Some(CALL_TIMEOUT),
        () = unread.too_long() => Some(OTHER_CALLS),
    };
    serving.as_mut().graceful_shutdown();
    let serving = turns.drive(serving);
    match limit {
        None => tell(serving.await),
        Some(limit) => tokio::time::timeout(limit, serving).await.map_or((), tell),
    }
}

pub(crate) async fn at_the_age(age: Option<Duration>) {
    match age {
        Some(age) => tokio::time::sleep(age).await,
        None => std::future::pending().await,
    }
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn limits<E: Clone>(executor: E) -> http2::Builder<E> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}
