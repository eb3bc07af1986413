//! An issuer at a store that would lose what it acknowledges, and `tessera doctor` there.

use std::path::Path;

use redis::aio::MultiplexedConnection;
use serde_json::Value;
use tessera_tests::{
    cli::{Cli, Ran},
    group::{Cluster, SentinelGroup},
    metrics::Scrape,
    port,
    process::{Process, built, clean},
    redis::Redis,
    service::{self, ADMIN_PASSWORD, Place},
    system::Backend,
    users::OBSERVER,
    watch::eventually,
};

async fn say(redis: &mut MultiplexedConnection, words: &str) {
    let words: Vec<_> = words.split(' ').collect();
    let _: redis::Value = redis::Cmd::new().arg(words).query_async(redis).await.unwrap();
}

/// An issuer as in production, if `flags` do not say otherwise.
fn issuer(redis: &Redis, place: Place, flags: &[&str], dir: &Path) -> Process {
    let mut command = clean(&built("tessera-issuer"));
    command
        .args(["--store", &redis.url()])
        .args(["--listen", &place.grpc.to_string()])
        .args(["--http-listen", &place.http.to_string()])
        .args(flags)
        .env("TESSERA_ADMIN_PASSWORD", ADMIN_PASSWORD)
        .env("TESSERA_KEY_ENCRYPTION_KEY", "7".repeat(64));
    Process::start("issuer", command, dir)
}

#[tokio::test]
async fn an_issuer_refuses_a_redis_that_loses_what_it_acknowledges() {
    let redis = Redis::start().await;
    let mut observer = redis.connection_as(OBSERVER).await;
    for (wrong, right) in [
        ("appendonly no", "appendonly yes"),
        ("appendfsync everysec", "appendfsync always"),
        ("no-appendfsync-on-rewrite yes", "no-appendfsync-on-rewrite no"),
        ("maxmemory-policy allkeys-lru", "maxmemory-policy noeviction"),
    ] {
        say(&mut observer, &format!("CONFIG SET {wrong}")).await;
        let dir = tempfile::TempDir::new().unwrap();
        let mut refused = issuer(&redis, Place::free(), &[], dir.path());
        assert_eq!(refused.exit().await.code(), Some(64), "{wrong}:\n{}", refused.log());
        assert!(refused.log().contains(right), "{right} is not in:\n{}", refused.log());
        let nothing: Vec<String> =
            redis::cmd("KEYS").arg("tessera:pw:*").query_async(&mut observer).await.unwrap();
        assert!(nothing.is_empty(), "nothing is written to such a store");
        say(&mut observer, &format!("CONFIG SET {right}")).await;
    }
    say(&mut observer, "CONFIG SET appendfsync everysec").await;
    let (dir, place) = (tempfile::TempDir::new().unwrap(), Place::free());
    let mut allowed = issuer(&redis, place, &["--dev"], dir.path());
    service::serving(&mut allowed, place.grpc).await;
    assert!(allowed.log().contains("appendfsync is everysec"), "{}", allowed.log());
}

