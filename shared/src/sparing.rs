//! Log lines that many calls would write at once, such as those that fail in an outage: one
//! in ten seconds is written, and says how many were left out before it.
//!
//! ```
//! use tessera_shared::sparing::Sparing;
//!
//! static OUTAGE: Sparing = Sparing::new();
//! if let Some(left_out) = OUTAGE.turn() {
//!     tracing::warn!(left_out, "the store did not answer");
//! }
//! ```

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug)]
pub struct Sparing(Mutex<State>);

#[derive(Debug)]
struct State {
    written: Option<Instant>,
    left_out: u64,
}

impl Sparing {
    /// None was written yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State { written: None, left_out: 0 }))
    }

    /// Whether to write one now; then, how many were left out since the last.
    pub fn turn(&self) -> Option<u64> {
        self.turn_at(Instant::now())
    }

    fn turn_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.written.is_some_and(|written| now.saturating_duration_since(written) < PAUSE) {
            state.left_out += 1;
            return None;
        }
        state.written = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

impl Default for Sparing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_written_and_then_one_in_ten_seconds_that_counts_the_others() {
        let (line, begun) = (Sparing::new(), Instant::now());
        let mut written = Vec::new();
        for millis in 0..25_000 {
            let left_out = line.turn_at(begun + Duration::from_millis(millis));
            written.extend(left_out.map(|left_out| (millis, left_out)));
        }
        assert_eq!(written, [(0, 0), (10_000, 9_999), (20_000, 9_999)]);
    }
}
