//! A failover as the services live through it: what was ended stays ended, and everything
//! answers again by itself. How long it took is told, and not judged. Many failovers under
//! load are in `promise.rs`.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tessera_proto::v1::{DenialReason, ErrorReason, LoginRequest, RevokePermanentTokenRequest};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::{self, Credentials, Verifier},
    group::{Cluster, Member, SentinelGroup},
    process::Process,
    proxy::{Proxy, Which},
    refused::assert_refused,
    service::{self, ADMIN_PASSWORD, Place},
    system::named,
    watch::{STALENESS_BOUND, eventually},
};
use tokio::task::JoinSet;
use tonic::Code;

const MIN_REPLICAS: &str = "--store-min-replicas=1";

/// An issuer and a verifier over a group of servers.
struct Pair {
    issuer: Place,
    verifier: Place,
    _processes: [Process; 2],
    _dir: TempDir,
}

impl Pair {
    async fn start(url: &str) -> Self {
        let (issuer, verifier, dir) = (Place::free(), Place::free(), TempDir::new().unwrap());
        let flags = [MIN_REPLICAS.to_owned()];
        let mut processes = [
            service::issuer(url, issuer, &flags, dir.path()),
            service::verifier("verifier", url, verifier, &[], dir.path()),
        ];
        service::serving(&mut processes[0], issuer.grpc).await;
        service::serving(&mut processes[1], verifier.grpc).await;
        Self { issuer, verifier, _processes: processes, _dir: dir }
    }

    async fn admin(&self) -> Credentials {
        let request = LoginRequest { username: "admin".into(), password: ADMIN_PASSWORD.into() };
        let mut issuer = client::issuer(self.issuer.grpc, &Credentials::none());
        Credentials::bearer(&issuer.login(request).await.unwrap().into_inner().access_token)
    }

    /// A permanent token, and its id.
    async fn token(&self, admin: &Credentials) -> (String, i64) {
        let mut issuer = client::issuer(self.issuer.grpc, admin);
        let made = issuer.create_permanent_token(named("a token")).await.unwrap().into_inner();
        (made.token, made.permanent_token.unwrap().id)
    }

    /// Repeats until it is acknowledged.
    async fn revoke(&self, admin: &Credentials, id: i64) {
        let issuer = client::issuer(self.issuer.grpc, admin);
        eventually("an acknowledged revocation", || async {
            let request = RevokePermanentTokenRequest { id };
            issuer.clone().revoke_permanent_token(request).await.ok()
        })
        .await;
    }

    fn verifier(&self) -> Verifier {
        client::verifier(self.verifier.grpc)
    }
}

/// Kills one primary and tells how long it took until each kind of call succeeded again.
async fn live_through(pair: &Pair, kill: impl AsyncFnOnce(), replaced: impl AsyncFnOnce()) {
    let admin = pair.admin().await;
    let (kept, _) = pair.token(&admin).await;
    let (ended, id) = pair.token(&admin).await;
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(pair.token(&admin).await);
    }
    pair.revoke(&admin, id).await;
    let mut verifier = pair.verifier();
    verdict(verifier.verify(ask_cached(&kept)).await.unwrap().into_inner()).unwrap();

    kill().await;
    let killed = Instant::now();
    let failover = async {
        replaced().await;
        killed.elapsed()
    };
    let reads = async {
        for (token, _) in &tokens {
            eventually("a forced read", || async {
                let answer = pair.verifier().verify(ask(token)).await.ok()?;
                Some(verdict(answer.into_inner()).expect("a token that was acknowledged"))
            })
            .await;
        }
        killed.elapsed()
    };
    let writes = async {
        for (_, id) in &tokens[..10] {
            pair.revoke(&admin, *id).await;
        }
        killed.elapsed()
    };
    // The revoked ones are not asked for while it is not known whether they are.
    let (failover, reads) = tokio::join!(failover, reads);
    let writes = writes.await;
    println!(
        "failover {failover:?}; all forced reads after {reads:?}, all writes after {writes:?}"
    );
    let answer = verifier.verify(ask(&ended)).await.unwrap().into_inner();
    assert_eq!(verdict(answer), Err(DenialReason::Revoked), "acknowledged before the failover");
    for (number, (token, _)) in tokens.iter().enumerate() {
        let answer = verifier.verify(ask(token)).await.unwrap().into_inner();
        let wanted = if number < 10 { Some(DenialReason::Revoked) } else { None };
        assert_eq!(verdict(answer).err(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_under_sentinels_is_replaced_and_loses_nothing() {
    let mut group = SentinelGroup::start().await;
    let pair = Pair::start(&group.url()).await;
    let group = std::sync::Arc::new(tokio::sync::Mutex::new(&mut group));
    let kill = async || group.lock().await.members[0].kill9().await;
    let replaced = async || group.lock().await.wait_for_another_than(0).await;
    live_through(&pair, kill, replaced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_of_a_cluster_is_replaced_and_loses_nothing() {
    let mut cluster = Cluster::start().await;
    let pair = Pair::start(&cluster.url()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_no_replica_confirms_is_told_apart_and_a_retry_finishes_it() {
    let group = SentinelGroup::start().await;
    let pair = Pair::start(&group.url()).await;
    let admin = pair.admin().await;
    let (token, id) = pair.token(&admin).await;
    group.members[1..].iter().for_each(Member::stop);
    for _ in 0..2 {
        // The second time it finds the revocation made, and does not take it for safe.
        let request = RevokePermanentTokenRequest { id };
        let mut issuer = client::issuer(pair.issuer.grpc, &admin);
        let refused = issuer.revoke_permanent_token(request).await;
        assert_refused(refused, Code::Unavailable, ErrorReason::NotConfirmed);
    }
    group.members[1..].iter().for_each(Member::cont);
    pair.revoke(&admin, id).await;
    let answer = pair.verifier().verify(ask(&token)).await.unwrap().into_inner();
    assert_eq!(verdict(answer), Err(DenialReason::Revoked));
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
    let url = group
        .url_behind(async |address| {
            before_sentinels.push(Proxy::start(address).await);
            before_sentinels.last().unwrap().address()
        })
        .await;
    let (left, right) = (Pair::start(&url).await, Pair::start(&group.url()).await);
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
