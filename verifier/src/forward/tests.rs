use crate::testing::{INTERNALS, Running, ask_http};

/// The head of the answer, in lower case, and its body.
async fn ask(
    running: &Running,
    method: &str,
    query: &str,
    headers: &[(&str, &str)],
) -> (String, String) {
    ask_http(running.http, method, &format!("/verify{query}"), headers, "").await
}

async fn bearer(running: &Running) -> String {
    format!("Bearer {}", running.store.put_token(7, |_| {}))
}

#[tokio::test]
async fn every_identity_header_comes_with_a_grant_whatever_the_method() {
    let running = Running::start(&[]).await;
    let bearer = bearer(&running).await;
    for method in ["GET", "POST", "DELETE", "PROPFIND"] {
        let headers = [("authorization", bearer.as_str()), ("x-tessera-user", "99")];
        let query = "?audience=cdn&scope=cdn:purge,cdn:prefetch";
        let (head, body) = ask(&running, method, query, &headers).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        for line in [
            "x-tessera-account: 1",
            "x-tessera-user: 1",
            "x-tessera-role: purge and prefetch only (api)",
            "x-tessera-scopes: cdn:prefetch cdn:purge",
            "x-tessera-token-id: 7",
            "x-tessera-kind: permanent_token",
            "cache-control: no-store",
        ] {
            assert!(head.contains(&format!("{line}\r\n")), "{line} is not in {head}");
        }
        assert_eq!(body, "");
    }
}

#[tokio::test]
async fn who_is_turned_away_is_told_by_status_and_challenge_and_no_token_is_repeated() {
    let running = Running::start(&[]).await;
    let bearer = bearer(&running).await;
    let good = ("authorization", bearer.as_str());
    let bad = ("authorization", "Bearer hunter2");
    for (query, headers, status, challenge) in [
        ("", &[][..], 401, "bearer realm=\"tessera\"\r"),
        ("", &[bad], 401, "bearer error=\"invalid_token\"\r"),
        ("", &[good, good], 401, "bearer error=\"invalid_request\"\r"),
        (
            "",
            &[good, ("x-original-uri", "/?access_token=hunter2")],
            401,
            "bearer error=\"invalid_request\"\r",
        ),
        (
            "",
            &[good, ("x-forwarded-uri", "/?access_token=hunter2")],
            401,
            "bearer error=\"invalid_request\"\r",
        ),
        ("?audience=dns", &[good], 401, "bearer error=\"invalid_token\"\r"),
        (
            "?scope=cdn:write",
            &[good],
            403,
            "bearer error=\"insufficient_scope\", scope=\"cdn:write\"\r",
        ),
    ] {
        let (head, body) = ask(&running, "GET", query, headers).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{query} {headers:?}: {head}");
        assert!(head.contains(&format!("www-authenticate: {challenge}")), "{head}");
        assert!(head.contains("cache-control: no-store\r"), "{head}");
        assert!(
            !head.contains("x-tessera-") && !head.contains("hunter2") && !body.contains("hunter2")
        );
    }
}

#[tokio::test]
async fn an_outage_is_503_and_a_wrong_query_500() {
    let running = Running::start(&[]).await;
    let bearer = bearer(&running).await;
    running.store.cut();
    let (head, body) = ask(&running, "GET", "", &[("authorization", &bearer)]).await;
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 1\r"), "{head}");
    assert!(!head.contains("www-authenticate") && !body.contains(INTERNALS), "{head}{body}");
    running.store.mend();
    for query in [
        "?scopes=cdn:purge",
        "?scope=purge",
        "?client_address=x-real-ip",
        "?audience=dns&audience=cdn",
    ] {
        for headers in [&[("authorization", bearer.as_str())][..], &[]] {
            let (head, _) = ask(&running, "GET", query, headers).await;
            assert!(head.starts_with("http/1.1 500"), "{query}: {head}");
        }
    }
}

#[tokio::test]
async fn a_grpc_caller_is_told_in_its_own_words() {
    let running = Running::start(&[]).await;
    let headers = [("content-type", "application/grpc")];
    let (head, body) = ask(&running, "POST", "", &headers).await;
    assert!(head.starts_with("http/1.1 401") && head.contains("grpc-status: 16\r"), "{head}");
    assert!(head.contains("grpc-status-details-bin: "), "{head}");
    assert!(head.contains("content-type: application/grpc\r") && body.is_empty(), "{head}");
}
