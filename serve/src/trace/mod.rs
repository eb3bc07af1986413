//! Traces: which request took how long, and what it asked the store, told to a collector
//! over OTLP.
//!
//! Off, they cost a look at whether they are on. On, it is decided before anything is
//! made whether a request is traced: its caller's `sampled` flag says so, or, where it sent
//! no trace context, one in so many is. What is not sampled makes no span and carries no
//! context. No span holds a token, an id, a name or a key: what its attributes may hold is
//! written in this module alone.
//!
//! | module | what lives there |
//! |---|---|
//! | `parent` | the caller's trace context, as W3C writes it |
//! | `ratio` | one in so many |
//! | `rpc`, `route` | the spans of requests, gRPC and HTTP |
//! | `store` | the spans of round trips to the store |
//! | `behalf` | work that is done for many requests at once |
//! | `queue`, `export` | spans that wait, and the thread that sends them |
//!
//! Names and attributes are those of OpenTelemetry's semantic conventions, version 1.27. To
//! add a span: begin it by `Tracing::begin`, and test in `tests/tests/traces.rs` what is in it.

mod behalf;
mod export;
mod parent;
mod queue;
mod ratio;
mod route;
mod rpc;
mod store;

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use axum::http::HeaderMap;
use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanKind, TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    resource::EnvResourceDetector,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};
use ring::rand::{SecureRandom, SystemRandom};
use tessera_shared::config::TracesConfig;

pub(crate) use self::queue::Sent;
pub use self::{
    behalf::Behalf,
    parent::Parent,
    route::TracedRoutes,
    rpc::{RpcSpan, TracedCalls},
    store::StoreSpans,
};
use self::{export::Exporter, queue::Queue, ratio::Ratio};
use crate::ServeError;

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.27.0";

/// The traces of one service, or that there are none.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    tracer: SdkTracer,
    ratio: Ratio,
    queue: Arc<Queue>,
    exporter: Exporter,
}

impl Traces {
    /// Those of the service with this name, such as `tessera-verifier`; `None`: none.
    ///
    /// # Errors
    /// When the collector's authorities can't be used, or a thread can't be started.
    pub fn of(config: Option<&TracesConfig>, service: &'static str) -> Result<Self, ServeError> {
        let Some(config) = config else { return Ok(Self(None)) };
        let queue = Arc::new(Queue::default());
        let resource = resource(service);
        let exporter = Exporter::start(config, &resource, queue.clone())?;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue::Filling(queue.clone()))
            // What is not to be sampled never becomes a span.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        let scope = InstrumentationScope::builder("tessera")
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(SCHEMA)
            .build();
        let tracer = provider.tracer_with_scope(scope);
        let ratio = Ratio::of(config.sample_ratio);
        Ok(Self(Some(Arc::new(Tracing { tracer, ratio, queue, exporter }))))
    }

    /// Whether there may be any.
    #[inline]
    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// What came of the spans, for the metrics.
    pub(crate) fn sent(&self) -> Option<Sent> {
        self.0.as_ref().map(|tracing| Sent(tracing.queue.clone()))
    }

    /// Sends what is still waiting, for two seconds at most.
    pub async fn end(&self) {
        if let Some(tracing) = &self.0 {
            tracing.exporter.end(&tracing.queue).await;
        }
    }
}

impl Tracing {
    /// Whether a request with these headers is traced, and under which parent.
    fn sampled(&self, headers: &HeaderMap) -> Option<Option<SpanContext>> {
        self.decide(Parent::of(headers))
    }

    fn decide(&self, parent: Parent) -> Option<Option<SpanContext>> {
        match parent {
            Parent::Sampled(parent) => Some(Some(parent)),
            Parent::Unsampled => None,
            Parent::None => self.ratio.picks().then_some(None),
        }
    }

    /// The span of a request, as the context in which the request is answered.
    fn request(
        &self,
        name: String,
        attributes: Vec<KeyValue>,
        parent: Option<SpanContext>,
    ) -> Context {
        let outer = Context::new();
        let outer = match parent {
            Some(parent) => outer.with_remote_span_context(parent),
            None => outer,
        };
        outer.with_span(self.begin(name.into(), SpanKind::Server, attributes, &outer))
    }

    fn begin(
        &self,
        name: Cow<'static, str>,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
        within: &Context,
    ) -> Span {
        use opentelemetry::trace::Tracer as _;
        let builder = self.tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
        builder.start_with_context(&self.tracer, within)
    }
}

/// The trace of the request under way, if it is traced.
pub(crate) fn current() -> Option<SpanContext> {
    Context::map_current(|context| {
        context.has_active_span().then(|| context.span().span_context().clone())
    })
}

/// Tells the span of the request under way, if it is traced, the id that is in the log.
pub(crate) fn note_request(id: &str) {
    Context::map_current(|context| {
        if context.has_active_span() {
            context.span().set_attribute(KeyValue::new("request.id", id.to_owned()));
        }
    });
}

/// Who tells: what `OTEL_RESOURCE_ATTRIBUTES` says of that holds.
fn resource(service: &'static str) -> Resource {
    let own = [
        KeyValue::new("service.name", service),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance()),
    ];
    let own = Resource::builder_empty().with_attributes(own);
    own.with_detector(Box::new(EnvResourceDetector::new())).build()
}

/// A random UUID (RFC 9562, section 5.4): another for each start.
fn instance() -> String {
    let mut random = [0; 16];
    let _ = SystemRandom::new().fill(&mut random);
    let bits = u128::from_be_bytes(random) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let mut id = String::with_capacity(36);
    for (place, byte) in bits.to_be_bytes().iter().enumerate() {
        let hyphen = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
        let _ = write!(id, "{hyphen}{byte:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_a_uuid_of_its_own() {
        let id = instance();
        let parts: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert!(id[14..].starts_with('4') && "89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, instance());
    }

    #[test]
    fn without_a_collector_nothing_is_traced_and_nothing_is_counted() {
        let traces = Traces::of(None, "tester").unwrap();
        assert!(!traces.are_on() && traces.sent().is_none());
    }
}
