//! A collector of traces: takes OTLP over gRPC and keeps what came. It can be frozen, refuse,
//! speak TLS, and be away.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use tokio::{sync::watch, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    transport::{Identity, Server, ServerTlsConfig},
};

use crate::{port, tls::Authority, watch::eventually};

/// What it does with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It takes it.
    Taking,
    /// It gives no answer.
    Frozen,
    /// It says UNAVAILABLE.
    Unavailable,
    /// It says INVALID_ARGUMENT: another try would be in vain.
    Refusing,
}

/// A running collector. It ends when dropped.
pub struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    mood: watch::Sender<Mood>,
    tries: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

/// A span, and who sent it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The attributes of the resource.
    pub resource: BTreeMap<String, String>,
    /// The span.
    pub span: Span,
}

impl Collector {
    /// One on a port of its own.
    pub fn start() -> Self {
        Self::start_at(port::free())
    }

    /// One at this address.
    pub fn start_at(address: SocketAddr) -> Self {
        Self::serve(address, Server::builder())
    }

    /// One that speaks TLS.
    pub fn start_tls(authority: &Authority) -> Self {
        let read = |path| std::fs::read(path).unwrap();
        let (certificate, key) = (authority.server_certificate(), authority.server_key());
        let identity = Identity::from_pem(read(certificate), read(key));
        let tls = ServerTlsConfig::new().identity(identity);
        Self::serve(port::free(), Server::builder().tls_config(tls).unwrap())
    }

    fn serve(address: SocketAddr, mut server: Server) -> Self {
        let (taken, tries) = (Arc::default(), Arc::default());
        let mood = watch::Sender::new(Mood::Taking);
        let taking =
            Taking { taken: Arc::clone(&taken), tries: Arc::clone(&tries), mood: mood.subscribe() };
        let server = server.add_service(TraceServiceServer::new(taking));
        let serving = tokio::spawn(async move { server.serve(address).await.unwrap() });
        Self { address, taken, mood, tries, serving }
    }

    /// For `--otlp-endpoint`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does from now on. A call that it has not answered is answered so.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How often it was asked to take something.
    pub fn tries(&self) -> u64 {
        self.tries.load(Ordering::SeqCst)
    }

    /// All spans that it took.
    pub fn spans(&self) -> Vec<Seen> {
        let taken = self.taken.lock().unwrap();
        let each = taken.iter().flat_map(|request| &request.resource_spans);
        each.flat_map(|of_one| {
            let resource = of_one.resource.as_ref().map_or(&[][..], |it| &it.attributes);
            let resource = resource.iter().map(|one| (one.key.clone(), text(one))).collect();
            let spans = of_one.scope_spans.iter().flat_map(|scope| &scope.spans);
            let seen =
                |span: &Span| Seen { resource: BTreeMap::clone(&resource), span: span.clone() };
            spans.map(seen).collect::<Vec<_>>()
        })
        .collect()
    }

    /// The bytes of all that it took.
    pub fn bytes(&self) -> Vec<u8> {
        self.taken.lock().unwrap().iter().flat_map(|request| request.encode_to_vec()).collect()
    }

    /// The spans of one trace, once there are `count`.
    pub async fn trace(&self, trace: &str, count: usize) -> Vec<Seen> {
        eventually(&format!("{count} spans of the trace {trace}"), || {
            let spans: Vec<_> =
                self.spans().into_iter().filter(|seen| seen.trace() == trace).collect();
            std::future::ready((spans.len() >= count).then_some(spans))
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Taking {
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    tries: Arc<AtomicU64>,
    mood: watch::Receiver<Mood>,
}

#[tonic::async_trait]
impl TraceService for Taking {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let mut mood = self.mood.clone();
        let mood = *mood.wait_for(|mood| *mood != Mood::Frozen).await.unwrap();
        match mood {
            Mood::Unavailable => Err(Status::unavailable("not now")),
            Mood::Refusing => Err(Status::invalid_argument("not these")),
            Mood::Taking | Mood::Frozen => {
                self.taken.lock().unwrap().push(request.into_inner());
                Ok(Response::new(ExportTraceServiceResponse::default()))
            }
        }
    }
}

impl Seen {
    /// The trace, in hexadecimal digits.
    pub fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// The span's own id.
    pub fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// The span that it is within; empty: none.
    pub fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// An attribute, as text; empty: it is not there.
    pub fn attribute(&self, key: &str) -> String {
        self.span.attributes.iter().find(|one| one.key == key).map(text).unwrap_or_default()
    }
}

fn text(attribute: &KeyValue) -> String {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A caller's own trace context.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The trace.
    pub trace: String,
    /// The caller's span.
    pub span: String,
}

impl Caller {
    /// One whose trace no other caller has.
    pub fn new() -> Self {
        let random: [u8; 24] = std::array::from_fn(|_| rand_byte());
        Self { trace: hex(&random[..16]), span: hex(&random[16..]) }
    }

    /// Its `traceparent`.
    pub fn header(&self, sampled: bool) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(sampled))
    }

    /// A request that it makes, sampled, with a `tracestate`.
    pub fn asks<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("traceparent", self.header(true).parse().unwrap());
        metadata.insert("tracestate", "tester=1,other=2".parse().unwrap());
        request
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self::new()
    }
}

fn rand_byte() -> u8 {
    use ring::rand::{SecureRandom as _, SystemRandom};
    let mut byte = [0];
    SystemRandom::new().fill(&mut byte).unwrap();
    byte[0] | 1
}
