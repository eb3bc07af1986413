use std::{collections::HashMap, time::Duration};

use tessera_proto::envoy::{
    config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address},
    service::auth::v3::{
        AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
        attribute_context::{HttpRequest, Peer, Request as Described},
        authorization_client::AuthorizationClient,
        check_response::HttpResponse,
    },
};
use tonic::{Code, Request};

use crate::testing::{INTERNALS, Running};

/// A request as Envoy tells of it, with these headers.
fn request(headers: &[(&str, &str)]) -> AttributeContext {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let http =
        HttpRequest { path: "/".to_owned(), headers: headers.collect(), ..HttpRequest::default() };
    let socket = SocketAddress { address: "192.0.2.9".to_owned(), ..SocketAddress::default() };
    let address = Address { address: Some(address::Address::SocketAddress(socket)) };
    AttributeContext {
        source: Some(Peer { address: Some(address), ..Peer::default() }),
        request: Some(Described { http: Some(http), time: None }),
        ..AttributeContext::default()
    }
}

fn demanding(attributes: AttributeContext, demands: &[(&str, &str)]) -> AttributeContext {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let context_extensions: HashMap<_, _> = demands.iter().map(owned).collect();
    AttributeContext { context_extensions, ..attributes }
}

async fn check(running: &Running, attributes: AttributeContext) -> CheckResponse {
    let mut client = AuthorizationClient::new(running.channel.clone());
    let request = CheckRequest { attributes: Some(attributes) };
    client.check(request).await.unwrap().into_inner()
}

fn code(answer: &CheckResponse) -> Code {
    Code::from(answer.status.as_ref().expect("always a status").code)
}

fn granted(answer: CheckResponse) -> OkHttpResponse {
    assert_eq!(code(&answer), Code::Ok);
    match answer.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok,
        other => panic!("no grant: {other:?}"),
    }
}

/// The HTTP status and the challenge.
fn denied(answer: CheckResponse) -> (i32, String) {
    assert_ne!(code(&answer), Code::Ok);
    match answer.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => told(denied, "www-authenticate"),
        other => panic!("no denial: {other:?}"),
    }
}

fn told(response: DeniedHttpResponse, header: &str) -> (i32, String) {
    let headers = response.headers.into_iter().flat_map(|option| option.header);
    let value = headers.into_iter().find(|one| one.key == header).map(|one| one.value);
    (response.status.unwrap().code, value.unwrap_or_default())
}

fn assert_outage(answer: CheckResponse) {
    assert_eq!(code(&answer), Code::Unavailable);
    assert!(!format!("{answer:?}").contains(INTERNALS));
    match answer.http_response {
        Some(HttpResponse::ErrorResponse(error)) => {
            assert_eq!(told(error, "retry-after"), (503, "1".to_owned()));
        }
        other => panic!("no outage: {other:?}"),
    }
}

