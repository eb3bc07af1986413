//! A rolling restart behind a real Envoy: every verifier and every issuer is replaced, one
//! after the other, and no caller notices, though none of them tries anything twice. Once
//! with `deploy/envoy/services.yaml`, whose address stands for all services; once with
//! `deploy/envoy/envoy.yaml`, which guards a service.

use std::sync::Arc;

use tempfile::TempDir;
use tessera_proto::v1::{
    ListPermanentTokensRequest, PermanentTokenState, RevokePermanentTokenRequest, VerifyRequest,
    WhoAmIRequest,
};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::{self, Credentials, Issuer, Verifier},
    gateway::Gateway,
    redis::Redis,
    rolling::{Foreign, Load, Replicas, Tokens},
    service::Place,
    system::named,
    upstream::Upstream,
    wire::Wire,
};
use tokio::task::JoinSet;

/// Callers of each kind at a time: more than the retries that Envoy allows by itself.
const CALLERS: usize = 4;

/// Callers, and what they lost.
type Callers = JoinSet<Vec<String>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_the_services_notice_no_restart_behind_envoy() {
    let (dir, redis) = (TempDir::new().unwrap(), Redis::start().await);
    let mut replicas = Replicas::start(&redis, dir.path(), 3).await;
    let tokens = replicas.tokens().await;
    let envoy = Gateway::services(&replicas.issuer_places(), &replicas.verifier_places()).await;
    let address = envoy.grpc();
    let place = Place { grpc: address, http: address };
    let foreign = Foreign::start(dir.path(), (&[place], &[place]), 1, &tokens).await;

    let (load, mut callers) = (Arc::new(Load::default()), Callers::new());
    let issuer = client::issuer(address, &Credentials::bearer(&tokens.access));
    for _ in 0..CALLERS {
        for (asked, good) in [
            (ask_cached(&tokens.good), true),
            (ask(&tokens.good), true),
            (ask(&tokens.access), true),
            (ask_cached(&tokens.ended), false),
        ] {
            let (verifier, load) = (client::verifier(address), load.clone());
            callers.spawn(load.keep(move || verify(verifier.clone(), asked.clone(), good)));
        }
        let (issuer, load) = (issuer.clone(), load.clone());
        callers.spawn(load.keep(move || who_am_i(issuer.clone())));
    }
    let (writer, writing) = (issuer.clone(), load.clone());
    callers.spawn(writing.keep(move || make_and_end(writer.clone())));

    load.through_replacements(replicas.each()).await;
    load.end();
    let lost = callers.join_all().await.concat();
    assert!(lost.is_empty(), "{lost:?}\n{}", envoy.log());
    let theirs = foreign.lost_nothing().await;
    assert_nothing_was_done_twice(issuer).await;
    println!("ours: {} calls, 0 lost; grpcio: {theirs} calls, 0 lost", load.calls());
}

async fn verify(mut verifier: Verifier, asked: VerifyRequest, good: bool) -> Result<(), String> {
    let answer = verifier.verify(asked).await.map_err(|status| format!("{status:?}"))?;
    let verdict = verdict(answer.into_inner());
    if verdict.is_ok() == good { Ok(()) } else { Err(format!("a wrong verdict: {verdict:?}")) }
}

async fn who_am_i(mut issuer: Issuer) -> Result<(), String> {
    issuer.who_am_i(WhoAmIRequest {}).await.map(drop).map_err(|status| format!("{status:?}"))
}

async fn make_and_end(mut issuer: Issuer) -> Result<(), String> {
    let made = issuer.create_permanent_token(named("passing")).await;
    let made = made.map_err(|status| format!("{status:?}"))?.into_inner();
    let id = made.permanent_token.ok_or("no record")?.id;
    let ended = issuer.revoke_permanent_token(RevokePermanentTokenRequest { id }).await;
    ended.map(drop).map_err(|status| format!("{status:?}"))
}

/// A creation that was sent twice would have left a token that nobody ended.
async fn assert_nothing_was_done_twice(mut issuer: Issuer) {
    let state = PermanentTokenState::Active.into();
    let request = ListPermanentTokensRequest { state, ..ListPermanentTokensRequest::default() };
    let live = issuer.list_permanent_tokens(request).await.unwrap().into_inner();
    let names: Vec<_> = live.permanent_tokens.into_iter().map(|token| token.name).collect();
    assert_eq!(names, ["good"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_guarded_service_notice_no_restart() {
    let (dir, redis) = (TempDir::new().unwrap(), Redis::start().await);
    let upstream = Upstream::start().await;
    let mut replicas = Replicas::start(&redis, dir.path(), 2).await;
    let tokens = replicas.tokens().await;
    let envoy = Gateway::envoy_asking(&replicas.verifier_places(), &upstream, |_| {}).await;
    let envoy = Arc::new(envoy);

    let (load, mut callers) = (Arc::new(Load::default()), Callers::new());
    for _ in 0..CALLERS {
        for wire in Wire::ALL {
            let (envoy, load, tokens) = (envoy.clone(), load.clone(), tokens.clone());
            callers.spawn(load.keep(move || ask_each(envoy.clone(), wire, tokens.clone())));
        }
    }
    load.through_replacements(replicas.verifiers.iter_mut()).await;
    // Nobody here asks an issuer; the verifiers live on their heartbeats.
    for issuer in &mut replicas.issuers {
        issuer.replace().await;
    }
    load.end();
    let lost = callers.join_all().await.concat();
    assert!(lost.is_empty(), "{lost:?}\n{}", envoy.log());
    println!("{} calls, 0 lost", load.calls());
}

/// Who holds a good token gets through, and who holds none that is good is told so.
async fn ask_each(envoy: Arc<Gateway>, wire: Wire, tokens: Tokens) -> Result<(), String> {
    for (token, good) in [(&tokens.good, true), (&tokens.access, true), (&tokens.ended, false)] {
        let headers = [("authorization", format!("Bearer {token}"))];
        let answer = envoy.ask(wire, "/", &headers).await;
        let refused = answer.status == 401
            || answer.grpc.as_ref().is_some_and(|(code, _)| *code == tonic::Code::Unauthenticated);
        if answer.reached() != good || refused == good {
            return Err(format!("{wire:?}, {good}: {}", answer.all()));
        }
    }
    Ok(())
}
