//! What keeps callers spread and answers quick: the age of connections, and the most calls.

use std::time::Duration;

use tempfile::TempDir;
use tessera_proto::v1::ErrorReason;
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client,
    metrics::Scrape,
    proxy::{Proxy, Towards},
    redis::Redis,
    refused::reason_of,
    service::{self, Place},
    system::{Backend, named},
    watch::eventually,
};
use tonic::Code;

#[tokio::test]
async fn an_old_connection_is_replaced_and_no_call_is_lost() {
    let system = Backend::Redis.start_all_with(&["--max-connection-age", "200ms"]).await;
    let made = system.permanent(&system.admin().await, named("old")).await;
    let place = system.verifier_places()[0];
    let accepted =
        async || Scrape::of(place.http).await.expect("tessera_accepted_connections_total");
    let before = accepted().await;
    let mut verifier = client::verifier(place.grpc);
    let mut calls = 0;
    while accepted().await < before + 4.0 {
        match verifier.verify(ask_cached(&made.token)).await {
            Ok(answer) => drop(verdict(answer.into_inner()).unwrap()),
            Err(status) => assert!(client::never_sent(&status), "a call was lost: {status:?}"),
        }
        calls += 1;
        assert!(calls < 1_000_000, "one connection for ever");
    }
}

#[tokio::test]
async fn above_the_most_calls_a_call_is_refused_at_once_and_memory_answers_on() {
    let (dir, redis) = (TempDir::new().unwrap(), Redis::start().await);
    let proxy = Proxy::start(redis.address()).await;
    let (issuer, verifier) = (Place::free(), Place::free());
    let url = redis.url_as("issuer");
    let mut issuing = service::issuer(&url, issuer, &[], dir.path());
    service::serving(&mut issuing, issuer.grpc).await;
    let flags = ["--max-concurrent-calls", "2", "--staleness-bound", "60s"].map(str::to_owned);
    let url = redis.url_through("verifier", proxy.address());
    let mut verifying = service::verifier("verifier", &url, verifier, &flags, dir.path());
    service::serving(&mut verifying, verifier.grpc).await;

    let login = tessera_proto::v1::LoginRequest {
        username: "admin".into(),
        password: service::ADMIN_PASSWORD.into(),
    };
    let mut anybody = client::issuer(issuer.grpc, &client::Credentials::none());
    let token = anybody.login(login).await.unwrap().into_inner().access_token;
    let caller = client::verifier(verifier.grpc);
    eventually("an answer from memory", || {
        let (mut caller, asked) = (caller.clone(), ask_cached(&token));
        async move {
            verdict(caller.verify(asked).await.unwrap().into_inner()).unwrap();
            let hits = "tessera_verifier_cache_requests_total{result=\"hit\"}";
            (Scrape::of(verifier.http).await.expect(hits) > 0.0).then_some(())
        }
    })
    .await;

    proxy.delay(Towards::Client, Duration::from_millis(200));
    let calls = (0..20).map(|_| {
        let (mut caller, asked) = (caller.clone(), ask(&token));
        tokio::spawn(async move { caller.verify(asked).await })
    });
    let calls: Vec<_> = calls.collect();
    let (mut answered, mut shed) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(answer) => {
                verdict(answer.into_inner()).unwrap();
                answered += 1;
            }
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                assert_eq!(reason_of(&status), ErrorReason::Overloaded);
                shed += 1;
            }
        }
        // What is in memory needs no room.
        let mut caller = caller.clone();
        verdict(caller.verify(ask_cached(&token)).await.unwrap().into_inner()).unwrap();
    }
    assert!(answered >= 2 && shed >= 1, "{answered} answered, {shed} shed");
    let scrape = Scrape::of(verifier.http).await;
    assert!((scrape.expect("tessera_shed_calls_total") - f64::from(shed)).abs() < 0.5);
}