#[tokio::test]
async fn an_empty_question_is_denied_with_a_status() {
    let running = Running::start(&[]).await;
    let mut client = AuthorizationClient::new(running.channel.clone());
    let answer = client.check(CheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(code(&answer), Code::Unauthenticated);
    assert_eq!(denied(answer), (401, "Bearer realm=\"tessera\"".to_owned()));
}

#[tokio::test]
async fn a_grant_sets_or_removes_every_identity_header_and_removes_the_token() {
    let running = Running::start(&[]).await;
    let token = running.store.put_token(7, |_| {});
    let bearer = format!("Bearer {token}");
    let forged = [
        ("authorization", bearer.as_str()),
        ("x-tessera-user", "99"),
        ("x-tessera-future", "99"),
        ("x_tessera_user", "99"),
    ];
    let ok = granted(check(&running, request(&forged)).await);
    let set: Vec<_> = ok.headers.iter().flat_map(|option| &option.header).collect();
    let set: Vec<_> = set.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect();
    assert_eq!(
        set,
        [
            ("x-tessera-account", "1"),
            ("x-tessera-user", "1"),
            ("x-tessera-role", "Purge and Prefetch only (API)"),
            ("x-tessera-scopes", "cdn:prefetch cdn:purge"),
            ("x-tessera-token-id", "7"),
            ("x-tessera-kind", "permanent_token"),
        ]
    );
    let mut removed = ok.headers_to_remove.clone();
    removed.sort();
    assert_eq!(removed, ["authorization", "x-tessera-future", "x_tessera_user"]);
    assert_eq!(ok.query_parameters_to_remove, ["access_token"]);
    assert!(!format!("{ok:?}").contains(&token));
}

#[tokio::test]
async fn headers_are_read_as_text_and_as_bytes() {
    let running = Running::start(&[]).await;
    let bearer = format!("APIKey {}", running.store.put_token(7, |_| {}));
    let raw = |key: &str, value: &[u8]| HeaderValue {
        key: key.to_owned(),
        raw_value: value.to_vec(),
        ..HeaderValue::default()
    };
    let of = |headers: Vec<HeaderValue>| {
        let mut attributes = request(&[]);
        let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
        http.header_map = Some(HeaderMap { headers });
        attributes
    };
    let good = raw("authorization", bearer.as_bytes());
    granted(check(&running, of(vec![good.clone()])).await);
    let wrong = (401, "Bearer error=\"invalid_request\"".to_owned());
    assert_eq!(denied(check(&running, of(vec![good.clone(), good])).await), wrong);
    let bytes = raw("authorization", b"Bearer \xff");
    assert_eq!(denied(check(&running, of(vec![bytes])).await), wrong);
}

#[tokio::test]
async fn networks_are_compared_with_the_source_address() {
    let running = Running::start(&[]).await;
    let mut answers = Vec::new();
    for (id, cidr) in [(1, "192.0.2.0/24"), (2, "198.51.100.0/24")] {
        let token = running.store.put_token(id, |token| token.allowed_cidrs = vec![cidr.into()]);
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", "198.51.100.1")];
        answers.push(check(&running, request(&headers)).await);
    }
    let far = (401, "Bearer error=\"invalid_token\"".to_owned());
    assert_eq!(denied(answers.pop().unwrap()), far);
    granted(answers.pop().unwrap());
}

#[tokio::test]
async fn an_outage_is_an_error_and_never_a_verdict() {
    let running = Running::start(&[]).await;
    let bearer = format!("Bearer {}", running.store.put_token(7, |_| {}));
    running.store.cut();
    assert_outage(check(&running, request(&[("authorization", &bearer)])).await);
    let text = running.get("/metrics").await;
    let line = r#"guard_answers_total{face="envoy",result="unavailable"} 1"#;
    assert!(text.contains(line), "{text}");
    running.store.mend();
    granted(check(&running, request(&[("authorization", &bearer)])).await);
}

#[tokio::test]
async fn an_old_envoy_is_told_of_an_outage_by_the_call_itself() {
    let running = Running::start(&[]).await;
    let bearer = format!("Bearer {}", running.store.put_token(7, |_| {}));
    running.store.cut();
    let attributes = request(&[("authorization", &bearer)]);
    let attributes = Some(demanding(attributes, &[("tessera.outage", "rpc_error")]));
    let mut client = AuthorizationClient::new(running.channel.clone());
    let status = client.check(CheckRequest { attributes }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!format!("{status:?}").contains(INTERNALS));
}

#[tokio::test]
async fn a_store_that_is_silent_is_told_of_before_the_caller_gives_up() {
    let running = Running::start(&[]).await;
    let bearer = format!("Bearer {}", running.store.put_token(7, |_| {}));
    running.store.gather(2);
    let attributes = Some(request(&[("authorization", &bearer)]));
    let mut request = Request::new(CheckRequest { attributes });
    // The header alone, so that the client itself does not give up: a busy machine may be late.
    let timeout = format!("{}m", Duration::from_secs(2).as_millis());
    request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
    let mut client = AuthorizationClient::new(running.channel.clone());
    match client.check(request).await {
        Ok(answer) => assert_outage(answer.into_inner()),
        Err(late) => assert_eq!(late.code(), Code::DeadlineExceeded),
    }
}

#[tokio::test]
async fn a_demand_that_makes_no_sense_lets_nothing_through() {
    let running = Running::start(&["--require-audience"]).await;
    let bearer = format!("Bearer {}", running.store.put_token(7, |_| {}));
    let headers = [("authorization", bearer.as_str())];
    let cdn = ("tessera.audience", "cdn");
    granted(check(&running, demanding(request(&headers), &[cdn])).await);
    for demands in [
        &[][..],
        &[cdn, ("tessera.required_scopes", "purge")],
        &[cdn, ("tessera.required_scope", "cdn:purge")],
        &[cdn, ("tessera.public_paths", "../")],
    ] {
        for headers in [&headers[..], &[]] {
            let answer = check(&running, demanding(request(headers), demands)).await;
            assert_eq!(code(&answer), Code::Internal);
            assert_eq!(denied(answer).0, 500, "a denial, which failure_mode_allow does not open");
        }
    }
}
