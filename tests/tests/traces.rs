//! Traces: what is a span, within which parent, and when there is none.

use tessera_proto::{
    envoy::service::auth::v3::{
        AttributeContext, CheckRequest, attribute_context,
        authorization_client::AuthorizationClient,
    },
    v1::{BatchVerifyRequest, LoginRequest, VerifyRequest, WhoAmIRequest},
};
use tessera_tests::{
    ask::{ask, ask_cached},
    client::{self, Credentials},
    collector::{Caller, Collector, Seen},
    metrics::Scrape,
    on_every_backend,
    system::{Backend, System, named},
    tls::Authority,
    watch::eventually,
    wire::{self, Wire},
};
use tonic::{Code, Request};

on_every_backend!(
    each_request_is_a_span_within_its_callers_trace,
    an_answer_from_memory_is_a_span_if_its_caller_is_sampled,
);

async fn start(backend: Backend, collector: &Collector, ratio: &str) -> System {
    let flags = ["--otlp-endpoint", &collector.url(), "--otlp-sample-ratio", ratio];
    backend.start_all_with(&flags).await
}

/// The one span with this name.
#[track_caller]
fn one<'s>(spans: &'s [Seen], name: &str) -> &'s Seen {
    let mut named = spans.iter().filter(|seen| seen.span.name == name);
    let names: Vec<_> = spans.iter().map(|seen| &seen.span.name).collect();
    let found = named.next().unwrap_or_else(|| panic!("no {name} in {names:?}"));
    assert!(named.next().is_none(), "more than one {name} in {names:?}");
    found
}

fn assert_rpc(seen: &Seen, caller: &Caller, service: &str, method: &str, code: Code) {
    assert_eq!(seen.span.name, format!("{service}/{method}"));
    assert_eq!(seen.parent(), caller.span);
    assert_eq!(seen.span.trace_state, "tester=1,other=2");
    assert_eq!(seen.span.kind, 2, "SERVER");
    assert_eq!(seen.attribute("rpc.system"), "grpc");
    assert_eq!(seen.attribute("rpc.service"), service);
    assert_eq!(seen.attribute("rpc.method"), method);
    assert_eq!(seen.attribute("rpc.grpc.status_code"), (code as i32).to_string());
    assert!(seen.span.end_time_unix_nano >= seen.span.start_time_unix_nano);
}

async fn each_request_is_a_span_within_its_callers_trace(backend: Backend) {
    let collector = Collector::start();
    let system = start(backend, &collector, "0").await;
    let admin = system.admin().await;
    let (issuer, verifier) = ("tessera.v1.IssuerService", "tessera.v1.VerifierService");

    let caller = Caller::new();
    let made = system.issuer(&admin).create_permanent_token(caller.asks(named("traced"))).await;
    let token = made.unwrap().into_inner().token;
    // A token to make: the caller is looked up, the list and the record are written.
    let spans = collector.trace(&caller.trace, 3).await;
    let server = spans.iter().find(|seen| seen.parent() == caller.span).expect("a server span");
    assert_rpc(server, &caller, issuer, "CreatePermanentToken", Code::Ok);
    assert!(!server.attribute("request.id").is_empty());
    assert_eq!(server.resource["service.name"], "tessera-issuer");
    assert!(!server.resource["service.version"].is_empty());
    assert_eq!(server.resource["service.instance.id"].len(), 36);
    let trips: Vec<_> = spans.iter().filter(|seen| seen.parent() == server.id()).collect();
    assert_eq!(trips.len(), spans.len() - 1);
    let system_name = if backend == Backend::Embedded { "redb" } else { "redis" };
    for trip in trips {
        assert_eq!(trip.attribute("db.system"), system_name);
        assert_eq!(trip.span.name, format!("store {}", trip.attribute("db.operation.name")));
        assert_eq!(trip.span.kind, 3, "CLIENT");
    }

    let caller = Caller::new();
    let wrong = LoginRequest { username: "admin".into(), password: "a wrong passphrase".into() };
    system.issuer(&Credentials::none()).login(caller.asks(wrong)).await.unwrap_err();
    let spans = collector.trace(&caller.trace, 2).await;
    let login = one(&spans, "tessera.v1.IssuerService/Login");
    assert_rpc(login, &caller, issuer, "Login", Code::Unauthenticated);
    assert_eq!(login.span.status.clone().unwrap_or_default().code, 0, "no fault of the server");

    let mut client = system.verifiers().remove(0);
    let caller = Caller::new();
    client.verify(caller.asks(ask(&token))).await.unwrap();
    let spans = collector.trace(&caller.trace, 2).await;
    let server = one(&spans, "tessera.v1.VerifierService/Verify");
    assert_rpc(server, &caller, verifier, "Verify", Code::Ok);
    assert_eq!(server.resource["service.name"], "tessera-verifier");
    let read = spans.iter().find(|seen| seen.span.name == "store read").expect("a round trip");
    assert_eq!(read.parent(), server.id());

    let caller = Caller::new();
    client.batch_verify(caller.asks(BatchVerifyRequest::default())).await.unwrap_err();
    let spans = collector.trace(&caller.trace, 1).await;
    assert_rpc(&spans[0], &caller, verifier, "BatchVerify", Code::InvalidArgument);
}

