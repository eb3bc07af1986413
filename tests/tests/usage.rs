//! When a permanent token was last used: shown soon, never lost, never set back.

use prost_types::Timestamp;
use tessera_proto::v1::{
    ListPermanentTokensRequest, RotatePermanentTokenRequest, UpdatePermanentTokenRequest,
    WhoAmIRequest,
};
use tessera_shared::clock::{Clock, SystemClock};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::{Credentials, Verifier},
    on_every_backend,
    system::{Backend, System, named},
    watch::eventually,
};

on_every_backend!(
    a_verification_shows_in_the_record,
    a_call_to_the_issuer_shows_in_the_record,
    what_was_not_yet_reported_is_reported_at_the_end,
    the_last_use_survives_kill_9_of_every_process,
);

/// Longer than a test takes from a verification to what it does next.
const RARELY: [&str; 2] = ["--usage-interval", "10s"];

fn now() -> i64 {
    SystemClock.now().seconds()
}

async fn verify(mut verifier: Verifier, token: &str) {
    let answer = verifier.verify(ask_cached(token)).await.unwrap().into_inner();
    verdict(answer).expect("a good token");
}

/// Waits until a use at `since` or later is known.
async fn last_use(system: &System, admin: &Credentials, id: i64, since: i64) -> Timestamp {
    eventually("last_used_at", || async {
        let last_used_at = system.record(admin, id).await.last_used_at;
        last_used_at.filter(|at| at.seconds >= since)
    })
    .await
}

async fn a_verification_shows_in_the_record(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("used")).await;
    let unused = system.permanent(&admin, named("not used")).await.permanent_token.unwrap();
    let id = made.permanent_token.unwrap().id;
    assert_eq!(system.record(&admin, id).await.last_used_at, None);
    let before = now();
    system.verdict(ask(&made.token)).await.unwrap();
    let used = last_use(&system, &admin, id, before).await;
    assert!(used.seconds <= now());

    let mut issuer = system.issuer(&admin);
    let listed = issuer.list_permanent_tokens(ListPermanentTokensRequest::default()).await;
    let listed = listed.unwrap().into_inner().permanent_tokens;
    let shown = |id| listed.iter().find(|token| token.id == id).unwrap().last_used_at;
    assert_eq!((shown(id), shown(unused.id)), (Some(used), None));
    let mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
    let request = UpdatePermanentTokenRequest {
        id,
        name: "renamed".into(),
        update_mask: mask,
        ..UpdatePermanentTokenRequest::default()
    };
    let changed = issuer.update_permanent_token(request).await.unwrap().into_inner();
    assert_eq!(changed.permanent_token.unwrap().last_used_at, Some(used));
    let request = RotatePermanentTokenRequest { id, overlap: None };
    let rotated = issuer.rotate_permanent_token(request).await.unwrap().into_inner();
    assert_eq!(rotated.permanent_token.unwrap().last_used_at, Some(used));
}

async fn a_call_to_the_issuer_shows_in_the_record(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("calls the issuer")).await;
    let mut issuer = system.issuer(&Credentials::api_key(&made.token));
    let before = now();
    issuer.who_am_i(WhoAmIRequest {}).await.unwrap();
    last_use(&system, &admin, made.permanent_token.unwrap().id, before).await;
}

async fn what_was_not_yet_reported_is_reported_at_the_end(backend: Backend) {
    let mut system = backend.start_all_with(&RARELY).await;
    let made = system.permanent(&system.admin().await, named("used at the last moment")).await;
    let before = now();
    system.verdict(ask(&made.token)).await.unwrap();
    system.end().await;
    system.begin().await;
    let admin = system.admin().await;
    last_use(&system, &admin, made.permanent_token.unwrap().id, before).await;
}

async fn the_last_use_survives_kill_9_of_every_process(backend: Backend) {
    let mut system = backend.start().await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("used")).await;
    let id = made.permanent_token.unwrap().id;
    let before = now();
    system.verdict(ask(&made.token)).await.unwrap();
    let used = last_use(&system, &admin, id, before).await;
    if backend == Backend::Redis {
        system.redis().kill9().await;
    }
    system.kill9().await;
    if backend == Backend::Redis {
        system.redis().restart().await;
    }
    system.begin().await;
    let kept = system.record(&system.admin().await, id).await.last_used_at.unwrap();
    assert!(kept.seconds >= used.seconds, "{kept:?} is before {used:?}");
}

#[tokio::test]
async fn the_later_of_two_verifiers_counts() {
    let system = Backend::Redis.start().await;
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("used all over")).await;
    let id = made.permanent_token.unwrap().id;
    let mut last = now();
    // Each once: a verifier notes the use of what it holds but now and then.
    for verifier in system.verifiers() {
        eventually("the next second", || std::future::ready((now() > last).then_some(()))).await;
        let before = now();
        verify(verifier, &made.token).await;
        last = last_use(&system, &admin, id, before).await.seconds;
    }
}

#[tokio::test]
async fn an_outage_loses_no_use_that_a_living_verifier_saw() {
    let mut system = Backend::Redis.start().await;
    let admin = system.admin().await;
    let mut used = Vec::new();
    for number in 0..20 {
        let made = system.permanent(&admin, named(&format!("token {number}"))).await;
        used.push((made.permanent_token.unwrap().id, made.token));
    }
    // From here until it starts again, the server takes no report.
    let mut redis = system.redis().connection().await;
    let deny = ::redis::cmd("ACL").arg(&["SETUSER", "verifier", "-xadd"]).to_owned();
    deny.exec_async(&mut redis).await.unwrap();
    let before = now();
    for (place, (_, token)) in used.iter().enumerate() {
        verify(system.verifiers().swap_remove(place % 2), token).await;
    }
    for place in 0..2 {
        let log = system.dir().join(format!("verifier-{place}.log"));
        eventually("a report that fails", || {
            let log = std::fs::read_to_string(&log).unwrap();
            std::future::ready(log.contains("can't be reported").then_some(()))
        })
        .await;
    }
    system.redis().kill9().await;
    system.redis().restart().await;
    eventually("an answer of the issuer", || async {
        system.issuer(&admin).who_am_i(WhoAmIRequest {}).await.ok()
    })
    .await;
    for (id, _) in used {
        last_use(&system, &admin, id, before).await;
    }
}
