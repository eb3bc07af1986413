//! A gRPC server over tonic's services, on connections of our own.

use std::{convert::Infallible, future::Future, time::Duration};

use axum::http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use tokio::net::TcpListener;
use tonic::{body::Body, transport::server::TcpConnectInfo};
use tower::{Service, ServiceExt as _};

use crate::{
    accept::{Gate, accept},
    connection::Peer,
    room::{EXEMPT, overloaded},
    turn::InTasks,
    unread::Counted,
};

/// Serves whom `gate` lets in until `shutdown`, then finishes what is under way, for at
/// most `drain`. A call knows its caller's address by a [`TcpConnectInfo`] among its
/// extensions.
pub async fn grpc<S>(
    service: S,
    listener: TcpListener,
    gate: Gate,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    accept(&listener, shutdown, |stream, peer| {
        let Some(connection) = gate.admit() else { return };
        let info = TcpConnectInfo { local_addr: stream.local_addr().ok(), remote_addr: Some(peer) };
        let service = service.clone();
        let calls = |peer: &Peer| {
            let (unread, exempt) = (peer.unread.clone(), peer.exempt.clone());
            service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(info.clone());
                let is_exempt = request.uri().path().starts_with(EXEMPT);
                let (unread, exempt) = (unread.clone(), exempt.clone());
                let answer = service.clone().oneshot(request);
                async move {
                    let place = if is_exempt { exempt.enter() } else { None };
                    let answer = if is_exempt && place.is_none() {
                        overloaded().into_http()
                    } else {
                        answer.await?
                    };
                    let body = |body| Counted::new(body, unread).keeping(place);
                    Ok::<_, Infallible>(answer.map(body))
                }
            })
        };
        tokio::spawn(connection.serve(stream, InTasks, calls));
    })
    .await;
    drop(listener);
    gate.close(drain).await;
}
