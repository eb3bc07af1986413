//! A failover as the services live through it: what was ended stays ended, and everything
//! answers again by itself. How long it took is told, and not judged. Many failovers under
//! load are in `promise.rs`.

use std::{
    collections::BTreeMap,
    sync::OnceLock,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tessera_proto::v1::{
    DenialReason, ErrorReason, ExchangeTokenRequest, LoginRequest, RefreshRequest,
    RevokePermanentTokenRequest,
};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::{self, Credentials, Verifier},
    group::{Cluster, Member, SentinelGroup},
    pair::{Pair, live_through},
    process::Process,
    proxy::{Proxy, Which},
    refused::assert_refused,
    service::{self, ADMIN_PASSWORD, Place},
    watch::{STALENESS_BOUND, eventually},
};
use tokio::{task::JoinSet, time::interval};
use tonic::Code;

const VERIFIERS: usize = 4;
/// Between two revocations: so that they go on until a failover is over.
const PAUSE: Duration = Duration::from_millis(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_under_sentinels_is_replaced_and_loses_nothing() {
    let mut group = SentinelGroup::start().await;
    let pair = Pair::start(|user| group.url_as(user)).await;
    let group = std::sync::Arc::new(tokio::sync::Mutex::new(&mut group));
    let kill = async || group.lock().await.members[0].kill9().await;
    let replaced = async || group.lock().await.wait_for_another_than(0).await;
    live_through(&pair, kill, replaced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_of_a_cluster_is_replaced_and_loses_nothing() {
    let mut cluster = Cluster::start().await;
    let pair = Pair::start(|user| cluster.url_as(user)).await;
    let cluster = std::sync::Arc::new(tokio::sync::Mutex::new(&mut cluster));
    let kill = async || cluster.lock().await.members[0].kill9().await;
    let replaced = async || {
        let mut cluster = cluster.lock().await;
        cluster.wait_for_another_than(0).await;
        // Its successor has no replica but this one to confirm a write.
        cluster.members[0].restart();
    };
    live_through(&pair, kill, replaced).await;
}

/// A token that was revoked while the primary was replaced, and how often it was granted after
/// that was acknowledged.
struct Revoked {
    token: String,
    granted: usize,
}

/// The old primary lives on, and takes writes for seconds. What it took alone is lost, as is told;
/// but what the new one took, nobody may read of the old one after.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_replaced_by_hand_under_load_is_believed_by_nobody_after() {
    let group = SentinelGroup::start().await;
    // To wait for a replica would hide it: that one has to turn to the new primary first.
    let flags = ["--store-min-replicas=0", "--tokens-per-account=1000"];
    let pair = Pair::start_with(|user| group.url_as(user), &flags).await;
    let dir = TempDir::new().unwrap();
    // Each looks at the sentinels at another moment than the issuer.
    let mut verifiers = Vec::new();
    for number in 0..VERIFIERS {
        let (name, place) = (format!("verifier-{number}"), Place::free());
        let url = group.url_as("verifier");
        let mut process = service::verifier(&name, &url, place, &[], dir.path());
        service::serving(&mut process, place.grpc).await;
        verifiers.push((client::verifier(place.grpc), process));
    }
    let admin = pair.admin().await;
    let mut lost = 0;
    for _ in 0..2 {
        let mut tokens = Vec::new();
        for _ in 0..200 {
            tokens.push(pair.token(&admin).await);
        }
        let (old, replaced) = (group.primary().await, OnceLock::new());
        let replacing = async {
            assert!(group.fail_over().await);
            group.wait_for_another_than(old).await;
            replaced.set(Instant::now()).unwrap();
        };
        let revoking = async {
            let (mut revoked, mut ticks) = (Vec::new(), interval(PAUSE));
            for (token, id) in tokens {
                ticks.tick().await;
                pair.revoke(&admin, id).await;
                let granted = grants(&verifiers, &token).await;
                revoked.push(Revoked { token, granted });
                if replaced.get().is_some_and(|at| at.elapsed() > STALENESS_BOUND) {
                    break;
                }
            }
            revoked
        };
        let ((), revoked) = tokio::join!(replacing, revoking);
        group.wait_until_complete().await;
        for Revoked { token, granted } in &revoked {
            let answer = pair.verifier().verify(ask(token)).await.unwrap().into_inner();
            match verdict(answer) {
                Err(DenialReason::Revoked) => assert_eq!(*granted, 0, "of the old primary"),
                _ => lost += 1,
            }
        }
        println!("{} were revoked", revoked.len());
    }
    println!("{lost} were lost");
}

/// How many of these grant the token, an outage being none.
async fn grants(verifiers: &[(Verifier, Process)], token: &str) -> usize {
    let mut asking = JoinSet::new();
    for (verifier, _) in verifiers {
        let (mut verifier, question) = (verifier.clone(), ask(token));
        asking.spawn(async move { verifier.verify(question).await });
    }
    let mut granted = 0;
    for answer in asking.join_all().await {
        match answer.map(|answer| verdict(answer.into_inner())) {
            Ok(verdict) => granted += usize::from(verdict.is_ok()),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
    }
    granted
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_replica_confirms_is_told_apart_and_a_retry_finishes_it() {
    let group = SentinelGroup::start().await;
    let pair = Pair::start(|user| group.url_as(user)).await;
    let admin = pair.admin().await;
    let (token, id) = pair.token(&admin).await;
    let exchanged = client::issuer(pair.issuer.grpc, &Credentials::api_key(&token))
        .exchange_token(ExchangeTokenRequest::default())
        .await
        .unwrap();
    let exchanged = exchanged.into_inner().access_token;
    group.members[1..].iter().for_each(Member::stop);
    for _ in 0..2 {
        // The second time it finds the revocation made, and does not take it for safe.
        let request = RevokePermanentTokenRequest { id };
        let mut issuer = client::issuer(pair.issuer.grpc, &admin);
        let refused = issuer.revoke_permanent_token(request).await;
        assert_refused(refused, Code::Unavailable, ErrorReason::NotConfirmed);
    }
    // All that follows from it is done as well.
    let answer = pair.verifier().verify(ask(&exchanged)).await.unwrap().into_inner();
    assert_eq!(verdict(answer), Err(DenialReason::Revoked));
    group.members[1..].iter().for_each(Member::cont);
    pair.revoke(&admin, id).await;
    let answer = pair.verifier().verify(ask(&token)).await.unwrap().into_inner();
    assert_eq!(verdict(answer), Err(DenialReason::Revoked));
}

/// Each answer of the outage is to retry.
#[tokio::test(flavor = "multi_thread")]
async fn who_retries_a_refresh_through_an_outage_longer_than_the_grace_stays_logged_in() {
    const GRACE: Duration = Duration::from_secs(6);
    let flags = ["--store-min-replicas=1", "--refresh-grace=6s"];
    let group = SentinelGroup::start().await;
    let pair = Pair::start_with(|user| group.url_as(user), &flags).await;
    let mut issuer = client::issuer(pair.issuer.grpc, &Credentials::none());
    let request = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
    let session = issuer.login(request).await.unwrap().into_inner();
    let request = RefreshRequest { refresh_token: session.refresh_token };
    group.members[1..].iter().for_each(Member::stop);
    let first = Instant::now();
    while first.elapsed() < GRACE + Duration::from_secs(1) {
        let refused = issuer.refresh(request.clone()).await;
        assert_refused(refused, Code::Unavailable, ErrorReason::NotConfirmed);
    }
    group.members[1..].iter().for_each(Member::cont);
    let next = eventually("a refresh that is confirmed", || async {
        match issuer.clone().refresh(request.clone()).await {
            Ok(pair) => Some(pair.into_inner()),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                None
            }
        }
    })
    .await;
    let request = RefreshRequest { refresh_token: next.refresh_token };
    issuer.refresh(request).await.expect("the successor is good");
}

/// The worst of partitions: an issuer and a verifier stay with the old primary, and its
/// replicas, the sentinels and everybody else are on the other side.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_cut_off_with_its_clients_is_not_believed() {
    let mut before_servers = Vec::new();
    let group = SentinelGroup::start_behind(async |address| {
        before_servers.push(Proxy::start(address).await);
        before_servers.last().unwrap().address()
    })
    .await;
    let mut before_sentinels = Vec::new();
    let mut urls = BTreeMap::new();
    for user in ["issuer", "verifier"] {
        let behind = async |address| {
            before_sentinels.push(Proxy::start(address).await);
            before_sentinels.last().unwrap().address()
        };
        urls.insert(user, group.url_behind(user, behind).await);
    }
    let (left, right) = (
        Pair::start(|user| urls[user].clone()).await,
        Pair::start(|user| group.url_as(user)).await,
    );
    let admin = right.admin().await;
    let (token, id) = right.token(&admin).await;
    for pair in [&left, &right] {
        let answer = pair.verifier().verify(ask_cached(&token)).await.unwrap().into_inner();
        verdict(answer).expect("good, and now in the memory");
    }

    assert_eq!(group.primary().await, 0);
    before_servers[0].freeze(Which::Servers);
    before_sentinels.iter().for_each(|proxy| proxy.freeze(Which::All));
    right.revoke(&admin, id).await;
    let acknowledged = Instant::now();

    let (mut asking, mut asked) = (JoinSet::new(), 0);
    while acknowledged.elapsed() < STALENESS_BOUND * 2 {
        for question in [ask(&token), ask_cached(&token)] {
            let (mut verifier, is_forced) = (left.verifier(), question.max_staleness.is_some());
            asking.spawn(async move {
                let started = Instant::now();
                let answer = verifier.verify(question).await.ok()?.into_inner();
                verdict(answer).ok().map(|granted| (is_forced, started, granted))
            });
            asked += 1;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    for (is_forced, started, granted) in asking.join_all().await.into_iter().flatten() {
        let may_be = !is_forced && started < acknowledged + STALENESS_BOUND;
        assert!(may_be, "{:?} after, forced: {is_forced}: {granted:?}", started - acknowledged);
    }
    println!("asked {asked} times while cut off");
    assert_ne!(group.primary().await, 0);

    before_servers[0].pass();
    before_sentinels.iter().for_each(Proxy::pass);
    eventually("the truth on the left", || async {
        let answer = left.verifier().verify(ask_cached(&token)).await.ok()?.into_inner();
        (verdict(answer) == Err(DenialReason::Revoked)).then_some(())
    })
    .await;
}
