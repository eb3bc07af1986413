//! The thread that sends spans to the collector, with a runtime of its own: whatever the
//! collector does, no request waits for it.
//!
//! A batch that the collector does not take is tried again until it does, while the queue
//! fills, and then drops what comes. What the collector refuses for good is lost. The log
//! tells when that begins and when it ends, once each.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use opentelemetry_proto::{
    tonic::collector::trace::v1::{
        ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::Resource;
use tessera_shared::config::TracesConfig;
use tokio::{runtime::Builder, sync::watch, time};
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::queue::Queue;
use crate::ServeError;

/// The longest that a span waits for others.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the collector may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a connection to it may take.
const CONNECT: Duration = Duration::from_secs(5);
/// After a failed try, and at most after many.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// How long the end of the process waits for the collector.
const END: Duration = Duration::from_secs(2);

/// The thread, as the rest of the process knows it.
#[derive(Debug)]
pub(super) struct Exporter {
    /// Told when nothing more will come. Its drop says so too.
    closing: watch::Sender<bool>,
    /// Closed when the thread has ended.
    ended: watch::Receiver<()>,
}

impl Exporter {
    /// Starts it.
    ///
    /// # Errors
    /// When the collector's authorities can't be used, or there can be no thread.
    pub(super) fn start(
        config: &TracesConfig,
        resource: &Resource,
        queue: Arc<Queue>,
    ) -> Result<Self, ServeError> {
        let (endpoint, resource) = (endpoint(config)?, resource.into());
        let (closing, told) = watch::channel(false);
        let (running, ended) = watch::channel(());
        let run = move || -> io::Result<()> {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = TraceServiceClient::new(endpoint.connect_lazy());
                Sender { client, resource, queue, told, is_taken: true, lost: 0 }.run().await;
            });
            drop(running);
            Ok(())
        };
        let run = move || {
            if let Err(error) = run() {
                tracing::error!(%error, "no span is sent: the thread for them has no runtime");
            }
        };
        std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(run)
            .map_err(ServeError::Thread)?;
        Ok(Self { closing, ended })
    }

    /// Waits until all is sent, for [`END`] at most.
    pub(super) async fn end(&self, queue: &Queue) {
        self.closing.send_replace(true);
        let mut ended = self.ended.clone();
        let in_time = time::timeout(END, async { while ended.changed().await.is_ok() {} }).await;
        if in_time.is_err() {
            let waiting = queue.len();
            tracing::warn!(
                spans.queued = waiting,
                "the trace collector took too long at the end; the last spans are lost"
            );
        }
    }
}

fn endpoint(config: &TracesConfig) -> Result<Endpoint, ServeError> {
    let endpoint = Endpoint::from_shared(config.endpoint.clone())
        .map_err(|error| ServeError::Collector(error.to_string()))?;
    // A connection that nothing comes back on is given up, and made anew.
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(ANSWER)
        .keep_alive_timeout(CONNECT);
    let Some(file) = &config.ca_file else { return Ok(endpoint) };
    let wrong = |error: &dyn std::fmt::Display| ServeError::TlsFile {
        setting: "otlp-ca-file",
        file: file.clone(),
        what: error.to_string(),
    };
    let authorities = std::fs::read(file).map_err(|error| wrong(&error))?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities));
    endpoint.tls_config(tls).map_err(|error| wrong(&error))
}

struct Sender {
    client: TraceServiceClient<Channel>,
    resource: ResourceAttributesWithSchema,
    queue: Arc<Queue>,
    told: watch::Receiver<bool>,
    /// Whether the collector took the last batch.
    is_taken: bool,
    /// Spans that it did not take at the end.
    lost: u64,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let last = tokio::select! {
                () = time::sleep(INTERVAL) => false,
                () = self.queue.batch_is_full() => false,
                () = closing(&mut self.told) => true,
            };
            loop {
                let spans = self.queue.take();
                if spans.is_empty() {
                    break;
                }
                let count = spans.len() as u64;
                let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
                self.send(ExportTraceServiceRequest { resource_spans }, count).await;
            }
            if last {
                break;
            }
        }
        if self.lost > 0 {
            let lost = self.lost;
            tracing::warn!(spans.lost = lost, "the trace collector did not take the last spans");
        }
    }

    /// Sends a batch, as often as it takes.
    async fn send(&mut self, batch: ExportTraceServiceRequest, count: u64) {
        let [mut pause, longest] = PAUSES;
        loop {
            let is_last = *self.told.borrow();
            match self.try_once(batch.clone()).await {
                Ok(refused) => {
                    let fates = &self.queue.fates;
                    fates.sent.fetch_add(count.saturating_sub(refused), Relaxed);
                    fates.refused.fetch_add(refused, Relaxed);
                    return self.taken();
                }
                Err(status) => {
                    self.not_taken(&status);
                    if !is_passing(status.code()) {
                        self.queue.fates.refused.fetch_add(count, Relaxed);
                        return;
                    }
                    if is_last {
                        self.lost += count;
                        return;
                    }
                }
            }
            tokio::select! {
                () = time::sleep(pause) => {}
                () = closing(&mut self.told) => {}
            }
            pause = longest.min(pause * 2);
        }
    }

    /// How many spans of the batch the collector did not want.
    async fn try_once(&mut self, batch: ExportTraceServiceRequest) -> Result<u64, Status> {
        let late = |_| Status::deadline_exceeded("the collector does not answer");
        let answer = time::timeout(ANSWER, self.client.export(batch)).await.map_err(late)??;
        let partial = answer.into_inner().partial_success;
        Ok(partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0)))
    }

    fn taken(&mut self) {
        if !std::mem::replace(&mut self.is_taken, true) {
            tracing::info!("the trace collector takes spans again");
        }
    }

    fn not_taken(&mut self, status: &Status) {
        self.queue.fates.failed_tries.fetch_add(1, Relaxed);
        if std::mem::replace(&mut self.is_taken, false) {
            let (code, cause) = (status.code(), status.message());
            tracing::warn!(
                ?code,
                cause,
                "the trace collector takes no spans; requests go on, and spans that find no room are dropped until it does"
            );
        }
    }
}

async fn closing(told: &mut watch::Receiver<bool>) {
    // An error says that nobody is there any more who could send a span.
    let _ = told.wait_for(|closing| *closing).await;
}

/// Whether a later try may succeed (OTLP, "Failures" of OTLP/gRPC).
const fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            // What breaks before the collector has answered.
            | Code::Unknown
    )
}