#[tokio::test]
async fn an_issuer_that_is_to_wait_for_disks_starts_where_the_server_can() {
    let redis = Redis::start().await;
    let dir = tempfile::TempDir::new().unwrap();
    let flags = ["--store-wait-disks=true"];
    let mut refused = issuer(&redis, Place::free(), &flags, dir.path());
    assert_eq!(refused.exit().await.code(), Some(64), "{}", refused.log());
    let doctors = "--format json --store-wait-disks";
    if !redis.knows("waitaof").await {
        let log = refused.log();
        assert!(log.contains("has no WAITAOF") && log.contains("Redis 7.2"), "{log}");
        let ran = doctor(&redis, "issuer", doctors);
        assert!(ran.code == 1 && ran.stdout.contains("has no WAITAOF"), "{ran:?}");
        return;
    }
    assert!(refused.log().contains("+waitaof"), "{}", refused.log());
    assert!(doctor(&redis, "issuer", doctors).stdout.contains("+waitaof"));
    say(&mut redis.connection_as(OBSERVER).await, "ACL SETUSER issuer +waitaof").await;
    let (dir, place) = (tempfile::TempDir::new().unwrap(), Place::free());
    let mut allowed = issuer(&redis, place, &flags, dir.path());
    service::serving(&mut allowed, place.grpc).await;
    assert_eq!(found(&doctor(&redis, "issuer", doctors))["findings"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn an_issuer_says_loudly_what_it_may_not_look_at() {
    let redis = Redis::start().await;
    let mut observer = redis.connection_as(OBSERVER).await;
    say(&mut observer, "ACL SETUSER issuer -config|get").await;
    let (dir, place) = (tempfile::TempDir::new().unwrap(), Place::free());
    let mut started = issuer(&redis, place, &[], dir.path());
    service::serving(&mut started, place.grpc).await;
    let log = started.log();
    assert!(log.contains("WARN") && log.contains("durability is not known"), "{log}");
    assert!(log.contains("appendfsync") && log.contains("+config|get"), "{log}");
}

/// How many findings break the promise, as the issuer's metrics tell it.
async fn breaks_the_promise(issuer: Place) -> Option<f64> {
    Scrape::of(issuer.http).await.value("tessera_issuer_durability_findings{weight=\"breaks\"}")
}

#[tokio::test]
async fn a_store_that_comes_back_with_other_settings_is_told_at_once_and_counted() {
    let redis = Redis::start().await;
    let mut observer = redis.connection_as(OBSERVER).await;
    let (dir, place) = (tempfile::TempDir::new().unwrap(), Place::free());
    let mut started = issuer(&redis, place, &["--dev"], dir.path());
    service::serving(&mut started, place.grpc).await;
    assert_eq!(breaks_the_promise(place).await, Some(0.0));
    for (change, count, says) in [
        ("appendonly no", 1.0, "ERROR"),
        ("appendonly yes", 0.0, "keeps what it acknowledges again"),
    ] {
        assert!(!started.log().contains(says), "{}", started.log());
        say(&mut observer, &format!("CONFIG SET {change}")).await;
        // As a restart does, which would read the file.
        say(&mut observer, "CLIENT KILL TYPE normal").await;
        eventually(change, || async {
            let is_so = breaks_the_promise(place).await == Some(count);
            (is_so && started.log().contains(says)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_looked_at_before_a_failover_and_again_after_it() {
    let group = SentinelGroup::start().await;
    for number in [1, 2] {
        let command = redis::Cmd::new().arg(&["CONFIG", "SET", "appendonly", "no"]).to_owned();
        group.members[number].ask::<String>(&command).await.unwrap();
    }
    let line = format!("doctor --store {} --format json", group.url_as("issuer"));
    let cli = Cli::at(tempfile::TempDir::new().unwrap());
    let ran = cli.run(&line);
    assert_eq!(ran.code, 0, "a risk until the failover: {ran:?}");
    let address = group.members[1].address();
    let of_one = format!("of the replica {address}: appendonly is no");
    assert!(ran.stdout.contains(&of_one), "{ran:?}");

    let (dir, place) = (tempfile::TempDir::new().unwrap(), Place::free());
    let mut started = service::issuer(&group.url_as("issuer"), place, &[], dir.path());
    service::serving(&mut started, place.grpc).await;
    assert!(started.log().contains(&of_one), "{}", started.log());
    assert_eq!(breaks_the_promise(place).await, Some(0.0));
    assert!(group.fail_over().await);
    eventually("what the new primary breaks", || async {
        let is_told = started.log().contains("the store breaks the promise of durability");
        (is_told && breaks_the_promise(place).await == Some(1.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_the_successor_of_a_primary_is_looked_at() {
    let cluster = Cluster::start().await;
    let primaries = cluster.primaries().await;
    let (dir, place) = (tempfile::TempDir::new().unwrap(), Place::free());
    let mut started = service::issuer(&cluster.url_as("issuer"), place, &[], dir.path());
    service::serving(&mut started, place.grpc).await;
    assert_eq!(breaks_the_promise(place).await, Some(0.0));
    for number in (0..cluster.members.len()).filter(|number| !primaries.contains(number)) {
        let command = redis::Cmd::new().arg(&["CONFIG", "SET", "appendonly", "no"]).to_owned();
        cluster.members[number].ask::<String>(&command).await.unwrap();
    }
    let old = primaries[0];
    eventually("a failover", || async { cluster.fail_over(old).await.then_some(()) }).await;
    eventually("what the new primary breaks", || async {
        let is_told = started.log().contains("the store breaks the promise of durability");
        (is_told && breaks_the_promise(place).await == Some(1.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_out_of_reach_is_said_to_be_so() {
    // Others see the servers where nobody listens.
    let [primary, replica] = [Redis::start().await, Redis::start().await];
    let closed = port::free();
    let mut observer = replica.connection_as(OBSERVER).await;
    say(&mut observer, &format!("CONFIG SET masteruser {OBSERVER}")).await;
    let password = primary.users().password(OBSERVER);
    say(&mut observer, &format!("CONFIG SET masterauth {password}")).await;
    say(&mut observer, &format!("CONFIG SET replica-announce-port {}", closed.port())).await;
    say(&mut observer, &format!("REPLICAOF 127.0.0.1 {}", primary.address().port())).await;
    let says = format!("the replica {closed} was not looked at");
    eventually("a replica that is out of reach", || async {
        let ran = doctor(&primary, "issuer", "--format json");
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.contains(&says).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_doctor_says_that_nothing_can_be_written_without_the_replicas_that_are_waited_for() {
    let redis = Redis::start().await;
    let ran = doctor(&redis, "issuer", "--store-min-replicas 1 --format json");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(found(&ran)["findings"][0]["weight"], "breaks");
    assert!(ran.stdout.contains("nothing can be written"), "{ran:?}");
    let ran = doctor(&redis, "issuer", "--store-min-replicas 101");
    assert!(ran.code == 2 && ran.stderr.contains("0..=100"), "{ran:?}");
    // What is not there now may come: an issuer waits for it.
    let (dir, place) = (tempfile::TempDir::new().unwrap(), Place::free());
    let mut started = issuer(&redis, place, &["--store-min-replicas=1"], dir.path());
    eventually("a start that is tried again", || {
        assert!(started.ended().is_none(), "{}", started.log());
        std::future::ready(started.log().contains("not ready yet; trying on").then_some(()))
    })
    .await;
}

/// Somebody with a shell and the password of `user`, and what the doctor says then.
fn doctor(redis: &Redis, user: &str, flags: &str) -> Ran {
    let home = tempfile::TempDir::new().unwrap();
    let cli = Cli::at(home).and("TESSERA_STORE_PASSWORD", &redis.users().password(user));
    let address = redis.address();
    let ran = cli.run(&format!("doctor --store redis://{user}@{address}/0 {flags}"));
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains(&redis.users().password(user)), "{said}");
    ran
}

fn found(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[tokio::test]
async fn a_doctor_finds_nothing_wrong_with_what_deploy_has_and_changes_nothing() {
    let mut system = Backend::Redis.start().await;
    system.admin().await;
    system.end().await;
    let redis = system.redis();
    let before = redis.dump().await;
    for user in ["issuer", "verifier"] {
        let ran = doctor(redis, user, &format!("--as {user} --format json"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let seen = found(&ran);
        assert_eq!(seen["as"], user);
        assert_eq!(seen["findings"], Value::Array(Vec::new()), "{seen}");
        assert!(seen["topology"].as_str().unwrap().contains("standalone, master"), "{seen}");
    }
    let seen = found(&doctor(redis, "issuer", "--format json"));
    for name in ["server", "settings", "memory", "replicas", "clock"] {
        assert!(seen[name].is_string(), "{name} is not in {seen}");
    }
    assert!(doctor(redis, "issuer", "").ok().contains("appendfsync always"));
    assert_eq!(redis.dump().await, before);
}

#[tokio::test]
async fn a_doctor_names_what_breaks_a_promise_and_what_to_change() {
    let redis = Redis::start().await;
    let mut observer = redis.connection_as(OBSERVER).await;
    let mut breaks = async |change: &str, user: &str, says: &str| {
        say(&mut observer, change).await;
        let ran = doctor(&redis, user, &format!("--as {user} --format json"));
        assert_eq!(ran.code, 1, "{change}: {ran:?}");
        assert!(ran.stdout.contains(says), "{says} is not in {}", ran.stdout);
    };
    breaks("CONFIG SET appendfsync everysec", "issuer", "appendfsync always").await;
    breaks("ACL SETUSER issuer -zadd", "issuer", "ZADD tessera:ia").await;
    breaks("ACL SETUSER verifier +del ~tessera:*", "verifier", "DEL tessera:t:0").await;
    breaks("ACL SETUSER verifier +eval", "verifier", "GET tessera:sk:0").await;
    breaks("ACL SETUSER verifier -client|tracking", "verifier", "CLIENT TRACKING").await;
}

#[tokio::test]
async fn a_doctor_tells_a_wrong_setting_from_a_store_that_is_away() {
    let mut redis = Redis::start().await;
    let wrong = tempfile::TempDir::new().unwrap();
    let wrong = Cli::at(wrong).and("TESSERA_STORE_PASSWORD", "not the password");
    let line = format!("doctor --store redis://issuer@{}", redis.address());
    wrong.run(&line).fails(69, "refused the user name or the password");
    redis.kill9().await;
    let ran = doctor(&redis, "issuer", "");
    assert_eq!(ran.code, 69, "{ran:?}");
    let ran = wrong.run("doctor --store gopher://x");
    ran.fails(64, "a store URL is embedded:DIR");
}

#[tokio::test]
async fn a_doctor_looks_at_a_folder_in_use_and_at_rest() {
    let mut system = Backend::Embedded.start().await;
    let line = format!("doctor --store embedded:{} --output json", system.data().display());
    let cli = Cli::of(&system);
    let seen = cli.run(&line).json();
    assert!(seen["file"].as_str().unwrap().contains("in use"), "{seen}");
    assert!(seen["free_space"].is_string(), "{seen}");
    system.end().await;
    let seen = cli.run(&line).json();
    assert!(seen["file"].as_str().unwrap().contains("opens"), "{seen}");
    let file = system.data().join("tessera.redb");
    std::fs::write(&file, "no database").unwrap();
    let ran = cli.run(&line);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("tessera admin import"), "{ran:?}");
}
