//! Changing one's own password, alone and against others.

use tessera_shared::{
    examine::Reason,
    id::UserId,
    record::User,
    store::{Key, records},
};

use crate::{
    failure::Failure,
    testing::{Issuer, PASSWORD},
};

const NEW_PASSWORD: &str = "battery staple correct";

#[tokio::test]
async fn no_user_record_holds_the_hash() {
    let issuer = Issuer::start().await;
    let known = issuer.core.known(UserId::FIRST).await.unwrap().unwrap();
    assert!(known.password.hash.starts_with("$argon2id$"));
    let keys = [Key::User(UserId::FIRST), Key::Username("admin".to_owned())];
    for value in issuer.core.store.read(&keys).await.unwrap() {
        let value = value.unwrap();
        assert!(!value.windows(6).any(|part| part == b"argon2"));
    }
}

#[tokio::test]
async fn a_change_ends_the_other_sessions_and_keeps_its_own() {
    let issuer = Issuer::start().await;
    let (own, other) = (issuer.login("admin").await.unwrap(), issuer.login("admin").await.unwrap());
    let caller = issuer.caller(&own.access).await;
    let core = &issuer.core;
    let wrong = core.change_password(&caller, "not the password", NEW_PASSWORD).await;
    assert!(matches!(wrong, Err(Failure::InvalidFields(_))));
    for fields in [("", NEW_PASSWORD), (&"x".repeat(1025), NEW_PASSWORD), (PASSWORD, "short")] {
        let wrong = core.change_password(&caller, fields.0, fields.1).await;
        assert!(matches!(wrong, Err(Failure::InvalidFields(_))));
    }
    assert_eq!(issuer.refusal(&own.access).await, None);
    core.change_password(&caller, PASSWORD, NEW_PASSWORD).await.unwrap();
    for pair in [&own, &other] {
        assert_eq!(issuer.refusal(&pair.access).await, Some(Reason::Revoked));
    }
    assert!(core.refresh(other.refresh.expose()).await.is_err());
    let own = core.refresh(own.refresh.expose()).await.unwrap();
    assert_eq!(issuer.refusal(&own.access).await, None);
    assert!(issuer.login("admin").await.is_err());
    assert!(issuer.login_with("admin", NEW_PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_change_cut_short_is_completed_by_the_same_call_again() {
    let issuer = Issuer::start().await;
    let (mut current, mut next) = (PASSWORD, NEW_PASSWORD);
    // Password, user, revocation of the user, and three for the other session.
    for writes in 0..6 {
        let own = issuer.login_with("admin", current).await.unwrap();
        let other = issuer.login_with("admin", current).await.unwrap();
        let caller = issuer.caller(&own.access).await;
        issuer.store.die_after(writes);
        let cut = issuer.core.change_password(&caller, current, next).await;
        assert!(matches!(cut, Err(Failure::StoreUnavailable(_))), "after {writes} writes");
        issuer.store.live();
        let old_works = issuer.login_with("admin", current).await.is_ok();
        assert_eq!(old_works, writes == 0, "after {writes} writes");
        issuer.core.change_password(&caller, current, next).await.unwrap();
        assert!(issuer.refusal(&other.access).await.is_some(), "after {writes} writes");
        assert!(issuer.core.refresh(other.refresh.expose()).await.is_err());
        let own = issuer.core.refresh(own.refresh.expose()).await.unwrap();
        assert_eq!(issuer.refusal(&own.access).await, None, "after {writes} writes");
        assert!(issuer.login_with("admin", current).await.is_err(), "after {writes} writes");
        std::mem::swap(&mut current, &mut next);
        issuer.core.end_sessions_of(UserId::FIRST, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_changes_at_the_same_time_one_wins_and_its_password_alone_is_good() {
    let issuer = Issuer::start().await;
    let mut callers = Vec::new();
    for _ in 0..6 {
        callers.push(issuer.admin().await);
    }
    let mut changes = tokio::task::JoinSet::new();
    for (number, caller) in callers.into_iter().enumerate() {
        let core = issuer.core.clone();
        changes.spawn(async move {
            let new = format!("the password of change {number}");
            core.change_password(&caller, PASSWORD, &new).await.map(|()| new)
        });
    }
    let mut winners = Vec::new();
    for change in changes.join_all().await {
        match change {
            Ok(new) => winners.push(new),
            Err(Failure::Conflict | Failure::InvalidFields(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert!(issuer.login_with("admin", &winners[0]).await.is_ok());
    assert!(issuer.login("admin").await.is_err());
}

#[tokio::test]
async fn a_change_of_a_user_disabled_meanwhile_lets_nobody_in() {
    let issuer = Issuer::start().await;
    let own = issuer.login("admin").await.unwrap();
    let caller = issuer.caller(&own.access).await;
    let disable = |user: &mut User| {
        user.disabled = true;
        user.version += 1;
        Ok::<_, Failure>(())
    };
    let key = Key::User(UserId::FIRST);
    let user = records::update(&*issuer.core.store, key, disable).await.unwrap().unwrap();
    issuer.core.deny_older_versions(&user, UserId::FIRST).await.unwrap();
    issuer.core.change_password(&caller, PASSWORD, NEW_PASSWORD).await.unwrap();
    assert!(issuer.refusal(&own.access).await.is_some());
    assert!(issuer.login_with("admin", NEW_PASSWORD).await.is_err());
}
