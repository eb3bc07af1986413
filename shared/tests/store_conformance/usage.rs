//! What only a Redis does with the use of tokens, and whom it lets do what.

use tempfile::TempDir;
use tessera_shared::{
    clock::Timestamp,
    examine::Reason,
    id::{AccountId, TokenId},
    store::{
        Index, Key, OpenStore, StoreError, StoreOptions, StoreUrl, conformance, open, open_reader,
    },
    usage::{Usage, UsageNotes},
};

use crate::server::{ENCODED_PASSWORD, RedisServer};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const USERS: &str = include_str!("../../../deploy/redis/users.acl");

fn url(server: &RedisServer, user: &str, password: &str) -> StoreUrl {
    StoreUrl::parse(&format!("redis://{user}:{password}@127.0.0.1:{}", server.port)).unwrap()
}

pub(crate) fn store(server: &RedisServer) -> OpenStore {
    open(&url(server, "default", ENCODED_PASSWORD), StoreOptions::default()).unwrap()
}

pub(crate) async fn connection(server: &RedisServer, user: &str, password: &str) -> Connection {
    let url = format!("redis://{user}:{password}@127.0.0.1:{}", server.port);
    Connection(redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap())
}

/// For the test's own commands, in words.
pub(crate) struct Connection(redis::aio::MultiplexedConnection);

impl Connection {
    pub(crate) async fn ask<T: redis::FromRedisValue>(
        &mut self,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        redis::Cmd::new().arg(words).query_async(&mut self.0).await
    }
}

async fn token(store: &OpenStore, id: i64) -> TokenId {
    let token = TokenId::try_from(id).unwrap();
    store.swap(&Key::Token(token), None, Some(b"token"), None).await.unwrap();
    token
}

#[tokio::test]
async fn report_that_can_not_be_read_holds_up_no_other() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let store = store(&server);
    let token = token(&store, 1).await;
    let mut redis = connection(&server, "default", ENCODED_PASSWORD).await;
    for (field, value) in [("u", "nonsense"), ("x", ""), ("u", "\x0a\x02\x08\x00")] {
        let add = ["XADD", "tessera:use", "*", field, value];
        let _: String = redis.ask(&add).await.unwrap();
    }
    store.report_usage(&[(token, Usage::use_at(NOW))]).await.unwrap();
    store.merge_reported(NOW).await.unwrap();
    assert_eq!(store.usage(&[token]).await.unwrap(), [Usage::use_at(NOW)]);
    assert_eq!(redis.ask::<u64>(&["XLEN", "tessera:use"]).await.unwrap(), 0);
}

#[tokio::test]
async fn use_in_the_future_counts_as_now() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let store = store(&server);
    let token = token(&store, 1).await;
    store.report_usage(&[(token, Usage::use_at(Timestamp::NEVER))]).await.unwrap();
    store.merge_reported(NOW).await.unwrap();
    assert_eq!(store.usage(&[token]).await.unwrap(), [Usage::use_at(NOW)]);
}

#[tokio::test]
async fn reports_that_nobody_merges_are_bounded() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let store = store(&server);
    let token = token(&store, 1).await;
    for _ in 0..5000 {
        store.report_usage(&[(token, Usage::use_at(NOW))]).await.unwrap();
    }
    let mut redis = connection(&server, "default", ENCODED_PASSWORD).await;
    let length: u64 = redis.ask(&["XLEN", "tessera:use"]).await.unwrap();
    assert!((4096..4300).contains(&length), "{length}");
}

#[tokio::test]
async fn reports_that_fill_the_memory_are_gathered_and_leave_it() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let store = store(&server);
    let token = token(&store, 1).await;
    let mut redis = connection(&server, "default", ENCODED_PASSWORD).await;
    store.report_usage(&[(token, Usage::use_at(NOW))]).await.unwrap();
    let nonsense = "x".repeat(100_000);
    for _ in 0..200 {
        let _: String = redis.ask(&["XADD", "tessera:use", "*", "u", &nonsense]).await.unwrap();
    }
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "10mb"]).await.unwrap();
    let write = async || store.swap(&Key::Roles, None, Some(b"roles"), None).await;
    assert!(matches!(write().await, Err(StoreError::Unavailable(why)) if why.contains("OOM")));
    while store.merge_reported(NOW).await.unwrap() {}
    assert_eq!(store.usage(&[token]).await.unwrap(), [Usage::use_at(NOW)]);
    write().await.unwrap();
}

