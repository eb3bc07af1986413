//! The uses that were noted and are not yet reported.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use super::Usage;
use crate::{
    clock::Timestamp,
    examine::{Reason, Verdict},
    id::TokenId,
    store::{StoreError, StoreReader},
};

/// Tokens that are held until reported; more are dropped, and counted.
const MOST_TOKENS: usize = 100_000;
/// Tokens at which a report is due, whatever the time.
const CROWD: usize = MOST_TOKENS / 4;
/// Tokens in one report to the store.
const REPORT: usize = 1000;
/// A power of two. More than the cores that would else wait for one another.
const SHARDS: usize = 16;

type Notes = HashMap<TokenId, Usage, foldhash::fast::RandomState>;

/// Uses of tokens, held in memory until the store has them.
///
/// To note is a look into a map, and never waits for the store. What is noted stays
/// until the store has confirmed it, through any outage; only a kill loses it.
#[derive(Default)]
pub struct UsageNotes {
    shards: [Mutex<Notes>; SHARDS],
    /// Those in the shards and those being reported.
    held: AtomicUsize,
    dropped: AtomicU64,
    /// Told when a crowd has gathered.
    crowd: Notify,
}

impl UsageNotes {
    /// Notes what follows from a verdict that was reached at `now`: the use of a
    /// permanent token, itself or by an access token exchanged for it; or of a
    /// secret of one that a rotation has replaced.
    pub fn note(&self, verdict: &Verdict, now: Timestamp) {
        match verdict {
            Verdict::Granted(principal) => {
                if let Some(token) = principal.proof.token() {
                    self.note_use(token, now);
                }
            }
            Verdict::Denied(reason) => self.note_refusal(*reason, now),
        }
    }

    /// Notes that `token` was found good. See also [`super::GRAIN`].
    pub fn note_use(&self, token: TokenId, now: Timestamp) {
        self.add(token, Usage::use_at(now));
    }

    /// Notes it if a replaced secret of a token was presented.
    pub fn note_refusal(&self, reason: Reason, now: Timestamp) {
        if let Reason::Replaced(token) = reason {
            self.add(token, Usage::reuse_at(now));
        }
    }

    /// Resolves when so many notes have gathered that to report them should not wait.
    pub(super) async fn crowded(&self) {
        self.crowd.notified().await;
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.held.load(Relaxed) >= CROWD
    }

    /// How many notes were dropped since the start for want of room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Gives all that was noted to `store`. What it does not confirm is held on.
    ///
    /// # Errors
    /// Those of the store; the rest is then left for the next time.
    pub async fn report(&self, store: &dyn StoreReader) -> Result<(), StoreError> {
        let mut taken = self.take();
        while let Some(batch) = taken.next() {
            store.report_usage(batch).await?;
            taken.confirm();
        }
        Ok(())
    }

    fn add(&self, token: TokenId, usage: Usage) {
        let mut shard = self.shard(token);
        if let Some(noted) = shard.get_mut(&token) {
            *noted = noted.merged(usage);
            return;
        }
        let held = self.held.fetch_add(1, Relaxed);
        if held >= MOST_TOKENS {
            self.held.fetch_sub(1, Relaxed);
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        shard.insert(token, usage);
        if held == CROWD {
            self.crowd.notify_one();
        }
    }

    /// Takes all; they keep their room until confirmed.
    fn take(&self) -> Taken<'_> {
        let mut left = Vec::with_capacity(self.held.load(Relaxed));
        for shard in &self.shards {
            // The map keeps its room: it fills again soon.
            left.extend(lock(shard).drain());
        }
        Taken { notes: self, left }
    }

    /// Puts back what was taken, beside what was noted since.
    fn put_back(&self, left: &[(TokenId, Usage)]) {
        for (token, usage) in left {
            let mut shard = self.shard(*token);
            if let Some(noted) = shard.get_mut(token) {
                *noted = noted.merged(*usage);
                self.held.fetch_sub(1, Relaxed);
            } else {
                shard.insert(*token, *usage);
            }
        }
    }

    fn shard(&self, token: TokenId) -> MutexGuard<'_, Notes> {
        // The low bits of an id are random.
        let place = usize::try_from(token.get()).unwrap_or_default() % SHARDS;
        let [first, ..] = &self.shards;
        lock(self.shards.get(place).unwrap_or(first))
    }
}

fn lock(shard: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes on their way to the store. What is left goes back when this is dropped, be
/// it by an error or because the caller gave up.
struct Taken<'a> {
    notes: &'a UsageNotes,
    left: Vec<(TokenId, Usage)>,
}

impl Taken<'_> {
    fn next(&self) -> Option<&[(TokenId, Usage)]> {
        self.left.rchunks(REPORT).next()
    }

    /// The store has the batch that was next.
    fn confirm(&mut self) {
        let count = self.next().map_or(0, <[_]>::len);
        self.left.truncate(self.left.len() - count);
        self.notes.held.fetch_sub(count, Relaxed);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.notes.put_back(&self.left);
    }
}
