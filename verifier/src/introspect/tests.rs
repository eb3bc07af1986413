use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::testing::{Running, ask_http};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A verifier, and the credentials of a caller that may introspect.
async fn start() -> (Running, String) {
    let flags = ["--introspection-scope", "cdn:prefetch", "--require-audience"];
    let running = Running::start(&flags).await;
    let caller = format!("Bearer {}", running.store.put_token(1, |_| {}));
    (running, caller)
}

/// As OAuth libraries present a client's secret.
fn basic(secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("any:{secret}")))
}

/// The status and the members of the answer.
async fn introspect(running: &Running, caller: &str, form: &str) -> (u16, String, Value) {
    let headers = [("authorization", caller), FORM];
    let (head, body) = ask_http(running.http, "POST", "/introspect", &headers, form).await;
    assert!(head.contains("cache-control: no-store\r"), "{head}");
    let status = head[9..12].parse().unwrap();
    (status, head, serde_json::from_str(&body).unwrap_or_default())
}

#[tokio::test]
async fn a_good_token_is_active_and_tells_who_it_speaks_for() {
    let (running, caller) = start().await;
    let token = running.store.put_token(7, |token| token.expires_at = 1_795_514_999_000);
    let form = format!("token={token}&token_type_hint=access_token");
    let (status, head, members) = introspect(&running, &caller, &form).await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json\r"), "{head}");
    let expected = serde_json::json!({
        "active": true,
        "token_type": "Bearer",
        "scope": "cdn:prefetch cdn:purge",
        "sub": "1",
        "aud": ["cdn"],
        "iat": 1_795_514_399,
        "exp": 1_795_514_999,
        "account": 1,
        "role": "Purge and Prefetch only (API)",
        "tid": 7,
        "kind": "permanent_token",
    });
    assert_eq!(members, expected);
}

#[tokio::test]
async fn every_bad_token_is_inactive_and_nothing_more_is_told() {
    let (running, caller) = start().await;
    let revoked = running.store.put_token(7, |token| token.revoked_at = 1);
    let bound =
        running.store.put_token(8, |token| token.allowed_cidrs = vec!["192.0.2.0/24".into()]);
    for token in ["hunter2", &revoked, &bound, &format!("{bound}&client_address=198.51.100.1")] {
        let (status, _, members) = introspect(&running, &caller, &format!("token={token}")).await;
        assert_eq!((status, members.to_string().as_str()), (200, "{\"active\":false}"));
    }
    let near = format!("token={bound}&client_address=192.0.2.9");
    assert_eq!(introspect(&running, &caller, &near).await.2["active"], true);
}

#[tokio::test]
async fn only_a_caller_with_the_scope_may_ask_by_whatever_scheme() {
    let (running, caller) = start().await;
    let narrow = running.store.put_token(9, |token| token.role = 99);
    let [narrow, narrow_client] = [format!("Bearer {narrow}"), basic(&narrow)];
    let nobody = "bearer realm=\"tessera\", basic realm=\"tessera\"\r";
    let narrower = "bearer error=\"insufficient_scope\", scope=\"cdn:prefetch\"\r";
    for (who, status, challenge, error) in [
        ("Digest a", 401, nobody, "invalid_client"),
        (&basic("hunter2"), 401, nobody, "invalid_client"),
        ("Bearer hunter2", 401, "bearer error=\"invalid_token\"\r", "invalid_token"),
        ("Bearer a b", 400, "bearer error=\"invalid_request\"\r", "invalid_request"),
        (&narrow, 403, narrower, "insufficient_scope"),
        (&narrow_client, 403, narrower, "insufficient_scope"),
    ] {
        let (told, head, members) = introspect(&running, who, "token=hunter2").await;
        assert_eq!((told, &members["error"]), (status, &Value::from(error)), "{who}");
        assert!(members["error_description"].is_string(), "{members}");
        assert!(head.contains(&format!("www-authenticate: {challenge}")), "{head}");
        assert!(head.contains("content-type: application/json\r"), "{head}");
    }
    let token = caller.strip_prefix("Bearer ").unwrap();
    let (status, _, members) = introspect(&running, &basic(token), "token=hunter2").await;
    assert_eq!((status, members.to_string().as_str()), (200, "{\"active\":false}"));
}

#[tokio::test]
async fn a_wrong_form_is_told_in_json() {
    let (running, caller) = start().await;
    let long = format!("token={}", "a".repeat(40_000));
    let twice = "token=a&client_address=192.0.2.1&client_address=192.0.2.1";
    let hints = "token=a&token_type_hint=x&token_type_hint=x";
    for (form, status) in [
        ("", 400),
        ("tokens=a", 400),
        ("token=", 400),
        ("token=a&token=b", 400),
        ("token=a&client_address=here", 400),
        (twice, 400),
        (hints, 400),
        (&long, 413),
    ] {
        let (told, _, members) = introspect(&running, &caller, form).await;
        assert_eq!((told, &members["error"]), (status, &Value::from("invalid_request")), "{form}");
        assert!(members["error_description"].is_string(), "{members}");
    }
    for kind in ["application/json", "text/plain", "application/grpc"] {
        let headers = [("authorization", caller.as_str()), ("content-type", kind)];
        let (head, body) = ask_http(running.http, "POST", "/introspect", &headers, "token=a").await;
        assert!(head.starts_with("http/1.1 415") && !head.contains("grpc-status"), "{head}");
        assert!(body.contains("\"error\":\"invalid_request\""), "{body}");
    }
}

#[tokio::test]
async fn an_outage_is_no_inactive_token() {
    let (running, caller) = start().await;
    let token = running.store.put_token(10, |_| {});
    running.store.cut();
    let (status, head, members) = introspect(&running, &caller, &format!("token={token}")).await;
    assert_eq!((status, &members["error"]), (503, &Value::from("temporarily_unavailable")));
    assert!(head.contains("retry-after: 1\r"), "{head}");
}
