use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tessera_shared::store::{
    Key, OpenStore, StoreError, StoreOptions, StoreUrl, Swap, conformance, open, open_reader,
};

use crate::{
    server::{ENCODED_PASSWORD, PASSWORD, RedisServer},
    watch::eventually,
};

/// A call that fails fast takes less, even on a busy machine.
const FAST: Duration = Duration::from_millis(500);
/// One deadline, and something for a busy machine.
const DEADLINE: Duration = Duration::from_millis(2500);

fn server() -> (TempDir, RedisServer) {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    (dir, server)
}

fn open_url(url: &str, ca_file: Option<PathBuf>, password: Option<&str>) -> OpenStore {
    let options =
        StoreOptions { ca_file, password: password.map(str::to_owned), ..StoreOptions::default() };
    open(&StoreUrl::parse(url).unwrap(), options).unwrap()
}

fn open_tcp(server: &RedisServer) -> OpenStore {
    open_url(&format!("redis://:{ENCODED_PASSWORD}@127.0.0.1:{}", server.port), None, None)
}

/// What the store answers once it answers.
async fn recovered(store: &OpenStore) -> Vec<Option<Vec<u8>>> {
    let read = async || store.read(&[Key::Roles, Key::KeySet]).await.ok();
    eventually("an answer of the store", read).await
}

async fn reason(store: &OpenStore) -> String {
    match store.read(&[Key::Roles]).await {
        Err(StoreError::Unavailable(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_store_conforms() {
    let (_dir, server) = server();
    conformance::run(&open_tcp(&server)).await.unwrap();
    let other = format!("redis://default:{ENCODED_PASSWORD}@localhost:{}/3?prefix=x:", server.port);
    conformance::run(&open_url(&other, None, None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_store_conforms_over_tls() {
    let (_dir, server) = server();
    let url = format!("rediss://default@localhost:{}", server.tls_port);
    let store = open_url(&url, Some(server.ca_file()), Some(PASSWORD));
    conformance::run(&store).await.unwrap();
}

#[tokio::test]
async fn server_that_wants_a_certificate_gets_the_clients() {
    let (_dir, server) = server();
    let client =
        redis::Client::open(format!("redis://:{ENCODED_PASSWORD}@127.0.0.1:{}", server.port));
    let mut connection = client.unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut demand = redis::cmd("CONFIG");
    demand.arg("SET").arg("tls-auth-clients").arg("yes");
    let () = demand.query_async(&mut connection).await.unwrap();

    let url = format!("rediss://default@localhost:{}", server.tls_port);
    reason(&open_url(&url, Some(server.ca_file()), Some(PASSWORD))).await;
    let [cert, key] = server.identity().map(|file| file.display().to_string());
    let url = format!("{url}?cert_file={cert}&key_file={key}");
    let store = open_url(&url, Some(server.ca_file()), Some(PASSWORD));
    assert_eq!(store.read(&[Key::Roles]).await.unwrap(), [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_store_conforms_over_a_unix_socket() {
    let (_dir, server) = server();
    let url = format!("redis+unix://{}?db=1", server.socket().display());
    conformance::run(&open_url(&url, None, Some(PASSWORD))).await.unwrap();
}

#[tokio::test]
async fn prefixes_and_databases_are_apart() {
    let (_dir, server) = server();
    let url = |tail: &str| format!("redis://127.0.0.1:{}{tail}", server.port);
    let stores =
        ["", "?prefix=other:", "/1"].map(|tail| open_url(&url(tail), None, Some(PASSWORD)));
    for store in &stores {
        let end = store.swap(&Key::Roles, None, Some(b"mine"), None).await.unwrap();
        assert_eq!(end, Swap::Done);
    }
}

#[tokio::test]
async fn server_of_another_authority_or_name_is_not_trusted() {
    let (_dir, server) = server();
    let (_other_dir, other) = self::server();
    let wrong_ca =
        format!("rediss://localhost:{}?ca_file={}", server.tls_port, other.ca_file().display());
    let store = open_url(&wrong_ca, None, Some(PASSWORD));
    assert!(reason(&store).await.contains("certificate"), "{}", reason(&store).await);
    let wrong_name = format!("rediss://127.0.0.1:{}", server.tls_port);
    let store = open_url(&wrong_name, Some(server.ca_file()), Some(PASSWORD));
    assert!(reason(&store).await.contains("certificate"), "{}", reason(&store).await);
}

#[tokio::test]
async fn wrong_password_is_reported_and_not_repeated() {
    let (_dir, server) = server();
    let url = format!("redis://127.0.0.1:{}", server.port);
    let wrong = reason(&open_url(&url, None, Some("hunter2"))).await;
    assert!(wrong.contains("refused the user name or the password"), "{wrong}");
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let none = reason(&open_url(&url, None, None)).await;
    assert!(none.contains("wants a password"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_server_is_unavailable_at_once_and_found_again() {
    let (_dir, mut server) = server();
    let store = open_tcp(&server);
    store.swap(&Key::Roles, None, Some(b"a"), None).await.unwrap();
    server.kill();
    for _ in 0..20 {
        let start = Instant::now();
        reason(&store).await;
        assert!(start.elapsed() < FAST, "{:?}", start.elapsed());
    }
    server.restart();
    // It kept nothing, scripts included.
    assert_eq!(recovered(&store).await, [None, None]);
    assert_eq!(store.swap(&Key::Roles, None, Some(b"b"), None).await.unwrap(), Swap::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_server_is_unavailable_within_the_deadline_and_found_again() {
    let (_dir, server) = server();
    let store = open_tcp(&server);
    store.swap(&Key::Roles, None, Some(b"a"), None).await.unwrap();
    server.freeze(true);
    let start = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { reason(&store).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
    server.freeze(false);
    assert_eq!(recovered(&store).await, [Some(b"a".to_vec()), None]);
}

#[tokio::test]
async fn server_may_come_after_the_store() {
    let (_dir, mut server) = server();
    server.kill();
    let url = format!("redis://127.0.0.1:{}", server.port);
    let options = StoreOptions { password: Some(PASSWORD.to_owned()), ..Default::default() };
    let reader = open_reader(&StoreUrl::parse(&url).unwrap(), options).unwrap();
    reader.read(&[Key::Roles]).await.unwrap_err();
    let store = open_tcp(&server);
    reason(&store).await;
    server.restart();
    assert_eq!(recovered(&store).await, [None, None]);
}

#[test]
fn store_is_opened_outside_a_runtime() {
    let (_dir, server) = server();
    let store = open_tcp(&server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(store.read(&[Key::Roles])).unwrap(), [None]);
}
