//! The first administrator is told a password that is good, however the start went.

use crate::{
    bootstrap::StartFailure,
    failure::Failure,
    testing::{Issuer, PASSWORD, first_start},
};

#[tokio::test]
async fn a_first_start_cut_short_anywhere_is_completed_by_the_next() {
    for writes in 0.. {
        let issuer = Issuer::before_its_first_start();
        issuer.store.die_after(writes);
        let cut = issuer.core.bootstrap(&first_start(None)).await;
        issuer.store.live();
        if cut.is_ok() {
            assert!(writes > 6, "there are more writes than {writes}");
            return;
        }
        let told = issuer.core.bootstrap(&first_start(None)).await.unwrap().unwrap();
        let password = told.made_password.unwrap();
        assert_eq!(told.username, "admin");
        assert!(issuer.login_with("admin", &password).await.is_ok(), "after {writes} writes");
        assert!(issuer.core.bootstrap(&first_start(None)).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_first_starts_one_is_told_the_password_and_it_is_good() {
    let issuer = Issuer::before_its_first_start();
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let core = issuer.core.clone();
        starts.spawn(async move {
            loop {
                match core.bootstrap(&first_start(None)).await {
                    Err(StartFailure::Passing(Failure::Conflict)) => {}
                    ended => return ended.unwrap(),
                }
            }
        });
    }
    let told: Vec<_> = starts.join_all().await.into_iter().flatten().collect();
    assert_eq!(told.len(), 1);
    let password = told[0].made_password.as_ref().unwrap();
    assert!(issuer.login_with("admin", password).await.is_ok());
}

#[tokio::test]
async fn nobody_is_refused_before_there_is_anybody() {
    let issuer = Issuer::before_its_first_start();
    let early = issuer.login_with("admin", PASSWORD).await;
    assert!(matches!(early, Err(Failure::NotReady)), "{:?}", early.err());
    issuer.core.bootstrap(&first_start(Some(PASSWORD))).await.unwrap();
    assert!(issuer.login_with("admin", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_later_start_with_another_password_changes_nothing() {
    let issuer = Issuer::start().await;
    let other = first_start(Some("another password altogether"));
    assert!(issuer.core.bootstrap(&other).await.unwrap().is_none());
    assert!(issuer.login_with("admin", PASSWORD).await.is_ok());
}
