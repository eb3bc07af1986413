//! Sentinel and Cluster as they are run in production: TLS alone with certificates on both
//! sides, and the users of `deploy/redis`. The services name servers by host names, or by
//! addresses, as the certificates do.

use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tessera_tests::{
    cli::Cli,
    group::{Cluster, SentinelGroup},
    pair::{Pair, live_through},
};
use tokio::sync::Mutex;

/// The doctor has nothing to say, whoever asks.
fn all_is_well(url: impl Fn(&str) -> String, wanted: &str) {
    for user in ["issuer", "verifier"] {
        let cli = Cli::at(TempDir::new().unwrap());
        let ran = cli.run(&format!("doctor --store {} --as {user} --format json", url(user)));
        assert_eq!(ran.code, 0, "{ran:?}");
        let seen: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(seen["findings"], Value::Array(Vec::new()), "{seen}");
        let topology = seen["servers"][2]["topology"].as_str().or(seen["topology"].as_str());
        assert_eq!(topology, Some(wanted), "{seen}");
    }
}

async fn sentinels(by_name: bool) {
    let mut group = SentinelGroup::start_tls(by_name).await;
    all_is_well(|user| group.url_as(user), "sentinel, master");
    let pair = Pair::start(|user| group.url_as(user)).await;
    {
        let group = Arc::new(Mutex::new(&mut group));
        let kill = async || group.lock().await.members[0].kill9().await;
        let replaced = async || group.lock().await.wait_for_another_than(0).await;
        live_through(&pair, kill, replaced).await;
    }
    group.members[0].restart();
    group.wait_until_complete().await;
    all_is_well(|user| group.url_as(user), "sentinel, master");
}

async fn cluster(by_name: bool) {
    let mut cluster = Cluster::start_tls(by_name).await;
    all_is_well(|user| cluster.url_as(user), "cluster, master");
    let pair = Pair::start(|user| cluster.url_as(user)).await;
    {
        let cluster = Arc::new(Mutex::new(&mut cluster));
        let kill = async || cluster.lock().await.members[0].kill9().await;
        let replaced = async || {
            let mut cluster = cluster.lock().await;
            cluster.wait_for_another_than(0).await;
            // Its successor has no replica but this one to confirm a write.
            cluster.members[0].restart();
        };
        live_through(&pair, kill, replaced).await;
    }
    cluster.wait_until_complete().await;
    cluster.reshard(60).await.expect("a reshard over TLS");
    all_is_well(|user| cluster.url_as(user), "cluster, master");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_follow_sentinels_over_tls_by_host_names() {
    sentinels(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_follow_sentinels_over_tls_by_addresses() {
    sentinels(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_follow_a_cluster_over_tls_by_host_names() {
    cluster(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_follow_a_cluster_over_tls_by_addresses() {
    cluster(false).await;
}
