//! Foreign programs that check access tokens by the JWKS, under load across rotations of the
//! signing key, with the publication delay that holds where nobody sets one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tessera_proto::v1::{ExchangeTokenRequest, RotateSigningKeyRequest};
use tessera_tests::{
    client::{self, Credentials},
    follower::Follower,
    system::{Backend, System, named},
    watch::{eventually, within},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tonic::Code;

/// The publication delay is 40 s.
const ROTATION: Duration = Duration::from_secs(120);
/// How often each follower is asked about a token of every key there has been.
const PACE: Duration = Duration::from_millis(20);
/// How often each follower must have taken a token of each key.
const ENOUGH: usize = 50;
/// A newest token for each key, in the order of the keys.
type Tokens = Vec<String>;
/// How often a follower took a token of each key, by the tokens' header.
type Counts = BTreeMap<String, usize>;

/// A follower that is asked without pause.
struct Load {
    follower: Arc<Follower>,
    counts: watch::Receiver<Counts>,
    task: JoinHandle<()>,
}

impl Load {
    /// # Panics
    /// The task does, when the follower does not take a good token.
    fn start(follower: Follower, tokens: watch::Receiver<Tokens>) -> Self {
        let (count, counts) = watch::channel(Counts::new());
        let follower = Arc::new(follower);
        let asked = follower.clone();
        let task = tokio::spawn(async move {
            let mut ticks = interval(PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // Ends when there are no new tokens.
            while tokens.has_changed().is_ok() {
                ticks.tick().await;
                let present = tokens.borrow().clone();
                for token in present.iter().filter(|token| asked.reads(token)) {
                    if let Err(refusal) = asked.takes(token).await {
                        panic!("a good token was refused by {refusal}");
                    }
                    let key = header_of(token).to_owned();
                    count.send_modify(|counts| *counts.entry(key).or_default() += 1);
                }
            }
        });
        Self { follower, counts, task }
    }

    /// Whether it took enough tokens of each key that it can read.
    fn is_enough(&self, tokens: &Tokens) -> bool {
        let counts = self.counts.borrow();
        let mut read = tokens.iter().filter(|token| self.follower.reads(token));
        read.all(|token| counts.get(header_of(token)).is_some_and(|taken| *taken >= ENOUGH))
    }
}

/// The header, which names the key.
fn header_of(token: &str) -> &str {
    token.split('.').next().unwrap()
}

async fn exchange(system: &System, permanent: &str) -> String {
    let mut issuer = client::issuer(system.issuer_place().grpc, &Credentials::none());
    let request = ExchangeTokenRequest { token: permanent.to_owned() };
    issuer.exchange_token(request).await.unwrap().into_inner().access_token
}

/// Asked again where an RSA key takes longer to make than a call may: that makes no second.
async fn rotate(system: &System, admin: &Credentials, algorithm: &str) {
    within(ROTATION, "a new key", || async {
        let request = RotateSigningKeyRequest { algorithm: algorithm.to_owned() };
        match system.administration(admin).rotate_signing_key(request).await {
            Err(status) if status.code() == Code::DeadlineExceeded => None,
            answer => Some(answer.expect("a new key")),
        }
    })
    .await;
}

/// Every program that can read the first of these algorithms follows through all of them.
async fn all_follow_through(algorithms: &[&str]) {
    let system = Backend::Embedded.start_with(&["--signing-algorithm", algorithms[0]]).await;
    let admin = system.admin().await;
    let permanent = system.permanent(&admin, named("a service")).await.token;
    let first = exchange(&system, &permanent).await;
    let followers = Follower::all_of(algorithms[0], system.issuer_place().http).await;
    // One that takes everything would pass the rest.
    let forged = format!("{}.{}", first.rsplit_once('.').unwrap().0, "A".repeat(86));
    for follower in &followers {
        follower.takes(&first).await.unwrap();
        follower.takes(&forged).await.expect_err(follower.name);
    }
    let (newest, tokens) = watch::channel(vec![first]);
    let mut loads = Vec::new();
    loads.extend(followers.into_iter().map(|follower| Load::start(follower, tokens.clone())));
    drop(tokens);
    for (number, algorithm) in algorithms.iter().enumerate().skip(1) {
        rotate(&system, &admin, algorithm).await;
        within(ROTATION, "enough tokens of the new key taken by each follower", || async {
            let token = exchange(&system, &permanent).await;
            newest.send_modify(|tokens| match tokens.last_mut() {
                Some(last) if header_of(last) == header_of(&token) => *last = token,
                _ => tokens.push(token),
            });
            let tokens = newest.borrow();
            let is_over = loads.iter().any(|load| load.task.is_finished());
            let is_enough = || loads.iter().all(|load| load.is_enough(&tokens));
            (is_over || tokens.len() > number && is_enough()).then_some(())
        })
        .await;
    }
    drop(newest);
    for load in loads {
        let taken: Vec<_> = load.counts.borrow().values().copied().collect();
        load.task.await.expect("no good token is refused");
        println!("{algorithms:?}: {} took {taken:?} tokens of each key", load.follower.name);
    }
}

/// Under this name, since they need no Redis: `./test` runs the others on Valkey, too.
mod embedded {
    use super::*;

    /// At once, since each takes as long as the publication delay.
    #[tokio::test]
    async fn each_program_follows_a_rotation_of_each_algorithm_that_it_reads() {
        tokio::join!(
            all_follow_through(&["ES256", "ES256"]),
            all_follow_through(&["EdDSA", "EdDSA"]),
            all_follow_through(&["RS256", "RS256"]),
        );
    }

    /// Apache takes what it reads while the set has a key that it does not.
    #[tokio::test]
    async fn each_program_follows_changes_of_the_algorithm() {
        all_follow_through(&["ES256", "EdDSA", "RS256"]).await;
    }

    /// An unknown key sends Apache to the JWKS, whatever it has kept.
    #[tokio::test]
    async fn apache_looks_again_at_an_unknown_key() {
        let system = Backend::Embedded.start_with(&["--key-publication-delay", "3s"]).await;
        let apache = Follower::apache(system.issuer_place().http).await;
        let admin = system.admin().await;
        let permanent = system.permanent(&admin, named("a service")).await.token;
        let former = exchange(&system, &permanent).await;
        apache.takes(&former).await.unwrap();
        rotate(&system, &admin, "").await;
        let token = eventually("a token of the new key", || async {
            let token = exchange(&system, &permanent).await;
            (header_of(&token) != header_of(&former)).then_some(token)
        })
        .await;
        apache.takes(&token).await.unwrap();
    }
}
