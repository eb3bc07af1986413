//! What a service tells of itself at `GET /metrics`, for Prometheus.
//!
//! Names and units follow the Prometheus conventions: base units in the name, `_total`
//! on what only rises. A label has a few values that are known beforehand: a method is one
//! of the contract, and nothing that a caller sends becomes one. No token, no id and no
//! address is in any of it.
//!
//! | module | what it counts |
//! |---|---|
//! | `calls` | calls of each RPC, by code and duration |
//! | `pages` | requests of each route of HTTP, by status and duration |
//! | `times` | a histogram of durations that many threads fill |
//! | `store` | round trips to the store, as a decorator over it |
//! | `process` | memory, processor time and files of the process |
//! | `exposition` | writing families with labels |
//! | `plain` | the same for who does not read OpenMetrics |
//!
//! To add a metric: register it, or a collector that reads it at the scrape, and name it in
//! `tests/tests/metrics.rs`.

mod calls;
mod exposition;
mod pages;
mod plain;
mod process;
mod store;
mod times;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text, registry::Registry};

pub use self::{
    calls::{Call, Calls, Counted, Tally, status_of},
    exposition::{Encoder, NO_LABELS, counter, gauge, histogram},
    pages::Pages,
    store::{MeasuredStore, StoreTimes},
    times::Times,
};
use crate::trace::Traces;
pub use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::Counter, gauge::Gauge},
};

/// The text format of OpenMetrics 1.0, which Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What everybody else reads.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of one service.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// Those that every service has.
    pub fn new(service: &'static str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process::here()));
        let build = Gauge::<i64>::default();
        build.set(1);
        let version = env!("CARGO_PKG_VERSION");
        registry
            .sub_registry_with_labels(
                [("service", service), ("version", version)]
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into())),
            )
            .register("tessera_build_info", "Which service this is, and its version", build);
        Self(registry)
    }

    /// Adds what is worked out at each scrape.
    pub fn collect(&mut self, collector: impl Collector) {
        self.0.register_collector(Box::new(collector));
    }

    /// Adds what became of the spans, where there are any.
    pub fn collect_traces(&mut self, traces: &Traces) {
        if let Some(sent) = traces.sent() {
            self.collect(sent);
        }
    }

    /// Where to add single metrics.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.0
    }

    /// The text of one scrape.
    ///
    /// # Errors
    /// When a collector fails to write.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// `GET /metrics`.
pub fn route(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(move |asked: HeaderMap| std::future::ready(page(&metrics, &asked))))
}

fn page(metrics: &Metrics, asked: &HeaderMap) -> Response {
    let accepts = asked.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_open = accepts.flat_map(|list| list.split(',')).any(|one| {
        one.split(';').next().is_some_and(|kind| kind.trim() == "application/openmetrics-text")
    });
    match metrics.text() {
        Ok(text) if is_open => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Ok(text) => {
            let text = plain::of_openmetrics(&text);
            ([(header::CONTENT_TYPE, PLAIN)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_says_what_it_is_and_since_when_it_runs() {
        let text = Metrics::new("tester").text().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let build = format!("tessera_build_info{{service=\"tester\",version=\"{version}\"}} 1\n");
        assert!(text.contains(&build), "{text}");
        for name in ["process_start_time_seconds ", "process_resident_memory_bytes "] {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            assert!(line.parse::<f64>().unwrap() > 0.0, "{name}{line}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
