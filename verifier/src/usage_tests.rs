use std::time::Duration;

use ring::rand::SystemRandom;
use tessera_proto::v1::{BatchVerifyRequest, VerifyRequest};
use tessera_shared::{
    clock::Timestamp,
    id::TokenId,
    opaque::Opaque,
    usage::{GRAIN, Usage},
};

use crate::testing::{FakeStore, NOW, Running, asking};

/// For what must happen soon; long, so that a busy machine fails no test.
const SOON: Duration = Duration::from_secs(30);
const QUICK: &[&str] = &["--usage-interval", "100ms"];
const SLOW: &[&str] = &["--usage-interval", "15s"];

async fn verify(running: &Running, token: &str) {
    running.client.clone().verify(asking(token)).await.unwrap();
}

/// Waits until what is reported of `token` is `usage`.
async fn reported(running: &Running, token: i64, usage: Usage) {
    let watch = async {
        while running.store.usage(token) != usage {
            running.store.next_report().await;
        }
    };
    let found = tokio::time::timeout(SOON, watch).await;
    assert!(found.is_ok(), "{:?}, not {usage:?}", running.store.usage(token));
}

#[tokio::test]
async fn a_grant_is_reported_and_a_denial_is_not() {
    let running = Running::start(QUICK).await;
    let [good, refused] = [1, 2].map(|id| running.store.put_token(id, |_| {}));
    let revoked = running.store.put_token(3, |token| token.revoked_at = 1);
    let elsewhere = VerifyRequest { audience: "dns".into(), ..asking(&refused) };
    running.client.clone().verify(elsewhere).await.unwrap();
    verify(&running, &revoked).await;
    verify(&running, &good).await;
    reported(&running, 1, Usage::use_at(NOW)).await;
    let later = NOW.after(Duration::from_secs(61));
    running.clock.set(later);
    let batch = BatchVerifyRequest { requests: vec![asking("bogus"), asking(&good)] };
    running.client.clone().batch_verify(batch).await.unwrap();
    reported(&running, 1, Usage::use_at(later)).await;
    for denied in [2, 3] {
        assert_eq!(running.store.usage(denied), Usage::default());
    }
}

#[tokio::test]
async fn a_replaced_secret_is_reported_as_reuse_and_a_forged_one_is_not() {
    let running = Running::start(QUICK).await;
    let id = TokenId::try_from(1).unwrap();
    let opaque = Opaque::new("tessera");
    let secret = || opaque.permanent(id, &SystemRandom::new()).unwrap();
    let (forged, retired, previous) = (secret(), secret(), secret());
    let replaced_at = NOW.after(Duration::from_secs(60));
    running.store.put_token(1, |token| {
        token.retired = vec![retired.hash().prefix().to_vec()];
        token.previous_hash = previous.hash().as_bytes().to_vec();
        token.previous_expires_at = replaced_at.millis();
    });
    verify(&running, forged.expose()).await;
    // Inside its overlap it is as good as the present one.
    verify(&running, previous.expose()).await;
    reported(&running, 1, Usage::use_at(NOW)).await;
    verify(&running, retired.expose()).await;
    reported(&running, 1, Usage::use_at(NOW).merged(Usage::reuse_at(NOW))).await;
    running.clock.set(replaced_at);
    verify(&running, previous.expose()).await;
    reported(&running, 1, Usage::use_at(NOW).merged(Usage::reuse_at(replaced_at))).await;
}

#[tokio::test]
async fn a_grant_from_memory_is_reported_once_in_each_span() {
    let running = Running::start_on(FakeStore::telling(), QUICK).await;
    let store = running.store.clone();
    let [alone, batched, other] = [1, 2, 3].map(|id| store.put_token(id, |_| {}));
    store.follower().unwrap().always_proven();
    for token in [&alone, &batched] {
        verify(&running, token).await;
    }
    for id in [1, 2] {
        reported(&running, id, Usage::use_at(NOW)).await;
    }
    let ask_both = async |later| {
        running.clock.set(NOW.after(later));
        verify(&running, &alone).await;
        let batch = BatchVerifyRequest { requests: vec![asking(&batched); 2] };
        running.client.clone().batch_verify(batch).await.unwrap();
    };
    store.reads();
    ask_both(GRAIN - Duration::from_secs(1)).await;
    assert_eq!(store.reads(), 0, "answered from memory");
    // What is noted later is reported no earlier.
    verify(&running, &other).await;
    reported(&running, 3, Usage::use_at(NOW.after(GRAIN - Duration::from_secs(1)))).await;
    for id in [1, 2] {
        assert_eq!(store.usage(id), Usage::use_at(NOW));
    }
    store.reads();
    ask_both(GRAIN).await;
    assert_eq!(store.reads(), 0, "answered from memory");
    for id in [1, 2] {
        reported(&running, id, Usage::use_at(NOW.after(GRAIN))).await;
    }
}

#[tokio::test]
async fn a_secret_replaced_while_in_memory_is_reported_as_reuse() {
    let running = Running::start_on(FakeStore::telling(), QUICK).await;
    let opaque = Opaque::new("tessera");
    let secret = opaque.permanent(TokenId::try_from(1).unwrap(), &SystemRandom::new()).unwrap();
    let replaced_at = NOW.after(Duration::from_secs(60));
    running.store.put_token(1, |token| {
        token.previous_hash = secret.hash().as_bytes().to_vec();
        token.previous_expires_at = replaced_at.millis();
    });
    running.store.follower().unwrap().always_proven();
    verify(&running, secret.expose()).await;
    running.store.reads();
    running.clock.set(replaced_at);
    verify(&running, secret.expose()).await;
    assert_eq!(running.store.reads(), 0, "answered from memory");
    reported(&running, 1, Usage::use_at(NOW).merged(Usage::reuse_at(replaced_at))).await;
}

#[tokio::test]
async fn what_an_outage_kept_back_is_reported_after_it() {
    let running = Running::start(QUICK).await;
    let token = running.store.put_token(1, |_| {});
    let other = running.store.put_token(2, |_| {});
    verify(&running, &token).await;
    running.store.cut();
    running.clock.set(Timestamp::from_millis(NOW.millis() + 5000));
    running.client.clone().verify(asking(&other)).await.unwrap_err();
    running.store.mend();
    reported(&running, 1, Usage::use_at(NOW)).await;
    assert_eq!(running.store.usage(2), Usage::default(), "no verdict, no use");
}

#[tokio::test]
async fn a_drain_reports_what_is_left() {
    let running = Running::start(SLOW).await;
    let store = running.store.clone();
    let token = store.put_token(1, |_| {});
    verify(&running, &token).await;
    assert_eq!(store.usage(1), Usage::default(), "not yet reported");
    tokio::time::timeout(SOON, running.stop()).await.unwrap().unwrap().unwrap();
    assert_eq!(store.usage(1), Usage::use_at(NOW));
}

#[tokio::test]
async fn a_drain_ends_though_the_store_takes_no_report() {
    let running = Running::start(SLOW).await;
    let token = running.store.put_token(1, |_| {});
    verify(&running, &token).await;
    running.store.cut();
    tokio::time::timeout(SOON, running.stop()).await.unwrap().unwrap().unwrap();
}