async fn an_answer_from_memory_is_a_span_if_its_caller_is_sampled(backend: Backend) {
    let collector = Collector::start();
    let system = start(backend, &collector, "0").await;
    let token = system.permanent(&system.admin().await, named("held")).await.token;
    let place = system.verifier_places()[0];
    let mut client = client::verifier(place.grpc);
    let hits = "tessera_verifier_cache_requests_total{result=\"hit\"}";
    eventually("an answer from memory alone", || {
        let (mut client, question, collector) = (client.clone(), ask_cached(&token), &collector);
        async move {
            let before = Scrape::of(place.http).await.expect(hits);
            let caller = Caller::new();
            let mut request = caller.asks(question);
            request.metadata_mut().insert("x-request-id", "from-memory".parse().unwrap());
            client.verify(request).await.unwrap();
            let after = Scrape::of(place.http).await.expect(hits);
            let spans = collector.trace(&caller.trace, 1).await;
            let server = one(&spans, "tessera.v1.VerifierService/Verify");
            assert_rpc(server, &caller, "tessera.v1.VerifierService", "Verify", Code::Ok);
            assert_eq!(server.attribute("request.id"), "from-memory");
            (after > before && spans.len() == 1).then_some(())
        }
    })
    .await;
    for header in [Caller::new().header(false), "00-malformed-01".to_owned()] {
        let mut request = Request::new(ask_cached(&token));
        request.metadata_mut().insert("traceparent", header.parse().unwrap());
        client.verify(request).await.unwrap();
    }
    client.verify(ask_cached(&token)).await.unwrap();
    let caller = Caller::new();
    client.verify(caller.asks(ask_cached(&token))).await.unwrap();
    collector.trace(&caller.trace, 1).await;
    let all = collector.spans();
    assert!(all.iter().all(|seen| !seen.span.trace_state.is_empty()), "{all:?}");
}

#[tokio::test]
async fn without_a_callers_word_the_ratio_decides() {
    let collector = Collector::start();
    let system = start(Backend::Embedded, &collector, "1").await;
    let mut client = system.verifiers().remove(0);
    let unsampled = Caller::new();
    let mut request = Request::new(ask("nonsense"));
    request.metadata_mut().insert("traceparent", unsampled.header(false).parse().unwrap());
    client.verify(request).await.unwrap();
    let malformed = format!("{}-", Caller::new().header(true));
    let mut request = Request::new(ask("nonsense"));
    request.metadata_mut().insert("traceparent", malformed.parse().unwrap());
    client.verify(request).await.unwrap();
    client.verify(ask("nonsense")).await.unwrap();
    let verifies = |collector: &Collector| {
        let spans = collector.spans().into_iter();
        spans.filter(|seen| seen.span.name.ends_with("/Verify")).collect::<Vec<_>>()
    };
    let spans = eventually("two roots", || {
        let spans = verifies(&collector);
        let roots = spans.iter().filter(|seen| seen.attribute("request.id").is_empty());
        std::future::ready((roots.count() >= 2).then_some(spans))
    })
    .await;
    assert!(spans.iter().all(|seen| seen.parent().is_empty() && seen.trace() != unsampled.trace));
    let is_of = |name: &'static str| move |seen: &Seen| seen.resource["service.name"] == name;
    let all = collector.spans();
    assert!(all.iter().any(is_of("tessera-issuer")) && all.iter().any(is_of("tessera-verifier")));
    assert!(all.iter().all(|seen| !seen.span.name.contains("grpc.health")), "{all:?}");
}

#[tokio::test]
async fn what_is_asked_over_http_is_a_span_with_its_route() {
    let collector = Collector::start();
    let system = start(Backend::Embedded, &collector, "0").await;
    let token = system.permanent(&system.admin().await, named("asked for")).await.token;
    let (issuer, verifier) = (system.issuer_place().http, system.verifier_places()[0].http);
    let bearer = ("authorization", format!("Bearer {token}"));
    let wrong = "/verify?access_token=a-token-in-a-url";
    for (address, path, name, route, status) in [
        (verifier, "/verify", "GET /verify", "/verify", "200"),
        (verifier, wrong, "GET /verify", "/verify", "500"),
        (verifier, "/introspect", "GET /introspect", "/introspect", "405"),
        (verifier, "/a-token-in-a-path", "GET", "", "404"),
        (
            issuer,
            "/.well-known/jwks.json",
            "GET /.well-known/jwks.json",
            "/.well-known/jwks.json",
            "200",
        ),
    ] {
        let caller = Caller::new();
        let headers = [bearer.clone(), ("traceparent", caller.header(true))];
        wire::ask(Wire::Http1, address, path, &headers).await;
        let spans = collector.trace(&caller.trace, 1).await;
        let seen = spans.iter().find(|seen| seen.parent() == caller.span).expect("a server span");
        assert_eq!(seen.span.name, name);
        assert_eq!(seen.attribute("http.route"), route);
        assert_eq!(seen.attribute("http.request.method"), "GET");
        assert_eq!(seen.attribute("http.response.status_code"), status, "{path}");
        let is_error = seen.span.status.as_ref().is_some_and(|it| it.code == 2);
        assert_eq!((is_error, seen.attribute("error.type") == status), (status == "500", is_error));
        assert!(!seen.attribute("request.id").is_empty());
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let headers = [("traceparent", Caller::new().header(true))];
        wire::ask(Wire::Http1, verifier, path, &headers).await;
    }
    let caller = Caller::new();
    let headers = [("traceparent", caller.header(true))];
    wire::ask(Wire::Http1, verifier, "/verify", &headers).await;
    collector.trace(&caller.trace, 1).await;
    let told = String::from_utf8_lossy(&collector.bytes()).into_owned();
    for untold in ["livez", "readyz", "metrics", "a-token-in-a-url", "a-token-in-a-path"] {
        assert!(!told.contains(untold), "{untold}");
    }
}

