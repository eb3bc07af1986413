//! Spans that wait to be sent. There is room for so many: what comes when it is full is
//! dropped, and counted. To put one in takes a lock for some nanoseconds, and wakes nobody
//! but when a batch is full.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use tokio::sync::Notify;

use crate::metrics::{Collector, DescriptorEncoder, NO_LABELS, counter, gauge};

/// Spans that may wait; one takes about a kilobyte.
const MOST: usize = 4_096;
/// Spans of one batch at most.
pub(super) const BATCH: usize = 512;

/// The spans that wait, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Vec<SpanData>>,
    batch_is_full: Notify,
    pub(super) fates: Fates,
}

/// How many spans ended how.
#[derive(Debug, Default)]
pub(super) struct Fates {
    /// The collector took them.
    pub(super) sent: AtomicU64,
    /// The collector answered that it does not want them.
    pub(super) refused: AtomicU64,
    /// The queue was full.
    pub(super) dropped: AtomicU64,
    /// Tries to send a batch that failed.
    pub(super) failed_tries: AtomicU64,
}

impl Queue {
    /// Resolves when there is a whole batch.
    pub(super) async fn batch_is_full(&self) {
        self.batch_is_full.notified().await;
    }

    /// The oldest, a batch at most.
    pub(super) fn take(&self) -> Vec<SpanData> {
        let mut waiting = self.lock();
        let taken = waiting.len().min(BATCH);
        waiting.drain(..taken).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn put(&self, span: SpanData) {
        let mut waiting = self.lock();
        if waiting.len() >= MOST {
            drop(waiting);
            self.fates.dropped.fetch_add(1, Relaxed);
            return;
        }
        waiting.push(span);
        let is_full = waiting.len() == BATCH;
        drop(waiting);
        if is_full {
            self.batch_is_full.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SpanData>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the tracer gives each span to that has ended.
#[derive(Debug)]
pub(super) struct Filling(pub(super) Arc<Queue>);

impl SpanProcessor for Filling {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.put(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What became of the spans, for the metrics.
#[derive(Debug)]
pub(crate) struct Sent(pub(super) Arc<Queue>);

impl Collector for Sent {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Fates { sent, refused, dropped, failed_tries } = &self.0.fates;
        let spans = [("sent", sent), ("refused", refused), ("dropped", dropped)];
        let spans = spans.map(|(result, count)| ([("result", result)], count.load(Relaxed)));
        let help = "Spans that the collector took (sent) or did not want (refused), and those for which the queue had no room (dropped)";
        counter(&mut encoder, "tessera_trace_spans", help, spans)?;
        let tries = [(NO_LABELS, failed_tries.load(Relaxed))];
        let help = "Times that the collector did not take a batch of spans";
        counter(&mut encoder, "tessera_trace_failed_exports", help, tries)?;
        let waiting = [(NO_LABELS, self.0.len() as f64)];
        gauge(&mut encoder, "tessera_trace_queued_spans", "Spans that wait to be sent", waiting)
    }
}
