//! Whether the store answers, as the calls find it.
//!
//! The log tells when an outage begins and ends, once each, and not for every call
//! in it. Readiness asks only whether the store *has* answered since the start: were
//! it to follow each outage, one store would take every replica out at once, and
//! callers would be refused a connection instead of told UNAVAILABLE.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    time::Duration,
};

use tessera_shared::store::{Key, StoreError, StoreReader};

const UNKNOWN: u8 = 0;
const ANSWERS: u8 = 1;
const SILENT: u8 = 2;

/// What is known of the store's reach. The default knows nothing.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    state: AtomicU8,
    ever_answered: AtomicBool,
    draining: AtomicBool,
}

impl Reach {
    /// Takes note of how a read ended.
    pub(crate) fn note<T>(&self, read: &Result<T, StoreError>) {
        match read {
            // Damage came from a store that answers.
            Ok(_) | Err(StoreError::Damaged(_)) => self.answers(),
            Err(error @ (StoreError::Unavailable(_) | StoreError::Contended)) => self.silent(error),
        }
    }

    /// Whether requests should come here.
    pub(crate) fn is_ready(&self) -> bool {
        self.ever_answered.load(Relaxed) && !self.draining.load(Relaxed)
    }

    /// No more requests should come.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Reads until the store answers, for calls may be long in coming.
    pub(crate) async fn wait_for(&self, store: &dyn StoreReader, retry: Duration) {
        loop {
            self.note(&store.read(&[Key::KeySet]).await);
            if self.ever_answered.load(Relaxed) {
                return;
            }
            tokio::time::sleep(retry).await;
        }
    }

    fn answers(&self) {
        // Nearly every call comes here with nothing to tell: a load alone leaves the
        // cache line shared between the cores.
        if self.state.load(Relaxed) == ANSWERS {
            return;
        }
        self.ever_answered.store(true, Relaxed);
        if self.state.swap(ANSWERS, Relaxed) != ANSWERS {
            tracing::info!("the store answers");
        }
    }

    fn silent(&self, error: &StoreError) {
        if self.state.swap(SILENT, Relaxed) != SILENT {
            tracing::warn!(%error, "the store does not answer: calls fail until it does");
        }
    }
}

const _: () = assert!(UNKNOWN == 0, "the default of an atomic is 0");

#[cfg(test)]
mod tests {
    use super::*;

    fn outage() -> Result<(), StoreError> {
        Err(StoreError::Unavailable("cut".to_owned()))
    }

    #[test]
    fn ready_once_the_store_has_answered_and_through_an_outage_until_the_drain() {
        let reach = Reach::default();
        reach.note(&outage());
        assert!(!reach.is_ready());
        reach.note(&Ok(()));
        reach.note(&outage());
        assert!(reach.is_ready());
        reach.drain();
        assert!(!reach.is_ready());
    }
}
