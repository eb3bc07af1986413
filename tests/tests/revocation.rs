//! `POST /revoke` (RFC 7009): by Authlib, and by hand.

use std::net::SocketAddr;

use tessera_proto::v1::{DenialReason, GetPermanentTokenRequest};
use tessera_tests::{
    ask::{ask, verdict},
    client::Credentials,
    on_every_backend,
    system::{Backend, System, named},
    tools::{succeed, venv},
    watch::eventually,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

on_every_backend!(
    an_oauth_library_revokes_every_kind_of_token,
    a_wrong_request_revokes_nothing_and_is_told_so,
);

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

async fn is_denied_everywhere(system: &System, token: &str) {
    for verifier in system.verifiers() {
        eventually("a denial", || {
            let (mut verifier, question) = (verifier.clone(), ask(token));
            async move {
                let answer = verifier.verify(question).await.ok()?.into_inner();
                (verdict(answer) == Err(DenialReason::Revoked)).then_some(())
            }
        })
        .await;
    }
}

async fn an_oauth_library_revokes_every_kind_of_token(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let caller = system.permanent(&admin, named("of the client")).await.token;
    let permanent = system.permanent(&admin, named("to be revoked")).await.token;
    let (one, other) = (system.admin_session().await, system.admin_session().await);
    let issuer = format!("http://{}", system.issuer_place().http);
    let mut python = venv("python");
    python.arg("revoke.py").args([&issuer, &caller]);
    python.args([&one.access_token, &other.refresh_token, &permanent]);
    let said = tokio::task::spawn_blocking(move || succeed(&mut python)).await.unwrap();
    assert_eq!(said.trim(), "ok");
    for token in [&one.access_token, &other.access_token, &permanent] {
        is_denied_everywhere(&system, token).await;
    }
    assert!(system.verdict(ask(&caller)).await.is_ok());
    let refreshed = tessera_proto::v1::RefreshRequest { refresh_token: other.refresh_token };
    system.issuer(&Credentials::none()).refresh(refreshed).await.unwrap_err();
}

/// The whole answer to a request with these headers and this body.
async fn send(address: SocketAddr, method: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} /revoke HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Who refuses a large body may close before it has read all of it.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap().to_ascii_lowercase()
}

async fn a_wrong_request_revokes_nothing_and_is_told_so(backend: Backend) {
    let mut system = backend.start().await;
    let address = system.issuer_place().http;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("kept")).await;
    let caller = system.permanent(&admin, named("caller")).await.token;
    let (token, bearer) = (made.token, format!("{FORM}Authorization: bearer {caller}\r\n"));
    let body = format!("token={token}");
    for (method, headers, body, status, has) in [
        ("POST", FORM, &body, "401", "\r\nwww-authenticate: bearer"),
        ("POST", &format!("{FORM}Authorization: Basic YTpi\r\n"), &body, "401", "invalid_client"),
        ("POST", &bearer, &format!("{body}&{body}"), "400", "invalid_request"),
        (
            "POST",
            &bearer,
            &format!("{body}&token_type_hint=a&token_type_hint=b"),
            "400",
            "invalid_",
        ),
        ("POST", &bearer, &"token=".to_owned(), "400", "invalid_request"),
        ("POST", &bearer[FORM.len()..], &body, "415", "invalid_request"),
        ("GET", &bearer, &body, "405", "\r\nallow: post"),
        ("POST", &bearer, &format!("token={}", "a".repeat(40_000)), "413", ""),
        // What is no token is not good, as was wanted.
        ("POST", &bearer, &"token=hunter2".to_owned(), "200", "\r\ncontent-length: 0"),
    ] {
        let answer = send(address, method, headers, body).await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
        assert!(answer.contains(has), "{has}: {answer}");
        assert!(!answer.contains(&token.to_ascii_lowercase()), "{answer}");
    }
    assert!(system.verdict(ask(&token)).await.is_ok());

    if backend == Backend::Redis {
        system.redis().kill9().await;
        let answer = send(address, "POST", &bearer, &body).await;
        assert!(answer.starts_with("http/1.1 503"), "{answer}");
        assert!(answer.contains("\r\nretry-after: 1\r"), "{answer}");
        system.redis().restart().await;
        eventually("the store", || {
            let (mut issuer, id) =
                (system.issuer(&admin), made.permanent_token.clone().unwrap().id);
            async move {
                issuer.get_permanent_token(GetPermanentTokenRequest { id }).await.ok().map(drop)
            }
        })
        .await;
    }
    // A token is proof enough that it may be ended.
    let own = format!("{FORM}Authorization: APIKey {token}\r\n");
    let answer = send(address, "POST", &own, &body).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    is_denied_everywhere(&system, &token).await;
}

#[tokio::test]
async fn what_is_revoked_so_is_in_the_audit_trail() {
    let system = Backend::Redis.start_with(&["--log-format", "json"]).await;
    let made = system.permanent(&system.admin().await, named("ended")).await;
    let id = made.permanent_token.unwrap().id;
    let headers = format!("{FORM}Authorization: Bearer {0}\r\n", made.token);
    let body = format!("token={}", made.token);
    let answer = send(system.issuer_place().http, "POST", &headers, &body).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    let log = std::fs::read_to_string(system.dir().join("issuer.log")).unwrap();
    let told = format!("\"action\":\"/revoke\",\"target.token\":{id}");
    assert_eq!(log.lines().filter(|line| line.contains(&told)).count(), 1, "{log}");
    assert!(!log.contains(&made.token), "{log}");
}