#[tokio::test]
async fn what_envoy_asks_is_within_its_trace_or_its_clients() {
    let collector = Collector::start();
    let system = start(Backend::Embedded, &collector, "0").await;
    let place = system.verifier_places()[0];
    let mut client = AuthorizationClient::new(client::channel(place.grpc));
    let described = |caller: Option<&Caller>| {
        let headers = caller.map(|caller| ("traceparent".to_owned(), caller.header(true)));
        let http = attribute_context::HttpRequest {
            path: "/".into(),
            headers: headers.into_iter().collect(),
            ..Default::default()
        };
        let request = attribute_context::Request { http: Some(http), time: None };
        let attributes = AttributeContext { request: Some(request), ..Default::default() };
        CheckRequest { attributes: Some(attributes) }
    };
    let service = "envoy.service.auth.v3.Authorization";
    let (envoy, outside) = (Caller::new(), Caller::new());
    client.check(envoy.asks(described(Some(&outside)))).await.unwrap();
    let spans = collector.trace(&envoy.trace, 1).await;
    assert_rpc(one(&spans, &format!("{service}/Check")), &envoy, service, "Check", Code::Ok);
    client.check(described(Some(&outside))).await.unwrap();
    let spans = collector.trace(&outside.trace, 1).await;
    let seen = one(&spans, &format!("{service}/Check"));
    assert_eq!(
        (seen.parent(), seen.attribute("rpc.method")),
        (outside.span.clone(), "Check".into())
    );
    client.check(described(None)).await.unwrap();
    let mut request = Request::new(described(Some(&outside)));
    request.metadata_mut().insert("traceparent", envoy.header(false).parse().unwrap());
    client.check(request).await.unwrap();
    let last = Caller::new();
    client.check(last.asks(described(None))).await.unwrap();
    collector.trace(&last.trace, 1).await;
    assert_eq!(collector.spans().len(), 3);
}

#[tokio::test]
async fn one_read_for_many_calls_is_a_span_with_links_to_the_others() {
    let collector = Collector::start();
    let system = start(Backend::Redis, &collector, "0").await;
    let admin = system.admin().await;
    let mut tokens = Vec::new();
    for number in 0..20 {
        tokens.push(system.permanent(&admin, named(&format!("number {number}"))).await.token);
    }
    let client = system.verifiers().remove(0);
    let callers: Vec<_> = tokens.iter().map(|_| Caller::new()).collect();
    let links = |collector: &Collector| -> usize {
        collector.spans().iter().map(|seen| seen.span.links.len()).sum()
    };
    // How many come together is up to the scheduler: it is tried until some do.
    eventually("a read for several", || async {
        let mut asking = tokio::task::JoinSet::new();
        for (caller, token) in callers.iter().zip(&tokens) {
            let (mut client, request) = (client.clone(), caller.asks(ask(token)));
            asking.spawn(async move { client.verify(request).await.unwrap() });
        }
        asking.join_all().await;
        for caller in &callers {
            collector.trace(&caller.trace, 1).await;
        }
        (links(&collector) > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_collector_is_reached_over_tls_and_the_environment_says_who_tells() {
    let authority = Authority::new();
    let collector = Collector::start_tls(&authority);
    let url = collector.url().replace("http://127.0.0.1", "https://localhost");
    let ca = authority.certificate().display().to_string();
    let flags = ["--otlp-endpoint", &url, "--otlp-ca-file", &ca, "--otlp-sample-ratio", "0"];
    let system = Backend::Embedded.start_all_with(&flags).await;
    let caller = Caller::new();
    let mut issuer = system.issuer(&system.admin().await);
    issuer.who_am_i(caller.asks(WhoAmIRequest {})).await.unwrap();
    collector.trace(&caller.trace, 1).await;
}

#[tokio::test]
async fn without_a_collector_no_metric_tells_of_traces() {
    let system = Backend::Embedded.start().await;
    let mut client = system.verifiers().remove(0);
    let question = VerifyRequest { token: "nonsense".into(), ..VerifyRequest::default() };
    client.verify(Caller::new().asks(question)).await.unwrap();
    let scrape = Scrape::of(system.verifier_places()[0].http).await;
    assert!(!scrape.0.contains("tessera_trace"), "{}", scrape.0);
}
