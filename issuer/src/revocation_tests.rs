//! How long a revocation is kept: as long as any access token that it denies lives.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tessera_shared::{
    examine::Reason,
    id::SessionId,
    revocation::{ALL_VERSIONS, Bucket, Subject},
    store::StoreReader as _,
};

use crate::{
    core::Core,
    failure::Failure,
    sessions::Pair,
    testing::{Issuer, PASSWORD, client, key_rules},
};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);
/// What is kept beyond the longest lifetime.
const SLACK: Duration = Duration::from_mins(5);

/// An issuer over the same store with this `--access-ttl`.
async fn with_ttl(issuer: &Issuer, ttl: Duration) -> Arc<Core> {
    let mut core = issuer.another(key_rules()).await;
    Arc::get_mut(&mut core).unwrap().policy.access_ttl = ttl;
    core
}

async fn end_session_of(issuer: &Issuer, core: &Core, pair: &Pair) -> SessionId {
    let caller = issuer.caller(&pair.access).await;
    core.logout(&caller, false).await.unwrap();
    caller.session().unwrap()
}

/// Writes another revocation into the bucket of this one, so that what is over goes.
async fn compact(core: &Core, session: SessionId) {
    let bucket = Subject::Session(session).key();
    let others = (1..).map(|id| Subject::Session(SessionId::try_from(id).unwrap()));
    let other = others.into_iter().find(|other| other.key() == bucket).unwrap();
    core.revoke(other, ALL_VERSIONS, 0).await.unwrap();
}

#[tokio::test]
async fn a_lower_access_ttl_forgets_no_revocation_of_a_token_made_before() {
    let issuer = Issuer::start().await;
    let pair = issuer.login("admin").await.unwrap();
    let lowered = with_ttl(&issuer, MINUTE).await;
    let session = end_session_of(&issuer, &lowered, &pair).await;
    issuer.advance(HOUR - Duration::from_millis(1));
    compact(&lowered, session).await;
    assert_eq!(issuer.refusal(&pair.access).await, Some(Reason::Revoked));
}

#[tokio::test]
async fn of_issuers_with_unlike_access_ttls_each_keeps_a_revocation_for_the_longest() {
    let issuer = Issuer::start().await;
    let longer = with_ttl(&issuer, 5 * HOUR).await;
    longer.tend_keys().await.unwrap();
    // What the first holds is of before: the clock stands, and its view is fresh.
    let pair = longer.login("admin", PASSWORD, client()).await.unwrap();
    let session = end_session_of(&issuer, &issuer.core, &pair).await;
    issuer.advance(5 * HOUR - Duration::from_millis(1));
    compact(&issuer.core, session).await;
    assert_eq!(issuer.refusal(&pair.access).await, Some(Reason::Revoked));
}

#[tokio::test]
async fn a_revocation_without_a_key_set_is_kept_for_the_longest_setting() {
    let issuer = Issuer::before_its_first_start();
    let session = SessionId::try_from(1_i64 << 40).unwrap();
    let subject = Subject::Session(session);
    issuer.core.revoke(subject, ALL_VERSIONS, 0).await.unwrap();
    for (span, lowest) in [(24 * HOUR + SLACK - MINUTE, ALL_VERSIONS), (MINUTE, 0)] {
        issuer.advance(span);
        compact(&issuer.core, session).await;
        let bucket = issuer.store.read(&[subject.key()]).await.unwrap().pop().unwrap();
        assert_eq!(Bucket::decode(bucket.as_deref()).unwrap().min_version(subject), lowest);
    }
}

#[tokio::test]
async fn nothing_is_refreshed_before_the_issuer_noted_how_long_its_tokens_live() {
    let issuer = Issuer::start().await;
    let pair = issuer.login("admin").await.unwrap();
    issuer.core.prepared.store(false, Relaxed);
    let early = issuer.core.refresh(pair.refresh.expose()).await;
    assert!(matches!(early, Err(Failure::NotReady)));
    issuer.core.prepared.store(true, Relaxed);
    issuer.core.refresh(pair.refresh.expose()).await.unwrap();
}
