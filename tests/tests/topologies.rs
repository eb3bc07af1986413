//! The store over servers that replace each other: what every store does, and what a
//! write is worth. The services themselves are in `failover.rs`.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use redis::cmd;
use tessera_shared::{
    id::TokenId,
    store::{
        Changes, Key, OpenStore, StoreError, StoreOptions, StoreUrl, Swap, conformance, open,
        open_reader, redis::Guarantee,
    },
};
use tessera_tests::{
    group::{Cluster, Member, SentinelGroup},
    redis::Redis,
    watch::eventually,
};

const ONE_REPLICA: Guarantee = Guarantee { replicas: 1, disks: false };
const INTERVAL: Duration = Duration::from_millis(20);

fn store(url: &str, guarantee: Guarantee) -> OpenStore {
    let options = StoreOptions { guarantee, ..StoreOptions::default() };
    open(&StoreUrl::parse(url).unwrap(), options).unwrap()
}

fn token(id: i64) -> Key {
    Key::Token(TokenId::try_from(id).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_under_sentinels_conforms() {
    let group = SentinelGroup::start().await;
    conformance::run(&store(&group.url_as("issuer"), Guarantee::default())).await.unwrap();
    conformance::run(&store(&group.url_as("issuer"), ONE_REPLICA)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_cluster_conforms() {
    let cluster = Cluster::start().await;
    conformance::run(&store(&cluster.url_as("issuer"), Guarantee::default())).await.unwrap();
    conformance::run(&store(&cluster.url_as("issuer"), ONE_REPLICA)).await.unwrap();
}

/// `replicas`: all of them.
async fn unconfirmed_without(replicas: &[Member], store: &OpenStore) {
    let key = token(7);
    assert_eq!(store.swap(&key, None, Some(b"a"), None).await.unwrap(), Swap::Done);
    replicas.iter().for_each(Member::stop);
    let refused = store.swap(&key, Some(b"a"), Some(b"b"), None).await;
    assert!(matches!(refused, Err(StoreError::NotConfirmed(_))), "{refused:?}");
    // It is done, and who finds it so is not told that it is safe.
    assert_eq!(store.read(std::slice::from_ref(&key)).await.unwrap(), [Some(b"b".to_vec())]);
    let repeated = store.confirm(&key).await;
    assert!(matches!(repeated, Err(StoreError::NotConfirmed(_))), "{repeated:?}");
    assert!(store.beat().await.is_err(), "a server without its replicas proves nothing");
    replicas.iter().for_each(Member::cont);
    eventually("a confirmation", || async { store.confirm(&key).await.ok() }).await;
    eventually("a heartbeat", || async { store.beat().await.ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_no_replica_has_is_not_confirmed() {
    let group = SentinelGroup::start().await;
    assert_eq!(group.primary().await, 0);
    unconfirmed_without(&group.members[1..], &store(&group.url_as("issuer"), ONE_REPLICA)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_a_cluster_that_no_replica_has_is_not_confirmed() {
    let cluster = Cluster::start().await;
    unconfirmed_without(&cluster.members[3..], &store(&cluster.url_as("issuer"), ONE_REPLICA))
        .await;
}

#[tokio::test]
async fn more_replicas_than_there_are_confirm_nothing() {
    let redis = Redis::start().await;
    let store = store(&redis.url(), ONE_REPLICA);
    let refused = store.swap(&token(1), None, Some(b"a"), None).await;
    let Err(StoreError::NotConfirmed(reason)) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "0 of 1 replicas have it in time");
}

const ITS_DISKS: Guarantee = Guarantee { replicas: 0, disks: true };

#[tokio::test]
async fn disks_are_waited_for_where_the_server_can_and_nothing_is_said_where_it_cannot() {
    let redis = Redis::start().await;
    let store = store(&redis.url(), ITS_DISKS);
    let refused = store.swap(&token(1), None, Some(b"a"), None).await;
    let Err(StoreError::NotConfirmed(reason)) = refused else { panic!("{refused:?}") };
    if !redis.knows("waitaof").await {
        assert!(reason.contains("it takes Redis 7.2"), "{reason}");
        return;
    }
    // As deploy/redis/README.md has it for such a server.
    assert!(reason.contains("NOPERM"), "{reason}");
    let mut allow = redis::cmd("ACL");
    allow.arg("SETUSER").arg("issuer").arg("+waitaof");
    let _: String = allow.query_async(&mut redis.connection().await).await.unwrap();
    assert_eq!(store.swap(&token(2), None, Some(b"a"), None).await.unwrap(), Swap::Done);
    store.confirm(&token(1)).await.unwrap();
    // With nothing that is written to a disk there is nothing to wait for.
    let mut forget = redis::cmd("CONFIG");
    forget.arg("SET").arg("appendonly").arg("no");
    let _: String = forget.query_async(&mut redis.connection().await).await.unwrap();
    let refused = store.swap(&token(3), None, Some(b"a"), None).await;
    assert!(matches!(refused, Err(StoreError::NotConfirmed(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_of_replicas_are_waited_for_where_the_server_can() {
    let group = SentinelGroup::start().await;
    let disks = Guarantee { replicas: 1, disks: true };
    for member in &group.members {
        let mut allow = redis::cmd("ACL");
        allow.arg("SETUSER").arg("issuer").arg("+waitaof");
        if member.ask::<String>(&allow).await.is_err() {
            println!("this server has no WAITAOF");
            return;
        }
    }
    assert_eq!(group.primary().await, 0);
    unconfirmed_without(&group.members[1..], &store(&group.url_as("issuer"), disks)).await;
}

/// When it was last told that all is another, and what was last proven.
#[derive(Default)]
struct Follower(Mutex<(Option<Instant>, Option<Instant>)>);

impl Changes for Follower {
    fn changed(&self, _key: &Key) {}

    fn all_changed(&self) {
        self.0.lock().unwrap().0 = Some(Instant::now());
    }

    fn proven(&self, instant: Instant) {
        self.0.lock().unwrap().1 = Some(instant);
    }

    fn always_proven(&self) {
        panic!("no Redis is");
    }
}

impl Follower {
    async fn proves_after(&self, instant: Instant) {
        let proven = || std::future::ready(self.0.lock().unwrap().1.filter(|at| *at > instant));
        eventually("a proof", proven).await;
    }
}

/// Follows, and counts the heartbeat up meanwhile.
fn follow(
    url: impl Fn(&str) -> String,
) -> (Arc<Follower>, Arc<dyn tessera_shared::store::StoreReader>, OpenStore) {
    let (reader, writer) = (
        open_reader(&StoreUrl::parse(&url("verifier")).unwrap(), StoreOptions::default()),
        store(&url("issuer"), ONE_REPLICA),
    );
    let (reader, follower) = (reader.unwrap(), Arc::new(Follower::default()));
    reader.follow(follower.clone(), INTERVAL);
    let beating = writer.clone();
    tokio::spawn(async move {
        loop {
            let _ = beating.beat().await;
            tokio::time::sleep(INTERVAL).await;
        }
    });
    (follower, reader, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_proves_nothing_and_its_successor_does() {
    let mut group = SentinelGroup::start().await;
    let (follower, reader, writer) = follow(|user| group.url_as(user));
    follower.proves_after(Instant::now()).await;
    assert_eq!(writer.swap(&token(1), None, Some(b"a"), None).await.unwrap(), Swap::Done);
    group.members[0].kill9().await;
    let killed = Instant::now();
    follower.proves_after(killed).await;
    let (flushed, _) = *follower.0.lock().unwrap();
    assert!(flushed > Some(killed), "what was held of the old primary is let go of");
    assert_ne!(group.primary().await, 0);
    assert_eq!(reader.read(&[token(1)]).await.unwrap(), [Some(b"a".to_vec())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_proves_nothing_while_a_primary_is_missing() {
    let mut cluster = Cluster::start().await;
    let (follower, reader, writer) = follow(|user| cluster.url_as(user));
    follower.proves_after(Instant::now()).await;
    let keys: Vec<Key> = (1..=30).map(token).collect();
    for key in &keys {
        assert_eq!(writer.swap(key, None, Some(b"a"), None).await.unwrap(), Swap::Done);
    }
    let all = vec![Some(b"a".to_vec()); keys.len()];
    assert_eq!(reader.read(&keys).await.unwrap(), all);
    cluster.members[1].kill9().await;
    let killed = Instant::now();
    cluster.wait_for_another_than(1).await;
    // Every primary has to have a replica again, or it confirms nothing.
    cluster.members[1].restart();
    follower.proves_after(killed).await;
    // What is proven is the oldest of what all nodes prove, and may be of before the flush.
    let (flushed, _) = *follower.0.lock().unwrap();
    let flushed = flushed.filter(|at| *at > killed).expect("of the new primary nothing was held");
    follower.proves_after(flushed).await;
    eventually("all keys", || async { reader.read(&keys).await.ok() }).await;
    assert_eq!(reader.read(&keys).await.unwrap(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_under_load_and_no_change_is_missed() {
    let cluster = Cluster::start().await;
    let (follower, followed, writer) = follow(|user| cluster.url_as(user));
    follower.proves_after(Instant::now()).await;
    let reader = followed.clone();
    let writing = tokio::spawn(async move {
        for round in 0_i64.. {
            let key = token(1 + round % 50);
            let old = reader.read(std::slice::from_ref(&key)).await.unwrap().remove(0);
            let new = format!("{round}").into_bytes();
            assert_eq!(
                writer.swap(&key, old.as_deref(), Some(&new), None).await.unwrap(),
                Swap::Done
            );
            assert_eq!(reader.read(&[key]).await.unwrap(), [Some(new)], "round {round}");
        }
    });
    for _ in 0..3 {
        cluster.reshard(60).await.unwrap();
    }
    assert!(!writing.is_finished(), "{:?}", writing.await);
    writing.abort();
    follower.proves_after(Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_is_asked_nothing() {
    let redis = Redis::start().await;
    let (store, key) = (store(&redis.url_as("verifier"), Guarantee::default()), [token(7)]);
    assert_eq!(store.read(&key).await.unwrap(), [None]);
    let mut admin = redis.connection().await;
    let replica_of = |host: &str, port: &str| cmd("REPLICAOF").arg(&[host, port]).to_owned();
    replica_of("127.0.0.1", "9").exec_async(&mut admin).await.unwrap();
    eventually("a refusal", || async {
        match store.read(&key).await {
            Err(StoreError::Unavailable(why)) => why.contains("is a replica").then_some(()),
            other => {
                assert!(other.is_ok(), "{other:?}");
                None
            }
        }
    })
    .await;
    replica_of("NO", "ONE").exec_async(&mut admin).await.unwrap();
    eventually("an answer", || async { store.read(&key).await.ok() }).await;
}
