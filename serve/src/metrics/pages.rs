//! Requests over HTTP: how many of each route, with which status, how long.
//!
//! A request that is cut off has the status 408 if it took too long, else 499, as nginx has it.
//! A route is one of a few, and nothing that a caller sends becomes one.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};

use super::{
    Collector, DescriptorEncoder,
    exposition::{counter, histogram},
    times::Times,
};
use crate::CALL_TIMEOUT;

/// What is counted by itself. Under an issuer's path it is the same route.
const ROUTES: [&str; 6] = [
    "/verify",
    "/introspect",
    "/revoke",
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
];
/// Probes and scrapes, and what there is not.
const OTHER: &str = "other";
/// The statuses of HTTP are from here on, so many.
const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 500;
const OK: usize = 200;
const TOO_LONG: u16 = 408;
const CUT_OFF: u16 = 499;

#[derive(Debug)]
struct Route {
    name: &'static str,
    statuses: Vec<AtomicU64>,
    times: Times,
}

/// The requests of one listener.
#[derive(Debug)]
pub struct Pages(Vec<Route>);

impl Pages {
    /// Counts nothing yet.
    pub fn new() -> Arc<Self> {
        let statuses = || std::iter::repeat_with(AtomicU64::default).take(STATUSES).collect();
        let route = |name| Route { name, statuses: statuses(), times: Times::default() };
        Arc::new(Self(ROUTES.into_iter().chain([OTHER]).map(route).collect()))
    }

    /// Counts the requests of `app`.
    pub fn count(self: &Arc<Self>, app: Router) -> Router {
        app.layer(from_fn_with_state(self.clone(), counted))
    }

    fn begin(self: &Arc<Self>, request: &Request) -> Page {
        let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        Page { pages: self.clone(), place: place_of(matched), begun: Instant::now(), status: None }
    }
}

/// The issuer's pages are under its path too: before `/.well-known/`, or behind it all.
fn place_of(matched: Option<&str>) -> usize {
    let Some(matched) = matched else { return ROUTES.len() };
    let is = |route: &str| {
        matched.ends_with(route) || route.starts_with("/.well-known/") && matched.starts_with(route)
    };
    ROUTES.iter().position(|route| is(route)).unwrap_or(ROUTES.len())
}

async fn counted(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    let page = pages.begin(&request);
    let response = next.run(request).await;
    page.end(response.status().as_u16());
    response
}

/// A request under way. It is counted when dropped.
struct Page {
    pages: Arc<Pages>,
    place: usize,
    begun: Instant,
    status: Option<u16>,
}

impl Page {
    fn end(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let Some(route) = self.pages.0.get(self.place) else { return };
        let took = self.begun.elapsed();
        let cut_off = if took >= CALL_TIMEOUT { TOO_LONG } else { CUT_OFF };
        let status = self.status.unwrap_or(cut_off);
        route.times.observe(took);
        if let Some(count) = route.statuses.get(usize::from(status.saturating_sub(FIRST_STATUS))) {
            count.fetch_add(1, Relaxed);
        }
    }
}

impl Collector for Pages {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.iter().flat_map(|route| {
            let statuses = route.statuses.iter().zip(usize::from(FIRST_STATUS)..);
            statuses.filter_map(|(count, status)| {
                let count = count.load(Relaxed);
                // 200 is there from the beginning, so that a first failure shows as a rate.
                let labels =
                    || [("http_route", route.name.to_owned()), ("http_code", status.to_string())];
                (count > 0 || status == OK).then(|| (labels(), count))
            })
        });
        let help = "Requests over HTTP that ended, by status";
        counter(&mut encoder, "tessera_http_requests", help, counts)?;
        let times =
            self.0.iter().map(|route| ([("http_route", route.name)], vec![(&route.times, 1)]));
        let help = "How long requests over HTTP took in the service";
        histogram(&mut encoder, "tessera_http_request_duration_seconds", help, times)
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_counts_for_its_route_and_a_path_that_is_none_never_becomes_a_label() {
        let pages = Pages::new();
        let app = Router::new()
            .route("/verify", get(|| async { StatusCode::UNAUTHORIZED }))
            .route("/a/.well-known/jwks.json", get(|| async {}))
            .route("/.well-known/oauth-authorization-server/a", get(|| async {}))
            .route("/revoke", get(std::future::pending::<()>));
        let app = pages.count(app);
        for path in [
            "/verify",
            "/a/.well-known/jwks.json",
            "/.well-known/oauth-authorization-server/a",
            "/secret-in-a-path",
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            app.clone().oneshot(request).await.unwrap();
        }
        let request = Request::get("/revoke").body(Body::empty()).unwrap();
        let answer = tokio::time::timeout(std::time::Duration::ZERO, app.oneshot(request));
        assert!(answer.await.is_err());
        let mut metrics = super::super::Metrics::new("tester");
        metrics.collect(pages);
        let text = metrics.text().unwrap();
        for (route, code) in [
            ("/verify", 401),
            ("/.well-known/jwks.json", 200),
            ("/.well-known/oauth-authorization-server", 200),
            ("/revoke", 499),
            ("other", 404),
        ] {
            let labels = format!(r#"{{http_route="{route}",http_code="{code}"}} 1"#);
            assert!(text.contains(&format!("tessera_http_requests_total{labels}")), "{text}");
            let count = format!(r#"duration_seconds_count{{http_route="{route}"}} 1"#);
            assert!(text.contains(&count), "{text}");
        }
        assert!(!text.contains("secret-in-a-path"), "{text}");
    }
}
