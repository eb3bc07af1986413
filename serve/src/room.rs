//! Room for so many at a time: connections, or calls that wait for something. Who finds
//! none is sent away at once, so that those inside are served in time.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{Request, Response};
use tessera_proto::v1::ErrorReason;
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::Service;

use crate::metrics::{Collector, DescriptorEncoder, NO_LABELS, counter, gauge};

/// Whose calls are never sent away for those of others: whether a service is overloaded must
/// not decide whether it is alive.
pub const EXEMPT: &str = "/grpc.";

/// Such calls of one connection at a time. A watch of health lasts, and anybody may begin one.
const EXEMPT_CALLS: usize = 64;

/// Room for so many.
#[derive(Debug)]
pub struct Room {
    most: usize,
    inside: AtomicUsize,
    let_in: AtomicU64,
    sent_away: AtomicU64,
}

impl Room {
    /// Room for `most`.
    pub fn new(most: usize) -> Arc<Self> {
        let (let_in, sent_away) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { most, inside: AtomicUsize::new(0), let_in, sent_away })
    }

    /// Room for one connection's calls of health and reflection.
    pub(crate) fn of_exempt_calls() -> Arc<Self> {
        Self::new(EXEMPT_CALLS)
    }

    /// A place, if there is one.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        // One more that is not let in is there for a moment; that takes nobody's place.
        if self.inside.fetch_add(1, Relaxed) < self.most {
            self.let_in.fetch_add(1, Relaxed);
            return Some(Place(self.clone()));
        }
        self.inside.fetch_sub(1, Relaxed);
        self.sent_away.fetch_add(1, Relaxed);
        None
    }

    /// What `answering` gives, at once, or in a place if it waits for something; `None`: there
    /// is none.
    pub async fn within<T>(self: &Arc<Self>, answering: impl Future<Output = T>) -> Option<T> {
        let mut answering = pin!(answering);
        let at_once = poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await;
        if let Poll::Ready(answer) = at_once {
            return Some(answer);
        }
        let _place = self.enter()?;
        Some(answering.await)
    }

    fn inside(&self) -> f64 {
        self.inside.load(Relaxed).min(self.most) as f64
    }

    fn sent_away(&self) -> u64 {
        self.sent_away.load(Relaxed)
    }
}

/// A place in a [`Room`], until dropped.
#[derive(Debug)]
pub struct Place(Arc<Room>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Relaxed);
    }
}

/// What a call is told for which there is no room. To try again at once would not help.
pub fn overloaded() -> Status {
    let reason = ErrorReason::Overloaded.as_str_name().trim_start_matches("ERROR_REASON_");
    let mut details = ErrorDetails::with_error_info(reason, "tessera.v1", []);
    details.set_retry_info(Some(Duration::from_millis(100)));
    let message = "too many calls under way here; retry at another replica, or later";
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// The rooms of a service, for its metrics.
#[derive(Debug)]
pub struct Rooms {
    /// For connections of gRPC.
    pub connections: Arc<Room>,
    /// For connections of HTTP.
    pub http: Arc<Room>,
    /// For calls under way.
    pub calls: Arc<Room>,
}

impl Collector for Rooms {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { connections, http, calls } = self;
        let of = |value| [(NO_LABELS, value)];
        let open = of(connections.inside());
        let help = "Connections of callers that are open";
        gauge(&mut encoder, "tessera_connections", help, open)?;
        let accepted = [(NO_LABELS, connections.let_in.load(Relaxed))];
        let help = "Connections of callers that were ever open";
        counter(&mut encoder, "tessera_accepted_connections", help, accepted)?;
        let refused = [(NO_LABELS, connections.sent_away())];
        let help = "Connections that were closed at once, since there were too many";
        counter(&mut encoder, "tessera_refused_connections", help, refused)?;
        let help = "Connections of HTTP that are open; the health listener's do not count";
        gauge(&mut encoder, "tessera_http_connections", help, of(http.inside()))?;
        let refused = [(NO_LABELS, http.sent_away())];
        let help = "Connections of HTTP that were closed at once, since there were too many";
        counter(&mut encoder, "tessera_refused_http_connections", help, refused)?;
        let help = "Calls under way; those that a verifier answers from memory never count";
        gauge(&mut encoder, "tessera_calls_in_flight", help, of(calls.inside()))?;
        let help = "Calls refused with RESOURCE_EXHAUSTED, and requests of proxies with 503, since too many were under way";
        counter(&mut encoder, "tessera_shed_calls", help, [(NO_LABELS, calls.sent_away())])
    }
}

/// A service that takes only so many calls at a time.
#[derive(Clone, Debug)]
pub struct Shed<S> {
    inner: S,
    room: Arc<Room>,
}

impl<S> Shed<S> {
    /// Takes as many calls as `room` has places.
    pub fn new(inner: S, room: Arc<Room>) -> Self {
        Self { inner, room }
    }
}

impl<S, B> Service<Request<B>> for Shed<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.uri().path().starts_with(EXEMPT) {
            return Box::pin(self.inner.call(request));
        }
        let Some(place) = self.room.enter() else {
            return Box::pin(std::future::ready(Ok(overloaded().into_http())));
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let _place = place;
            answer.await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_place_is_sent_away_until_one_is_free() {
        let room = Room::new(2);
        let (first, second) = (room.enter(), room.enter());
        assert!(first.is_some() && second.is_some());
        assert!(room.enter().is_none());
        drop(first);
        assert!(room.enter().is_some());
        drop(second);
        assert_eq!((room.inside(), room.sent_away()), (0.0, 1));
    }

    #[tokio::test]
    async fn what_waits_needs_a_place_and_what_is_there_at_once_does_not() {
        let room = Room::new(1);
        let place = room.enter();
        assert_eq!(room.within(std::future::ready(1)).await, Some(1));
        assert_eq!(room.within(tokio::task::yield_now()).await, None);
        drop(place);
        assert_eq!(room.within(tokio::task::yield_now()).await, Some(()));
        assert!(room.enter().is_some());
    }

    #[test]
    fn an_overload_says_so_and_when_to_retry() {
        let status = overloaded();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
        assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    }
}
