//! Calls of each RPC: how many, with which code, how long.
//!
//! A call that is cut off, by its caller or by the end of the process, is counted as
//! CANCELLED. A stream counts when it begins.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Instant,
};

use axum::http::{HeaderMap, Request, Response};
use tonic::Code;
use tower::Service;

use super::{
    Collector, DescriptorEncoder,
    exposition::{counter, histogram},
    times::Times,
};

/// The names of the codes 0 to 16, as gRPC has them ("Status codes").
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// How many answers from memory one measured one stands for; a power of two.
const SAMPLED: u64 = 64;

/// What one thread counts of one RPC by itself: calls that end OK at once. Lines of the
/// processor's cache are fetched in pairs, so that two threads never share one.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    answered: AtomicU64,
    sampled: Times,
}

impl Tally {
    /// Whether the next call is one that is measured; then, the instant of its beginning.
    #[inline]
    pub fn begin(&self) -> Option<Instant> {
        let next = self.answered.load(Relaxed).wrapping_add(1);
        next.is_multiple_of(SAMPLED).then(Instant::now)
    }

    /// The call is answered.
    #[inline]
    pub fn end(&self, begun: Option<Instant>) {
        self.answered.fetch_add(1, Relaxed);
        if let Some(begun) = begun {
            self.sampled.observe(begun.elapsed());
        }
    }
}

#[derive(Debug)]
struct Method {
    service: String,
    name: String,
    codes: [AtomicU64; CODES.len()],
    times: Times,
    tallies: Mutex<Vec<Arc<Tally>>>,
}

impl Method {
    fn new(service: &str, name: &str) -> Self {
        Self {
            service: service.to_owned(),
            name: name.to_owned(),
            codes: Default::default(),
            times: Times::default(),
            tallies: Mutex::default(),
        }
    }

    fn tallies(&self) -> Vec<Arc<Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The calls of all RPCs.
#[derive(Debug)]
pub struct Calls {
    methods: Vec<Method>,
    places: HashMap<String, usize>,
}

impl Calls {
    /// Counts calls of these RPCs, each a path such as `/tessera.v1.VerifierService/Verify`;
    /// any other counts as one of the service `unknown`.
    pub fn of(paths: impl IntoIterator<Item = String>) -> Arc<Self> {
        let mut calls =
            Self { methods: vec![Method::new("unknown", "unknown")], places: HashMap::new() };
        for path in paths {
            if let Some((service, name)) = path.trim_start_matches('/').rsplit_once('/') {
                calls.places.insert(path.clone(), calls.methods.len());
                calls.methods.push(Method::new(service, name));
            }
        }
        Arc::new(calls)
    }

    /// A tally of the RPC with this path, for one thread.
    pub fn tally(&self, path: &str) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        if let Some(method) = self.methods.get(self.place(path)) {
            method.tallies.lock().unwrap_or_else(PoisonError::into_inner).push(tally.clone());
        }
        tally
    }

    /// How many calls all tallies of this RPC have counted.
    pub fn tallied(&self, path: &str) -> u64 {
        let tallies = self.methods.get(self.place(path)).map(Method::tallies).unwrap_or_default();
        tallies.iter().map(|tally| tally.answered.load(Relaxed)).sum()
    }

    /// A call of the RPC with this path begins.
    pub fn begin(self: &Arc<Self>, path: &str) -> Call {
        Call {
            place: self.place(path),
            calls: self.clone(),
            begun: Instant::now(),
            code: Code::Cancelled,
        }
    }

    /// The names of the service and the method of the RPC with this path.
    pub fn names(&self, path: &str) -> (&str, &str) {
        let method = self.methods.get(self.place(path));
        method.map_or(("unknown", "unknown"), |method| (&method.service, &method.name))
    }

    fn place(&self, path: &str) -> usize {
        self.places.get(path).copied().unwrap_or_default()
    }
}

/// A call under way. It is counted when dropped.
#[derive(Debug)]
pub struct Call {
    calls: Arc<Calls>,
    place: usize,
    begun: Instant,
    code: Code,
}

