//! The id that a request is known by in logs and to its caller: `x-request-id`.
//!
//! It is the caller's, if that is 1 to 64 letters, digits and hyphens, else one of our own.
//! What has any other character is not taken: our tokens all have one, so that none comes
//! into a log this way. The answer bears it in the same header.

use std::{
    fmt::Write as _,
    future::Future,
    pin::Pin,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use ring::rand::{SecureRandom, SystemRandom};
use tower::Service;
use tracing::{Instrument as _, Span, field};

use crate::trace;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

/// Sets the ids of this process apart from those of others. Without randomness they may
/// meet, and nothing is lost by that.
static PROCESS: LazyLock<u64> = LazyLock::new(|| {
    let mut random = [0; 8];
    let _ = SystemRandom::new().fill(&mut random);
    u64::from_be_bytes(random)
});
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A request's id.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The one that the caller gave, if it is one.
    #[inline]
    pub fn given(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(REQUEST_ID)?;
        let is_id = (1..=LONGEST).contains(&value.len())
            && value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        is_id.then(|| Self(value.clone()))
    }

    /// The one that the caller gave, or a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        Self::given(headers).unwrap_or_else(Self::made)
    }

    fn made() -> Self {
        let mut id = String::with_capacity(33);
        let _ = write!(id, "{:016x}-{:x}", *PROCESS, NUMBER.fetch_add(1, Relaxed));
        Self(HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("0")))
    }

    /// The id itself.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// What each line that the request logs bears, at whatever level: its id, and where it
    /// is traced the trace's. The trace is told the id.
    pub fn span(&self) -> Span {
        let id = self.as_str();
        trace::note_request(id);
        let trace = trace::current().map(|request| field::display(request.trace_id()));
        tracing::error_span!("request", request.id = id, trace.id = trace)
    }

    /// Tells it to the caller.
    #[inline]
    pub fn tell<B>(self, response: &mut Response<B>) {
        response.headers_mut().insert(REQUEST_ID, self.0);
    }
}

/// A service whose requests have ids.
#[derive(Clone, Debug)]
pub struct Identified<S>(pub S);

impl<S, B, R> Service<Request<B>> for Identified<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id = RequestId::of(request.headers());
        let span = id.span();
        let answer = span.in_scope(|| self.0.call(request));
        let answer = async move {
            let mut answer = answer.await?;
            id.tell(&mut answer);
            Ok(answer)
        };
        Box::pin(answer.instrument(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_if_it_can_hold_no_token() {
        let long = "a".repeat(65);
        for (given, is_taken) in [
            ("7f0c-Az9", true),
            (&long[1..], true),
            (&long, false),
            ("tessera_1_secret", false),
            ("a.b.c", false),
            ("a b", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(REQUEST_ID, given.parse().unwrap())]);
            let taken = RequestId::given(&headers);
            assert_eq!(taken.map(|id| id.0), is_taken.then(|| given.parse().unwrap()), "{given}");
            assert!(
                RequestId::given(&HeaderMap::from_iter([(REQUEST_ID, RequestId::of(&headers).0)]))
                    .is_some()
            );
        }
        assert_ne!(RequestId::made().0, RequestId::made().0);
    }
}
