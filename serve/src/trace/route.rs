//! The spans of what is asked over HTTP.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as Wake, Poll},
};

use axum::{
    extract::MatchedPath,
    http::{Method, Request, Response, StatusCode},
};
use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt as _, Status, TraceContextExt as _},
};
use tower::Service;

use super::Traces;

/// Probes and scrapes, which nobody wants to see in a trace.
const UNTRACED: [&str; 4] = ["/livez", "/healthz", "/readyz", "/metrics"];

/// A request under way that is traced. One that is dropped before its end was cut off.
struct RouteSpan {
    context: Context,
    status: Option<StatusCode>,
}

impl Traces {
    /// The span of a request, if it is to be traced. A path that is no route of ours may hold
    /// anything, and is left out.
    fn route<B>(&self, request: &Request<B>) -> Option<RouteSpan> {
        let tracing = self.0.as_ref()?;
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        if route.is_some_and(|route| UNTRACED.contains(&route)) {
            return None;
        }
        let parent = tracing.sampled(request.headers())?;
        let method = known(request.method());
        let mut attributes = vec![KeyValue::new("http.request.method", method)];
        let mut name = method.to_owned();
        if let Some(route) = route {
            name = format!("{method} {route}");
            attributes.push(KeyValue::new("http.route", route.to_owned()));
        }
        Some(RouteSpan { context: tracing.request(name, attributes, parent), status: None })
    }
}

/// The methods of RFC 9110 and RFC 5789; any other is `_OTHER`.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

impl RouteSpan {
    /// The request was answered so.
    fn end(mut self, status: Option<StatusCode>) {
        self.status = status;
    }
}

impl Drop for RouteSpan {
    fn drop(&mut self) {
        let span = self.context.span();
        match self.status {
            Some(status) => {
                let code = i64::from(status.as_u16());
                span.set_attribute(KeyValue::new("http.response.status_code", code));
                if status.is_server_error() {
                    span.set_attribute(KeyValue::new("error.type", code.to_string()));
                    span.set_status(Status::error(""));
                }
            }
            None => span.set_attribute(KeyValue::new("error.type", "cancelled")),
        }
        span.end();
    }
}

/// A service whose requests are traced.
#[derive(Clone, Debug)]
pub struct TracedRoutes<S> {
    inner: S,
    traces: Traces,
}

impl<S> TracedRoutes<S> {
    /// Traces the requests of `inner`.
    pub fn new(inner: S, traces: Traces) -> Self {
        Self { inner, traces }
    }
}

type Answering<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

impl<S, B, R, E> Service<Request<B>> for TracedRoutes<S>
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
        let Some(span) = self.traces.route(&request) else { return self.inner.call(request) };
        let context = span.context.clone();
        // Within it, so that what `call` does before its future runs belongs to it too.
        let within = context.clone().attach();
        let answer = self.inner.call(request).with_context(context);
        drop(within);
        Box::pin(async move {
            let answer = answer.await;
            span.end(answer.as_ref().ok().map(Response::status));
            answer
        })
    }
}
