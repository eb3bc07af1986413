//! A primary that comes back in the middle of its failover: the sentinel that leads that goes
//! through with it, though the primary takes writes again and the other sentinels see it well.

use std::sync::OnceLock;

use tessera_tests::{
    ask::{ask, verdict},
    client,
    group::SentinelGroup,
    pair::Pair,
    system::named,
    watch::eventually,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_it_acknowledges_is_not_lost() {
    let group = SentinelGroup::start().await;
    // One of two: the other may be the one that is chosen.
    let pair = Pair::start_with(
        |user| group.url_as(user),
        &["--store-min-replicas=1", "--tokens-per-account=10000"],
    )
    .await;
    let admin = pair.admin().await;
    for _ in 0..3 {
        let (primary, replaced) = (group.primary().await, OnceLock::new());
        group.members[primary].stop();
        group.wait_for_a_leader().await;
        group.members[primary].cont();
        let replacing = async {
            group.wait_for_another_than(primary).await;
            group.wait_until_complete().await;
            replaced.set(()).unwrap();
        };
        let creating = async {
            let (mut issuer, mut made) = (client::issuer(pair.issuer.grpc, &admin), Vec::new());
            while replaced.get().is_none() {
                if let Ok(answer) = issuer.create_permanent_token(named("kept")).await {
                    made.push(answer.into_inner().token);
                }
            }
            made
        };
        let ((), made) = tokio::join!(replacing, creating);
        println!("{} were acknowledged", made.len());
        for token in &made {
            let answer =
                eventually("an answer", || async { pair.verifier().verify(ask(token)).await.ok() });
            verdict(answer.await.into_inner()).expect("a token that was acknowledged");
        }
    }
}