#[tokio::test]
async fn use_by_many_tokens_is_compact() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let store = store(&server);
    let mut redis = connection(&server, "default", ENCODED_PASSWORD).await;
    // All in one bucket, and as many as it may get with ten million tokens.
    let notes = UsageNotes::default();
    for n in 1..=300 {
        let token = token(&store, (1 << 52) + n * 32_768).await;
        notes.note_use(token, NOW);
        notes.note_refusal(Reason::Replaced(token), NOW);
    }
    notes.report(&*store).await.unwrap();
    store.merge_reported(NOW).await.unwrap();
    let encoding: String = redis.ask(&["OBJECT", "ENCODING", "tessera:lu:0"]).await.unwrap();
    assert_eq!(encoding, "listpack");
    assert_eq!(redis.ask::<u64>(&["HLEN", "tessera:lu:0"]).await.unwrap(), 300);
}

/// A server with the users of the compose file, whose passwords are their names.
async fn server_with_users() -> (TempDir, RedisServer) {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let mut redis = connection(&server, "default", ENCODED_PASSWORD).await;
    for (user, hash) in [("issuer", "#ISSUER_SHA256"), ("verifier", "#VERIFIER_SHA256")] {
        let rules = USERS.lines().find_map(|line| line.strip_prefix(&format!("user {user} ")));
        let rules = rules.unwrap().replace(hash, &format!(">{user}"));
        let words: Vec<_> = ["ACL", "SETUSER", user].into_iter().chain(rules.split(' ')).collect();
        let _: String = redis.ask(&words).await.unwrap();
    }
    (dir, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_user_may_do_all_that_a_store_does() {
    let (_dir, server) = server_with_users().await;
    let store = open(&url(&server, "issuer", "issuer"), StoreOptions::default()).unwrap();
    conformance::run(&store).await.unwrap();
}

#[tokio::test]
async fn verifiers_user_may_read_and_report_and_nothing_else() {
    let (_dir, server) = server_with_users().await;
    let issuer = open(&url(&server, "issuer", "issuer"), StoreOptions::default()).unwrap();
    let token = token(&issuer, 1).await;
    let verifier = url(&server, "verifier", "verifier");
    let reader = open_reader(&verifier, StoreOptions::default()).unwrap();
    assert_eq!(reader.read(&[Key::Token(token)]).await.unwrap(), [Some(b"token".to_vec())]);
    reader.report_usage(&[(token, Usage::use_at(NOW))]).await.unwrap();
    issuer.merge_reported(NOW).await.unwrap();
    assert_eq!(issuer.usage(&[token]).await.unwrap(), [Usage::use_at(NOW)]);

    // All that the process could do if it were taken over.
    let thief = open(&verifier, StoreOptions::default()).unwrap();
    let (account, key) = (AccountId::FIRST, Key::Token(token));
    for done in [
        thief.swap(&key, Some(b"token"), None, None).await.map(drop),
        thief.index_add(Index::Accounts, 7).await,
        thief.reserve(account, token, NOW, NOW, 9).await.map(drop),
        thief.read(&[Key::PrivateKey("kid".to_owned())]).await.map(drop),
        thief.merge_reported(NOW).await.map(drop),
        thief.usage(&[token]).await.map(drop),
        thief.forget_usage(&[token]).await,
    ] {
        assert!(matches!(&done, Err(StoreError::Unavailable(why)) if why.starts_with("NOPERM")));
    }
    let mut thief = connection(&server, "verifier", "verifier").await;
    for words in [
        &["XADD", "tessera:t:1", "*", "u", "x"][..],
        &["XADD", "tessera:lu:1", "*", "u", "x"],
        &["XRANGE", "tessera:use", "-", "+"],
        &["XTRIM", "tessera:use", "MAXLEN", "0"],
        &["DEL", "tessera:use"],
        &["SET", "tessera:use", "x"],
        &["GET", "tessera:lu:1"],
    ] {
        let refused = thief.ask::<redis::Value>(words).await.unwrap_err();
        assert_eq!(refused.code(), Some("NOPERM"), "{words:?}");
    }
}
