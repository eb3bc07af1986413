//! How long a call may take: as long as its caller waits, and never longer than
//! [`CALL_TIMEOUT`].

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{HeaderMap, Request, Response};
use tonic::{Status, body::Body};
use tower::Service;

use crate::CALL_TIMEOUT;

const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The caller's deadline ("gRPC over HTTP2", `grpc-timeout`: up to eight digits and a
/// unit), but never more than our own. One that can't be read is passed over.
pub fn time_allowed(headers: &HeaderMap) -> Duration {
    let asked = headers.get(GRPC_TIMEOUT).and_then(|value| value.to_str().ok());
    asked.and_then(timeout_of).map_or(CALL_TIMEOUT, |asked| asked.min(CALL_TIMEOUT))
}

fn timeout_of(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// What a call that took too long is told.
pub fn exceeded() -> Status {
    Status::deadline_exceeded("the call took too long")
}

/// A service whose calls end in time.
#[derive(Clone, Debug)]
pub struct Timed<S>(pub S);

impl<S, B> Service<Request<B>> for Timed<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let longest = time_allowed(request.headers());
        let answer = self.0.call(request);
        Box::pin(async move {
            match tokio::time::timeout(longest, answer).await {
                Ok(answer) => answer,
                Err(_) => Ok(exceeded().into_http()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_when_its_caller_stops_to_wait_and_at_our_own_limit_at_the_latest() {
        for (asked, longest) in [(Some("20m"), Duration::from_millis(20)), (None, CALL_TIMEOUT)] {
            let never = tower::service_fn(|_: Request<()>| {
                std::future::pending::<Result<Response<Body>, std::convert::Infallible>>()
            });
            let mut request = Request::new(());
            if let Some(asked) = asked {
                request.headers_mut().insert(GRPC_TIMEOUT, asked.parse().unwrap());
            }
            let begun = tokio::time::Instant::now();
            let answer = Timed(never).call(request).await.unwrap();
            assert_eq!(answer.headers()["grpc-status"], "4");
            assert!((longest..longest * 2).contains(&begun.elapsed()));
        }
    }

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        for (text, time) in [
            ("1H", Some(Duration::from_hours(1))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("20m", Some(Duration::from_millis(20))),
            ("0S", Some(Duration::ZERO)),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("1s", None),
            ("-1S", None),
            ("1é", None),
        ] {
            assert_eq!(timeout_of(text), time, "{text}");
        }
    }
}
