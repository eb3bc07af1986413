//! The promise of revocation, under faults. See `tests/README.md` for how to run it
//! for long and how to read what it finds.

use std::{env, time::Duration};

use tessera_tests::promise::{
    dice::any_seed,
    world::{self, Plan, Store},
};

/// A plan as the environment asks for it, or a short one with a seed of its own.
fn plan(store: Store, seconds: u64) -> Plan {
    let number = |name: &str| {
        let value = env::var(name).ok()?;
        Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
    };
    let lasting = Duration::from_secs(number("TESSERA_PROMISE_SECONDS").unwrap_or(seconds));
    let bound = Duration::from_millis(number("TESSERA_PROMISE_BOUND_MILLIS").unwrap_or(500));
    let seed = number("TESSERA_PROMISE_SEED").unwrap_or_else(any_seed);
    Plan { store, seed, lasting, bound }
}

async fn run(plan: Plan) {
    println!("{plan:?}");
    let tally = world::run(plan).await;
    println!("{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_no_grant_is_later_than_the_bound_and_no_outage_is_a_denial() {
    run(plan(Store::Redis, 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_no_grant_is_later_than_the_bound_and_no_outage_is_a_denial() {
    run(plan(Store::Embedded, 8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel_no_grant_is_later_than_the_bound_and_no_outage_is_a_denial() {
    run(plan(Store::Sentinel, 16)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_no_grant_is_later_than_the_bound_and_no_outage_is_a_denial() {
    run(plan(Store::Cluster, 16)).await;
}
