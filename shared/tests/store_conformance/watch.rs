//! Watching for what takes time.

use std::time::Duration;

use tokio::time::Instant;

/// For how long anything is watched before the test fails: long, since a machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until `look` gives something, and answers that.
///
/// # Panics
/// When [`PATIENCE`] is at its end; the message names `what`.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        ticks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never seen: {what}");
    }
}
