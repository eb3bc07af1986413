//! How guarded requests were answered, for the metrics. To Envoy each answer is one of gRPC's
//! that is OK, be it a grant or an outage, so that the counts of calls do not tell.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tessera_serve::metrics::{Collector, DescriptorEncoder, counter};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker {
    /// Envoy, in `Check`.
    Envoy,
    /// A proxy, at `/verify`.
    Forward,
    /// A caller of `/introspect`: granted is that it was told of the token.
    Introspection,
}

const ASKERS: [&str; 3] = ["envoy", "forward", "introspection"];
const RESULTS: [&str; 6] =
    ["granted", "unauthenticated", "forbidden", "unavailable", "invalid", "error"];

/// The place among [`RESULTS`] of an answer with this status of HTTP. 500 is a fault of ours, or a
/// route that is wrongly configured; the log tells.
const fn place_of(status: u16) -> usize {
    match status {
        200..=299 => 0,
        401 => 1,
        403 => 2,
        408 | 503 => 3,
        500.. => 5,
        _ => 4,
    }
}

/// How often each answer was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuardAnswers(Arc<[[AtomicU64; RESULTS.len()]; ASKERS.len()]>);

impl GuardAnswers {
    /// An answer with this status of HTTP.
    pub(crate) fn count(&self, asker: Asker, status: u16) {
        let counts = self.0.get(asker as usize);
        if let Some(count) = counts.and_then(|counts| counts.get(place_of(status))) {
            count.fetch_add(1, Relaxed);
        }
    }
}

impl Collector for GuardAnswers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = ASKERS.iter().zip(&*self.0).flat_map(|(asker, counts)| {
            RESULTS.iter().zip(counts).map(move |(result, count)| {
                ([("face", *asker), ("result", *result)], count.load(Relaxed))
            })
        });
        let help = "Answers to proxies and introspections, by what they were";
        counter(&mut encoder, "tessera_verifier_guard_answers", help, counts)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::testing::{FakeStore, Running, ask_http};

    #[tokio::test]
    async fn what_proxies_are_answered_is_counted_by_route_and_by_result() {
        let running = Running::start(&["--introspection-scope", "cdn:prefetch"]).await;
        let bearer = format!("Bearer {}", running.store.put_token(7, |_| {}));
        let bearer = [("authorization", bearer.as_str())];
        let ask = async |path, headers: &[(&str, &str)]| {
            ask_http(running.http, "POST", path, headers, "token=x").await;
        };
        ask("/verify", &bearer).await;
        ask("/verify?scope=cdn:delete", &bearer).await;
        ask("/verify?scopes=cdn:purge", &bearer).await;
        ask("/verify", &[]).await;
        let form = ("content-type", "application/x-www-form-urlencoded");
        ask("/introspect", &[bearer[0], form]).await;
        running.store.cut();
        ask("/verify", &bearer).await;
        let text = running.get("/metrics").await;
        for (face, result) in [
            ("forward", "granted"),
            ("forward", "forbidden"),
            ("forward", "error"),
            ("forward", "unauthenticated"),
            ("forward", "unavailable"),
            ("introspection", "granted"),
        ] {
            let labels = format!(r#"{{face="{face}",result="{result}"}} 1"#);
            let line = format!("tessera_verifier_guard_answers_total{labels}");
            assert!(text.contains(&line), "{line}\n{text}");
        }
        let requests = r#"tessera_http_requests_total{http_route="/verify",http_code="503"} 1"#;
        assert!(text.contains(requests), "{text}");
    }

    #[tokio::test]
    async fn above_the_most_calls_what_would_wait_is_unavailable_and_the_rest_is_answered() {
        let store: Arc<FakeStore> = Arc::default();
        let running = Running::start_on(store.clone(), &["--max-concurrent-calls", "1"]).await;
        let bearer = |id| format!("Bearer {}", store.put_token(id, |_| {}));
        let (first, second) = (bearer(7), bearer(8));
        // More than ever come: who waits goes on waiting.
        store.gather(10);
        let http = running.http;
        let waiting = tokio::spawn(async move {
            ask_http(http, "GET", "/verify", &[("authorization", &first)], "").await
        });
        store.first_arrival().await;
        let refused = ask_http(http, "GET", "/verify", &[("authorization", &second)], "").await;
        assert!(refused.0.starts_with("http/1.1 503"), "{}", refused.0);
        for header in ["retry-after: 1\r", "cache-control: no-store\r"] {
            assert!(refused.0.contains(header), "{}", refused.0);
        }
        let answered = ask_http(http, "GET", "/verify", &[], "").await;
        assert!(answered.0.starts_with("http/1.1 401"), "{}", answered.0);
        assert!(!waiting.is_finished());
    }
}
