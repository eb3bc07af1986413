//! Work that is done for many requests at once, such as one read of what several miss.

use std::future::Future;

use opentelemetry::{
    Context,
    trace::{FutureExt as _, SpanContext, TraceContextExt as _},
};

/// So many links has a span at most.
const MOST: usize = 128;

/// The traced requests that something is done for.
#[derive(Debug, Default)]
pub struct Behalf(Vec<SpanContext>);

/// Those beside the one that the work's spans are in: the spans have links to them.
pub(super) struct Others(pub(super) Vec<SpanContext>);

impl Behalf {
    /// The request under way joins, if it is traced.
    pub fn join(&mut self) {
        if self.0.len() < MOST
            && let Some(request) = super::current()
        {
            self.0.push(request);
        }
    }

    /// Does the work within the first of them.
    pub async fn around<T>(mut self, work: impl Future<Output = T>) -> T {
        if self.0.is_empty() {
            return work.await;
        }
        let others = Others(self.0.split_off(1));
        let first = self.0.into_iter().next().unwrap_or(SpanContext::NONE);
        let context = Context::new().with_value(others).with_remote_span_context(first);
        work.with_context(context).await
    }
}
