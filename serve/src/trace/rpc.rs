//! The spans of RPCs.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Wake, Poll},
};

use axum::http::{HeaderMap, Request, Response};
use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt as _, SpanContext, Status, TraceContextExt as _},
};
use tonic::Code;
use tower::Service;

use super::{Parent, Traces, Tracing};
use crate::metrics::{Calls, status_of};

/// Health and reflection, which nobody wants to see in a trace.
const UNTRACED: &str = "/grpc.";

/// An RPC under way that is traced. One that is dropped before its end was cut off: by its
/// caller, or by the end of the process.
#[derive(Debug)]
pub struct RpcSpan {
    context: Context,
    code: Code,
}

impl Traces {
    /// The span of an RPC with these headers, if it is to be traced. `names` are those of its
    /// service and its method, or of the unknown.
    pub fn rpc<'n>(
        &self,
        headers: &HeaderMap,
        names: impl FnOnce() -> (&'n str, &'n str),
    ) -> Option<Box<RpcSpan>> {
        let tracing = self.0.as_ref()?;
        let parent = tracing.sampled(headers)?;
        Some(RpcSpan::begin(tracing, parent, names()))
    }

    /// The same, of an RPC whose parent was found elsewhere.
    pub fn rpc_under(&self, parent: Parent, names: (&str, &str)) -> Option<Box<RpcSpan>> {
        let tracing = self.0.as_ref()?;
        let parent = tracing.decide(parent)?;
        Some(RpcSpan::begin(tracing, parent, names))
    }
}

impl RpcSpan {
    fn begin(
        tracing: &Tracing,
        parent: Option<SpanContext>,
        (service, method): (&str, &str),
    ) -> Box<Self> {
        let attributes = vec![
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", service.to_owned()),
            KeyValue::new("rpc.method", method.to_owned()),
        ];
        let context = tracing.request(format!("{service}/{method}"), attributes, parent);
        Box::new(Self { context, code: Code::Cancelled })
    }

    /// Tells it the request's id.
    pub fn note_request(&self, id: &str) {
        self.context.span().set_attribute(KeyValue::new("request.id", id.to_owned()));
    }

    /// The RPC ended with this code.
    pub fn end(mut self, code: Code) {
        self.code = code;
    }

    /// Answers within this span, and ends it.
    pub async fn around<T>(
        self: Box<Self>,
        answering: impl Future<Output = T>,
        code_of: impl FnOnce(&T) -> Code,
    ) -> T {
        let answer = answering.with_context(self.context.clone()).await;
        self.end(code_of(&answer));
        answer
    }
}

impl Drop for RpcSpan {
    fn drop(&mut self) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(self.code as i32)));
        if is_fault(self.code) {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// Whether the server is at fault (semantic conventions, "gRPC status" of a server span).
const fn is_fault(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

/// A service whose calls are traced.
#[derive(Clone, Debug)]
pub struct TracedCalls<S> {
    inner: S,
    calls: Arc<Calls>,
    traces: Traces,
}

impl<S> TracedCalls<S> {
    /// Traces the calls of `inner`, whose names `calls` knows.
    pub fn new(inner: S, calls: Arc<Calls>, traces: Traces) -> Self {
        Self { inner, calls, traces }
    }
}

type Answering<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

impl<S, B, R, E> Service<Request<B>> for TracedCalls<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = E, Future = Answering<R, E>>,
    E: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = E;
    type Future = Answering<R, E>;

    fn poll_ready(&mut self, context: &mut Wake<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let span = if path.starts_with(UNTRACED) {
            None
        } else {
            self.traces.rpc(request.headers(), || self.calls.names(path))
        };
        let Some(span) = span else { return self.inner.call(request) };
        // Within it, so that what `call` does before its future runs belongs to it too.
        let within = span.context.clone().attach();
        let answer = self.inner.call(request);
        drop(within);
        let code_of = |answer: &Result<Response<R>, E>| {
            answer.as_ref().map_or(Code::Unknown, |answer| status_of(answer.headers()))
        };
        Box::pin(span.around(answer, code_of))
    }
}
