//! Reports in the background of what a service is for.

use std::{convert::Infallible, future::Future, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::UsageNotes;
use crate::store::StoreReader;

/// How long the last report may hold up the end of the process.
const LAST_REPORT: Duration = Duration::from_secs(3);

/// Does `work`, and meanwhile reports what `notes` hold each `every`, and once more when
/// `work` is done.
pub async fn report_during<T>(
    work: impl Future<Output = T>,
    notes: &UsageNotes,
    store: &dyn StoreReader,
    every: Duration,
) -> T {
    let mut reporter = Reporter { notes, store, failing: false, dropped: 0 };
    let done = tokio::select! {
        done = work => done,
        never = reporter.keep_reporting(every) => match never {},
    };
    if timeout(LAST_REPORT, reporter.report()).await.is_err() {
        tracing::warn!("the store is too slow for the last report of the use of tokens");
    }
    done
}

struct Reporter<'a> {
    notes: &'a UsageNotes,
    store: &'a dyn StoreReader,
    // What the log was told.
    failing: bool,
    dropped: u64,
}

impl Reporter<'_> {
    async fn keep_reporting(&mut self, every: Duration) -> Infallible {
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.notes.crowded() => {}
            }
            self.report().await;
            while self.notes.is_crowded() && !self.failing {
                self.report().await;
            }
        }
    }

    async fn report(&mut self) {
        let reported = self.notes.report(self.store).await;
        match &reported {
            Err(error) if !self.failing => {
                tracing::warn!(%error, "the use of tokens can't be reported; it is held until it can");
            }
            Ok(()) if self.failing => tracing::info!("the use of tokens is reported again"),
            _ => {}
        }
        self.failing = reported.is_err();
        let dropped = self.notes.dropped();
        if dropped != self.dropped {
            tracing::warn!(notes.dropped = dropped, "no room for more notes of the use of tokens");
            self.dropped = dropped;
        }
    }
}
