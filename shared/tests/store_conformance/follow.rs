//! Those who follow a store are told: of every change, of being out of sight, and of
//! instants, in that order.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tessera_shared::{
    id::TokenId,
    store::{
        Changes, Key, OpenStore, StoreOptions, StoreReader, StoreUrl, StoreWriter, Swap,
        embedded::EmbeddedStore, open, open_reader,
    },
};
use tokio::sync::Notify;

use crate::{
    server::{ENCODED_PASSWORD, PASSWORD, RedisServer},
    watch::{PATIENCE, eventually},
};

const INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, PartialEq)]
enum Told {
    Changed(Key),
    All,
    Proven(Instant),
    Always,
}

/// Writes down what it is told.
#[derive(Default)]
struct Recorder {
    told: Mutex<Vec<Told>>,
    /// Rung at each word.
    bell: Notify,
}

impl Recorder {
    fn note(&self, told: Told) {
        self.told.lock().unwrap().push(told);
        self.bell.notify_one();
    }

    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    /// What it was told up to something that `is_it`.
    async fn until(&self, is_it: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        let heard = async {
            loop {
                all.extend(self.take());
                if let Some(place) = all.iter().position(&is_it) {
                    return place;
                }
                self.bell.notified().await;
            }
        };
        let place = tokio::time::timeout(PATIENCE, heard).await;
        let Ok(place) = place else { panic!("never told: {all:?}") };
        all.truncate(place + 1);
        all
    }
}

impl Changes for Recorder {
    fn changed(&self, key: &Key) {
        self.note(Told::Changed(key.clone()));
    }

    fn all_changed(&self) {
        self.note(Told::All);
    }

    fn proven(&self, instant: Instant) {
        self.note(Told::Proven(instant));
    }

    fn always_proven(&self) {
        self.note(Told::Always);
    }
}

fn url(server: &RedisServer) -> StoreUrl {
    StoreUrl::parse(&format!("redis://127.0.0.1:{}", server.port)).unwrap()
}

fn options() -> StoreOptions {
    StoreOptions { password: Some(PASSWORD.to_owned()), ..StoreOptions::default() }
}

/// A writer, a reader that is followed, and who follows it.
async fn followed(server: &RedisServer) -> (OpenStore, Arc<dyn StoreReader>, Arc<Recorder>) {
    let writer = open(&url(server), options()).unwrap();
    let reader = open_reader(&url(server), options()).unwrap();
    let recorder = Arc::new(Recorder::default());
    reader.follow(recorder.clone(), INTERVAL);
    recorder.until(|told| *told == Told::All).await;
    (writer, reader, recorder)
}

fn token(id: i64) -> Key {
    Key::Token(TokenId::try_from(id).unwrap())
}

async fn put(writer: &OpenStore, key: &Key, old: Option<&[u8]>, new: Option<&[u8]>) {
    assert_eq!(writer.swap(key, old, new, None).await.unwrap(), Swap::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_tells_each_change_of_what_verifiers_hold_and_of_nothing_else() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let (writer, _reader, recorder) = followed(&server).await;
    let user = Key::User(7.try_into().unwrap());
    let account = Key::Account(7.try_into().unwrap());
    let held = [token(1), user, account, Key::Roles, Key::KeySet, Key::Revocations(255)];
    put(&writer, &Key::PrivateKey("k".into()), None, Some(b"secret")).await;
    put(&writer, &Key::Username("ada".into()), None, Some(b"7")).await;
    for key in &held {
        put(&writer, key, None, Some(b"a")).await;
        recorder.until(|told| *told == Told::Changed(key.clone())).await;
    }
    put(&writer, &token(1), Some(b"a"), None).await;
    let told = recorder.until(|told| matches!(told, Told::Changed(_))).await;
    assert_eq!(told.last(), Some(&Told::Changed(token(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_proves_only_what_a_heartbeat_followed_and_after_the_changes_before_it() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let (writer, _reader, recorder) = followed(&server).await;
    // The first look has nothing to compare with; a heartbeat shows at the next.
    wait_for_looks(&server, 1).await;
    for round in 1..=20 {
        put(&writer, &token(round), None, Some(b"a")).await;
        // Acknowledged by now: what is proven from here on covers it.
        let told = proven_since(Instant::now(), &writer, &recorder).await;
        assert!(told.contains(&Told::Changed(token(round))), "round {round}: {told:?}");
    }
    // A server that answers and takes no heartbeat proves nothing.
    wait_for_looks(&server, 20).await;
    let told = recorder.take();
    assert!(!told.iter().any(|told| matches!(told, Told::Proven(_))), "{told:?}");
}

/// What is told until an instant not before `since` is proven. Each heartbeat proves one:
/// that at which the look was sent that saw it, which may have been on its way already.
async fn proven_since(since: Instant, writer: &OpenStore, recorder: &Recorder) -> Vec<Told> {
    let mut all = Vec::new();
    loop {
        writer.beat().await.unwrap();
        all.extend(recorder.until(|told| matches!(told, Told::Proven(_))).await);
        if matches!(all.last(), Some(Told::Proven(at)) if *at >= since) {
            return all;
        }
    }
}

/// Waits until the follower has looked at the heartbeat `count` times from now on.
async fn wait_for_looks(server: &RedisServer, count: u64) {
    let mut redis = connection(server).await;
    let () = redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut redis).await.unwrap();
    eventually("looks at the heartbeat", async || {
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await.unwrap();
        let gets = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
        let gets = gets.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap());
        (gets > count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_out_of_sight_and_back_has_changed_in_everything() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let (writer, _reader, recorder) = followed(&server).await;
    cut_connections(&server).await;
    recorder.until(|told| *told == Told::All).await;
    put_again(&writer).await;
    recorder.until(|told| *told == Told::Changed(token(1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_redis_has_changed_in_everything() {
    let dir = TempDir::new().unwrap();
    let server = RedisServer::start(dir.path());
    let (_writer, _reader, recorder) = followed(&server).await;
    command(&server, "FLUSHALL", &[]).await;
    recorder.until(|told| *told == Told::All).await;
}

/// The writer's connection was cut too.
async fn put_again(writer: &OpenStore) {
    let again = async || writer.swap(&token(1), None, Some(b"a"), None).await.ok();
    eventually("a connection", again).await;
}

async fn cut_connections(server: &RedisServer) {
    command(server, "CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
}

async fn command(server: &RedisServer, name: &str, arguments: &[&str]) {
    let mut connection = connection(server).await;
    let _: redis::Value =
        redis::cmd(name).arg(arguments).query_async(&mut connection).await.unwrap();
}

async fn connection(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let url = format!("redis://:{ENCODED_PASSWORD}@127.0.0.1:{}", server.port);
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn the_embedded_store_tells_each_write_before_it_answers_it() {
    let dir = TempDir::new().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let recorder = Arc::new(Recorder::default());
    store.follow(recorder.clone(), INTERVAL);
    assert_eq!(recorder.take(), [Told::Always, Told::All]);
    store.swap(&token(1), None, Some(b"a"), None).await.unwrap();
    assert_eq!(recorder.take(), [Told::Changed(token(1))]);
    // A clone is the same store.
    store.clone().swap(&token(1), Some(b"a"), None, None).await.unwrap();
    assert_eq!(recorder.take(), [Told::Changed(token(1))]);
}
