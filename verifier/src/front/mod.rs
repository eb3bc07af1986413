//! How the verifier listens: connections are spread over threads, each with a runtime
//! of its own, and each call goes to the hot path first.
//!
//! A runtime of one thread has no work to steal and wakes nobody: on one core it answers
//! about three times as many calls as one that is made for many. A connection stays on
//! its thread; a new one goes to the thread that has the fewest, so that callers with
//! few long-lived connections fill all cores too.
//!
//! | module | what lives there |
//! |---|---|
//! | `call` | one call: the hot path, the ordinary path, everything else by tonic |
//! | `buffered` | how many bytes of requests are held while they are read |
//! | `message` | gRPC's framing of one message, in and out |
//! | `workers` | threads, and what each is at |

mod buffered;
mod call;
mod message;
mod workers;

use std::{future::Future, sync::Arc, time::Duration};

use tessera_serve::{
    ServeError,
    accept::{Gate, accept},
    metrics::Calls,
    room::Room,
    trace::Traces,
    unread::Budget,
};
use tokio::net::TcpListener;
use tonic::service::Routes;

pub(crate) use self::call::VERIFY;
use self::workers::Workers;
use crate::{callers::Callers, service::Api};

/// What a connection is served with.
pub(crate) struct Service {
    pub(crate) api: Api,
    /// Envoy's authorization, health and reflection.
    pub(crate) routes: Routes,
    pub(crate) calls: Arc<Calls>,
    /// For calls that memory does not answer.
    pub(crate) room: Arc<Room>,
    pub(crate) callers: Callers,
    /// For the bytes of requests that are held while they are read, and of answers that are not
    /// read: memory for a request grows by doubling, so up to five times as much was seen in use.
    pub(crate) budget: Arc<Budget>,
    pub(crate) traces: Traces,
}

/// Serves whom `gate` lets in on `threads` threads until `shutdown`, then finishes what is under way, for at
/// most `drain`.
///
/// # Errors
/// When a thread can't be started.
pub(crate) async fn serve(
    service: Service,
    gate: Gate,
    listener: TcpListener,
    threads: usize,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) -> Result<(), ServeError> {
    let workers = Workers::start(Arc::new(service), gate, threads).map_err(ServeError::Thread)?;
    accept(&listener, shutdown, |stream, _| workers.give(stream)).await;
    drop(listener);
    workers.end(drain).await;
    Ok(())
}
