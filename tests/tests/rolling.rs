//! A rolling restart under load: every verifier and every issuer is replaced, one after
//! the other, and a client that balances and retries as gRPC means it loses no call.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tempfile::TempDir;
use tessera_proto::v1::{VerifyRequest, WhoAmIRequest};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    client::{self, Credentials},
    redis::Redis,
    rolling::{Foreign, Load, Replicas},
    service::Place,
};
use tonic::{Code, Status};

/// Tries of one call, as many as gRPC's retry policy allows at most.
const TRIES: usize = 5;

/// Who calls one replica after the other; a call that was UNAVAILABLE goes to the next.
struct Balancing<C> {
    clients: Vec<C>,
    turn: usize,
}

impl<C: Clone> Balancing<C> {
    fn over(places: &[Place], client: impl Fn(SocketAddr) -> C) -> Self {
        Self { clients: places.iter().map(|place| client(place.grpc)).collect(), turn: 0 }
    }

    async fn call(&mut self, once: impl AsyncFn(C) -> Result<(), Status>) -> Result<(), Status> {
        for retry in 1.. {
            self.turn += 1;
            let client = self.clients[self.turn % self.clients.len()].clone();
            match once(client).await {
                Err(status) if retry < TRIES && may_be_retried(&status) => {
                    tokio::time::sleep(Duration::from_millis(50 << retry)).await;
                }
                other => return other,
            }
        }
        Ok(())
    }
}

/// What gRPC's clients try again: UNAVAILABLE by their policy, and what was never sent.
fn may_be_retried(status: &Status) -> bool {
    client::never_sent(status) || status.code() == Code::Unavailable
}

async fn verify(mut verifier: client::Verifier, asked: VerifyRequest) -> Result<(), Status> {
    let answer = verifier.verify(asked).await?.into_inner();
    verdict(answer).map(drop).map_err(|denial| Status::unknown(format!("denied: {denial:?}")))
}

#[tokio::test]
async fn a_rolling_restart_of_all_services_loses_no_call() {
    let (dir, redis) = (TempDir::new().unwrap(), Redis::start().await);
    let mut replicas = Replicas::start(&redis, dir.path(), 2).await;
    let (issuers, verifiers) = (replicas.issuer_places(), replicas.verifier_places());
    let tokens = replicas.tokens().await;
    let admin = Credentials::bearer(&tokens.access);
    let foreign = Foreign::start(dir.path(), (&verifiers, &issuers), TRIES, &tokens).await;

    let load = Arc::new(Load::default());
    let ours = || Balancing::over(&verifiers, client::verifier);
    let (mut quick, mut read) = (ours(), ours());
    let mut who = Balancing::over(&issuers, |address| client::issuer(address, &admin));
    let quick = load.clone().keep(async || {
        quick.call(async |verifier| verify(verifier, ask_cached(&tokens.good)).await).await
    });
    let read = load
        .clone()
        .keep(async || read.call(async |verifier| verify(verifier, ask(&tokens.good)).await).await);
    let who = load.clone().keep(async || {
        who.call(async |mut issuer| issuer.who_am_i(WhoAmIRequest {}).await.map(drop)).await
    });
    let restarting = async {
        load.through_replacements(replicas.each()).await;
        load.end();
    };
    let ((), quick, read, who) = tokio::join!(restarting, quick, read, who);
    assert_eq!((quick.len(), read.len(), who.len()), (0, 0, 0), "{quick:?} {read:?} {who:?}");
    let theirs = foreign.lost_nothing().await;
    println!("ours: {} calls, 0 lost; grpcio: {theirs} calls, 0 lost", load.calls());
}
