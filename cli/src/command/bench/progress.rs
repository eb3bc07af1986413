//! How it goes, on a terminal, while it goes.

use std::{cell::Cell, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::{job::Job, summary::micros};

const LOOK: &str = "{bar:24} {elapsed} of {len_s}  {msg}";

/// A line on stderr that is renewed; nothing if stderr is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
    last: Cell<(Instant, u64)>,
}

impl Progress {
    /// Begins.
    pub(super) fn new(duration: Duration) -> Self {
        let bar = ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        let whole = format!("{:.0}s", duration.as_secs_f64());
        let look = ProgressStyle::with_template(&LOOK.replace("{len_s}", &whole));
        bar.set_style(look.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let now = Instant::now();
        Self { bar, started: now, last: Cell::new((now, 0)) }
    }

    /// Shows what was counted by now.
    pub(super) fn show(&self, job: &Job) {
        let Ok(tally) = job.tally() else { return };
        if self.bar.is_hidden() {
            return;
        }
        let (now, requests) = (Instant::now(), tally.requests());
        let (then, before) = self.last.replace((now, requests));
        let seconds = now.duration_since(then).as_secs_f64().max(0.001);
        let rate = requests.saturating_sub(before) as f64 / seconds;
        let failed = requests - tally.statuses.get(&0).copied().unwrap_or_default();
        let message = format!(
            "{rate:.0}/s  p50 {} µs  p99 {} µs  denied {}  failed {failed}",
            micros(tally.latency_at(0.50)),
            micros(tally.latency_at(0.99)),
            tally.denials(),
        );
        let elapsed = now.duration_since(self.started).as_millis();
        self.bar.set_position(u64::try_from(elapsed).unwrap_or(u64::MAX));
        self.bar.set_message(message);
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
