//! HTTP on connections of our own, with the same limits as gRPC: who connects takes a place,
//! shakes hands in time, and says in time what it wants.

use std::{future::Future, pin::pin, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, Version, header::HOST},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tower::{ServiceExt as _, layer::layer_fn};

use crate::{
    CALL_TIMEOUT, HEADER_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    accept::{Gate, Pass, accept},
    connection::{Connection, FIRST_WORD, OTHER_CALLS, Opened, at_the_age},
    opening::Opening,
    request::Identified,
    trace::{TracedRoutes, Traces},
    unread::Counted,
};

/// How long answers may take at the end.
const DRAIN: Duration = Duration::from_secs(2);
/// The head of a request is there so long after the answer before it, or the connection
/// ends. As long as nginx keeps one to a server by itself.
const NEXT_HEAD: Duration = Duration::from_secs(60);
/// Headers of a request of HTTP/1.1. A proxy passes its client's on, which may be more than a few,
/// and makes an outage of a request that is refused.
const HEADERS: usize = 256;
/// Requests in flight on one connection of HTTP/2; more wait, or come on another.
const STREAMS: u32 = 32;

/// Serves whom `gate` lets in until `shutdown`, and then what is under way; traced, if there
/// are `traces`.
pub async fn http(
    app: Router,
    listener: TcpListener,
    gate: Gate,
    traces: &Traces,
    shutdown: impl Future<Output = ()>,
) {
    let app = limited(app);
    let app = if traces.are_on() {
        let traces = traces.clone();
        app.layer(layer_fn(move |inner| TracedRoutes::new(Identified(inner), traces.clone())))
    } else {
        app.layer(layer_fn(Identified))
    };
    accept(&listener, shutdown, |stream, _| {
        let Some(connection) = gate.admit() else { return };
        tokio::spawn(serve(connection, stream, app.clone()));
    })
    .await;
    drop(listener);
    gate.close(DRAIN).await;
}

fn limited(app: Router) -> Router {
    app.layer(from_fn(in_time)).layer(from_fn(with_one_host))
}

/// RFC 9112, section 3.2: a server that went by another host than a proxy before it would
/// answer what was not asked.
async fn with_one_host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(HOST).iter().count();
    if request.version() == Version::HTTP_11 && hosts != 1 {
        return (StatusCode::BAD_REQUEST, "one Host header is needed\n").into_response();
    }
    next.run(request).await
}

/// A body that does not come, or an answer that takes too long, ends the request.
async fn in_time(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(CALL_TIMEOUT, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response()
    })
}

async fn serve(connection: Connection, stream: TcpStream, app: Router) {
    let Connection { pass, tls, max_age } = connection;
    match Opened::of(stream, tls).await {
        Some(Opened::Plain(stream)) => serve_on(pass, max_age, stream, app).await,
        Some(Opened::Tls(stream)) => serve_on(pass, max_age, *stream, app).await,
        None => {}
    }
}

async fn serve_on(
    mut pass: Pass,
    max_age: Option<Duration>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
) {
    let builder = limits();
    let stream = TokioIo::new(Opening::new(stream, FIRST_WORD));
    let unread = pass.unread();
    let answering = unread.clone();
    let calls = service_fn(move |request: hyper::Request<Incoming>| {
        let (answer, unread) = (app.clone().oneshot(request), answering.clone());
        async move { answer.await.map(|it| it.map(|body| Counted::new(body, unread))) }
    });
    let mut serving = pin!(builder.serve_connection(stream, calls));
    let limit = tokio::select! {
        _ = &mut serving => return,
        () = pass.asked_to_stop() => None,
        // Who reads no answer does not keep the connection for ever.
        () = at_the_age(max_age) => Some(CALL_TIMEOUT),
        () = unread.too_long() => Some(OTHER_CALLS),
    };
    serving.as_mut().graceful_shutdown();
    let ended = match limit {
        None => serving.as_mut().await,
        Some(limit) => tokio::time::timeout(limit, serving.as_mut()).await.unwrap_or(Ok(())),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of HTTP ended early");
    }
}

fn limits() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_HEAD)
        .max_headers(HEADERS)
        .max_buf_size(2 * HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::{
        body::Bytes,
        routing::{get, post},
    };
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::room::Room;

    /// What a caller gets that says `words` and nothing more, and after how long it is let go.
    async fn told(words: &[u8]) -> (String, Duration) {
        let app = Router::new()
            .route("/", get(|| async { "here\n" }))
            .route("/", post(|body: Bytes| async move { body }));
        let app = limited(app);
        let gate = Gate::http(None, Room::new(1), None);
        let (mut caller, stream) = duplex(1024);
        let serving = tokio::spawn(serve_on(gate.admit().unwrap().pass, None, stream, app));
        caller.write_all(words).await.unwrap();
        let begun = tokio::time::Instant::now();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        serving.await.unwrap();
        (answer, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_one_host_and_may_have_many_headers() {
        for (host, more, status) in [
            ("host: a\r\n", 0, "HTTP/1.1 200"),
            ("host: a\r\n", HEADERS - 2, "HTTP/1.1 200"),
            ("host: a\r\n", HEADERS, "HTTP/1.1 431"),
            ("", 0, "HTTP/1.1 400"),
            ("host: a\r\nhost: a\r\n", 0, "HTTP/1.1 400"),
        ] {
            let more: String = (0..more).map(|n| format!("x-{n}: a\r\n")).collect();
            let words = format!("GET / HTTP/1.1\r\n{host}{more}connection: close\r\n\r\n");
            let (answer, _) = told(words.as_bytes()).await;
            assert!(answer.starts_with(status), "{host:?}: {answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_go_on_is_let_go() {
        let real = Instant::now();
        for (words, status, limit) in [
            (&b"P"[..], "", FIRST_WORD),
            (b"PRI * HTTP/2.0\r\n", "", FIRST_WORD),
            (b"GET / HTTP/1.1\r\nhost: a\r\nx-slow", "", NEXT_HEAD),
            (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200", NEXT_HEAD),
            (b"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200", Duration::ZERO),
            (
                b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
                "HTTP/1.1 408",
                CALL_TIMEOUT,
            ),
        ] {
            let name = String::from_utf8_lossy(words);
            let (answer, after) = told(words).await;
            assert!(
                answer.starts_with(status) && answer.is_empty() == status.is_empty(),
                "{name}: {answer}"
            );
            assert!((limit..limit + Duration::from_secs(1)).contains(&after), "{name}: {after:?}");
        }
        assert!(real.elapsed() < CALL_TIMEOUT, "time does not really pass here");
    }
}
