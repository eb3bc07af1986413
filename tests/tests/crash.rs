//! Nothing acknowledged is lost by kill -9. In the test command a few processes are
//! killed; for hundreds:
//!
//! ```sh
//! TESSERA_CRASH_KILLS=300 cargo test -p tessera-tests --test crash -- --nocapture
//! ```
//! `TESSERA_CRASH_SEED` repeats the choices of a run.

use std::env;

use tessera_tests::{
    crash::{Plan, run},
    promise::dice::any_seed,
    system::Backend,
};

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

async fn crash(backend: Backend, kills: usize) {
    let kills = number("TESSERA_CRASH_KILLS").unwrap_or(kills);
    let plan = Plan { backend, seed: number("TESSERA_CRASH_SEED").unwrap_or_else(any_seed), kills };
    println!("{plan:?}");
    println!("{}", run(plan).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_loses_nothing_acknowledged_by_kill_9_of_any_process() {
    crash(Backend::Redis, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_loses_nothing_acknowledged_by_kill_9() {
    crash(Backend::Embedded, 5).await;
}
