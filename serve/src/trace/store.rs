//! The spans of round trips to the store: each within the request that it is made for.
//! What no traced request asks for has none.

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, Status, TraceContextExt as _},
};
use opentelemetry_sdk::trace::Span;

use super::{Traces, behalf::Others};

/// What makes them.
#[derive(Clone, Debug, Default)]
pub struct StoreSpans {
    traces: Traces,
    system: &'static str,
}

impl StoreSpans {
    /// Spans of the store with this URL.
    pub fn new(traces: Traces, url: &str) -> Self {
        let system = if url.starts_with("embedded:") { "redb" } else { "redis" };
        Self { traces, system }
    }

    /// A round trip begins. Nothing is told of what it asks for but the kind of question.
    pub(crate) fn begin(&self, operation: &'static str) -> Option<StoreSpan> {
        let tracing = self.traces.0.as_ref()?;
        Context::map_current(|context| {
            if !context.has_active_span() {
                return None;
            }
            let attributes = vec![
                KeyValue::new("db.system", self.system),
                KeyValue::new("db.operation.name", operation),
            ];
            let name = format!("store {operation}").into();
            let mut span = tracing.begin(name, SpanKind::Client, attributes, context);
            for other in context.get::<Others>().into_iter().flat_map(|others| &others.0) {
                span.add_link(other.clone(), Vec::new());
            }
            Some(StoreSpan { span, outcome: Err("cancelled") })
        })
    }
}

/// A round trip under way. One that is dropped before its end was given up.
#[derive(Debug)]
pub(crate) struct StoreSpan {
    span: Span,
    outcome: Result<(), &'static str>,
}

impl StoreSpan {
    /// The round trip ended so, an error by its name.
    pub(crate) fn end(mut self, outcome: Result<(), &'static str>) {
        self.outcome = outcome;
    }
}

impl Drop for StoreSpan {
    fn drop(&mut self) {
        if let Err(error) = self.outcome {
            self.span.set_attribute(KeyValue::new("error.type", error));
            self.span.set_status(Status::error(""));
        }
        self.span.end();
    }
}
