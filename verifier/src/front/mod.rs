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
//! | `message` | gRPC's framing of one message, in and out |
//! | `opening` | the time that a connection has to open |
//! | `workers` | threads, and what each is at |

mod call;
mod message;
mod opening;
mod workers;

use std::{future::Future, io, sync::Arc, time::Duration};

use tessera_serve::{ServeError, tls::Acceptor};
use tokio::net::TcpListener;
use tonic::service::Routes;

pub(crate) use self::call::time_allowed;
use self::workers::Workers;
use crate::service::Api;

/// What a connection is served with.
pub(crate) struct Service {
    pub(crate) api: Api,
    /// Envoy's authorization, health and reflection.
    pub(crate) routes: Routes,
    pub(crate) tls: Option<Acceptor>,
}

/// After a failed accept: the process is out of file descriptors, and an attempt at once
/// would fail too.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves on `threads` threads until `shutdown`, then finishes what is under way, for at
/// most `drain`.
///
/// # Errors
/// When a thread can't be started.
pub(crate) async fn serve(
    service: Service,
    listener: TcpListener,
    threads: usize,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) -> Result<(), ServeError> {
    let workers = Workers::start(Arc::new(service), threads).map_err(ServeError::Thread)?;
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) => workers.give(stream),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(drain, workers.end()).await.is_err() {
        tracing::warn!(drain_s = drain.as_secs(), "calls still under way are cut off");
    }
    Ok(())
}

/// The caller was gone before it was served.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
