//! Watching for what takes time.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

/// For how long anything is watched before the test fails: long, since two cores
/// may run everything at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The promise: every verifier denies within this after a revocation.
pub const STALENESS_BOUND: Duration = Duration::from_secs(2);

const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `look` gives something, and answers that.
///
/// # Panics
/// When [`PATIENCE`] is at its end; the message names `what`.
pub async fn eventually<T, F, Fut>(what: &str, look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    within(PATIENCE, what, look).await
}

/// Looks until `look` gives something, for at most `limit`.
///
/// # Panics
/// When `limit` has passed without it; the message names `what`.
pub async fn within<T, F, Fut>(limit: Duration, what: &str, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun < deadline, "not seen within {limit:?}: {what}");
    }
}
