//! What the metrics tell of the memory.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tessera_serve::metrics::Times;

use super::{Memory, Tokens};

/// How often memory could answer. The hot path counts for itself.
#[derive(Default)]
pub(crate) struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Counts {
    pub(crate) fn hits(&self, tokens: u64) {
        self.hits.fetch_add(tokens, Relaxed);
    }

    pub(super) fn misses(&self, tokens: u64) {
        self.misses.fetch_add(tokens, Relaxed);
    }

    /// Tokens answered from memory, the hot path's excepted, and those that the store was
    /// asked for.
    pub(crate) fn hits_and_misses(&self) -> [u64; 2] {
        [self.hits.load(Relaxed), self.misses.load(Relaxed)]
    }
}

/// What is held of tokens.
pub(crate) struct Held {
    /// `granted`, or `refused`.
    pub(crate) kind: &'static str,
    pub(crate) entries: f64,
    pub(crate) bytes: f64,
}

impl Memory {
    /// What is held now.
    pub(crate) fn held(&self) -> [Held; 2] {
        let of = |kind, tokens: &Tokens| Held {
            kind,
            entries: tokens.len() as f64,
            bytes: tokens.weight() as f64,
        };
        [of("granted", &self.granted), of("refused", &self.refused)]
    }

    /// How old the view is; infinite if it was never proven.
    pub(crate) fn view_age_seconds(&self) -> f64 {
        let age = self.following.age(self.following.proof());
        age.map_or(f64::INFINITY, |age| age.as_secs_f64())
    }

    /// How old the view had become each time that it was proven anew.
    pub(crate) fn view_gaps(&self) -> &Times {
        self.following.gaps()
    }

    /// How old the view may be.
    pub(crate) const fn bound(&self) -> Duration {
        self.bound
    }
}