impl Call {
    /// The call ended with this code.
    pub fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(method) = self.calls.methods.get(self.place) else { return };
        method.times.observe(self.begun.elapsed());
        if let Some(count) = method.codes.get(self.code as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let tallies: Vec<_> = self.methods.iter().map(Method::tallies).collect();
        let counts = self.methods.iter().zip(&tallies).flat_map(|(method, tallies)| {
            let answered: u64 = tallies.iter().map(|tally| tally.answered.load(Relaxed)).sum();
            CODES.iter().zip(&method.codes).enumerate().filter_map(move |(code, (name, count))| {
                let more = if code == Code::Ok as usize { answered } else { 0 };
                let count = count.load(Relaxed) + more;
                // OK is there from the beginning, so that a first failure shows as a rate.
                (count > 0 || code == Code::Ok as usize).then(|| {
                    let [service, rpc] = labels(method);
                    ([service, rpc, ("grpc_code", *name)], count)
                })
            })
        });
        counter(&mut encoder, "tessera_grpc_requests", "Calls that ended, by gRPC code", counts)?;
        let times = self.methods.iter().zip(&tallies).map(|(method, tallies)| {
            let sampled = tallies.iter().map(|tally| (&tally.sampled, SAMPLED));
            (labels(method), std::iter::once((&method.times, 1)).chain(sampled).collect())
        });
        let help = "How long calls took in the service; of answers from memory one in 64 is measured and counted 64 times";
        histogram(&mut encoder, "tessera_grpc_request_duration_seconds", help, times)
    }
}

fn labels(method: &Method) -> [(&str, &str); 2] {
    [("grpc_service", &method.service), ("grpc_method", &method.name)]
}

/// The code of an answer by its headers: one that comes with a message has it in trailers
/// that are still to come, and is nearly always OK.
pub fn status_of(headers: &HeaderMap) -> Code {
    let code = headers.get("grpc-status").and_then(|value| value.to_str().ok());
    code.map_or(Code::Ok, |code| code.parse().map_or(Code::Unknown, Code::from_i32))
}

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    calls: Arc<Calls>,
}

impl<S> Counted<S> {
    /// Counts the calls of `inner`.
    pub fn new(inner: S, calls: Arc<Calls>) -> Self {
        Self { inner, calls }
    }
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = self.calls.begin(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            call.end(status_of(answer.headers()));
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFY: &str = "/tessera.v1.VerifierService/Verify";

    fn text(calls: &Arc<Calls>) -> String {
        let mut metrics = super::super::Metrics::new("tester");
        metrics.collect(calls.clone());
        metrics.text().unwrap()
    }

    #[test]
    fn a_path_that_is_no_method_never_becomes_a_label() {
        let calls = Calls::of([VERIFY.to_owned()]);
        calls.begin("/secret-in-a-path/x").end(Code::Unimplemented);
        let text = text(&calls);
        assert!(!text.contains("secret-in-a-path"), "{text}");
        let line = r#"tessera_grpc_requests_total{grpc_service="unknown",grpc_method="unknown",grpc_code="UNIMPLEMENTED"} 1"#;
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn what_threads_tally_is_in_the_sum_and_a_sample_stands_for_64() {
        let calls = Calls::of([VERIFY.to_owned()]);
        for tally in [calls.tally(VERIFY), calls.tally(VERIFY)] {
            for _ in 0..SAMPLED + 6 {
                let begun = tally.begin();
                tally.end(begun);
            }
        }
        calls.begin(VERIFY).end(Code::Ok);
        drop(calls.begin(VERIFY));
        assert_eq!(calls.tallied(VERIFY), 140);
        let text = text(&calls);
        let labels = r#"grpc_service="tessera.v1.VerifierService",grpc_method="Verify""#;
        for line in [
            format!(r#"tessera_grpc_requests_total{{{labels},grpc_code="OK"}} 141"#),
            format!(r#"tessera_grpc_requests_total{{{labels},grpc_code="CANCELLED"}} 1"#),
            format!("tessera_grpc_request_duration_seconds_count{{{labels}}} 130"),
        ] {
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }
}
