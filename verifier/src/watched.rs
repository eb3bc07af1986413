//! The store as the verifier reads it, and whether it answers.
//!
//! The log tells when an outage begins and ends, once each, and not for every call
//! in it. Readiness asks only whether the store *has* answered since the start: were
//! it to follow each outage, one store would take every replica out at once, and
//! callers would be refused a connection instead of told UNAVAILABLE.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use tessera_shared::{
    id::TokenId,
    store::{Changes, Key, StoreError, StoreReader},
    usage::Usage,
};

/// How long the store is left alone between two tries to reach it at the start.
const RETRY: Duration = Duration::from_secs(1);

/// A store that takes note of whether it answers.
pub(crate) struct WatchedStore {
    store: Arc<dyn StoreReader>,
    ever_answered: AtomicBool,
    silent: AtomicBool,
}

impl WatchedStore {
    pub(crate) fn new(store: Arc<dyn StoreReader>) -> Self {
        Self { store, ever_answered: AtomicBool::new(false), silent: AtomicBool::new(false) }
    }

    /// Whether the store has answered since the start.
    pub(crate) fn ever_answered(&self) -> bool {
        self.ever_answered.load(Relaxed)
    }

    /// Reads until the store has answered once, since the first call may be long in
    /// coming.
    pub(crate) async fn wait_for_an_answer(&self) {
        while self.read(&[Key::KeySet]).await.is_err() && !self.ever_answered() {
            tokio::time::sleep(RETRY).await;
        }
    }

    fn answered(&self) {
        // Nearly every read ends here with nothing to tell: loads alone leave the
        // cache line shared between the cores.
        if self.ever_answered() && !self.silent.load(Relaxed) {
            return;
        }
        let first = !self.ever_answered.swap(true, Relaxed);
        if self.silent.swap(false, Relaxed) || first {
            tracing::info!("the store answers");
        }
    }

    fn failed(&self, error: &StoreError) {
        if !self.silent.swap(true, Relaxed) {
            tracing::warn!(%error, "the store does not answer; calls fail until it does");
        }
    }
}

#[async_trait]
impl StoreReader for WatchedStore {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let read = self.store.read(keys).await;
        match &read {
            // What is damaged came from a store that answers.
            Ok(_) | Err(StoreError::Damaged(_)) => self.answered(),
            Err(
                error @ (StoreError::Unavailable(_)
                | StoreError::NotConfirmed(_)
                | StoreError::Contended),
            ) => self.failed(error),
        }
        read
    }

    fn follow(&self, changes: Arc<dyn Changes>, interval: Duration) {
        self.store.follow(changes, interval);
    }

    /// Says nothing of whether the store answers: no call hangs on it.
    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        self.store.report_usage(notes).await
    }
}
