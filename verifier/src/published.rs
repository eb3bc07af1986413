//! The public keys as they are published, from a copy that is a second or two old. During an
//! outage the last copy stands, as it does in every reader's cache: a public key that a reader has
//! is no secret that could leak, and with none each access token would look forged to it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tessera_shared::{
    keys::KeySet,
    sparing::Sparing,
    store::{Key, StoreError, StoreReader},
};
use tokio::time::Instant;

/// For so long a copy is not compared with the store.
const YOUNG: Duration = Duration::from_secs(1);

/// The key set, read when it is asked for.
pub(crate) struct Published {
    store: Arc<dyn StoreReader>,
    last: ArcSwapOption<Last>,
}

struct Last {
    keys: Arc<KeySet>,
    looked_at: Instant,
}

impl Published {
    pub(crate) fn new(store: Arc<dyn StoreReader>) -> Self {
        Self { store, last: ArcSwapOption::empty() }
    }

    /// The keys; `None`: there are none, or none are known and the store does not answer.
    pub(crate) async fn keys(&self) -> Option<Arc<KeySet>> {
        let last = self.last.load_full();
        if let Some(last) = &last {
            if last.looked_at.elapsed() < YOUNG {
                return Some(last.keys.clone());
            }
            // Others go on with it while this call looks.
            self.keep(&last.keys);
        }
        match read(&*self.store).await {
            Ok(Some(keys)) => {
                let keys = Arc::new(keys);
                self.keep(&keys);
                Some(keys)
            }
            Ok(None) => {
                self.last.store(None);
                None
            }
            Err(error @ StoreError::Damaged(_)) => {
                static FAULT: Sparing = Sparing::new();
                if let Some(left_out) = FAULT.turn() {
                    tracing::error!(%error, left_out, "the keys can't be published");
                }
                self.last.store(None);
                None
            }
            Err(
                StoreError::Unavailable(_) | StoreError::NotConfirmed(_) | StoreError::Contended,
            ) => last.map(|last| last.keys.clone()),
        }
    }

    fn keep(&self, keys: &Arc<KeySet>) {
        let last = Last { keys: keys.clone(), looked_at: Instant::now() };
        self.last.store(Some(Arc::new(last)));
    }
}

async fn read(store: &dyn StoreReader) -> Result<Option<KeySet>, StoreError> {
    let bytes = store.read(&[Key::KeySet]).await?.pop().flatten();
    Ok(bytes.map(|bytes| KeySet::from_bytes(&bytes)).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Access, FakeStore};

    #[tokio::test(start_paused = true)]
    async fn the_store_is_asked_once_a_second_and_in_an_outage_the_last_keys_stand() {
        let store: Arc<FakeStore> = Arc::default();
        let published = Published::new(store.clone());
        store.cut();
        assert!(published.keys().await.is_none(), "never known");
        store.mend();
        let access = Access::new(&store);
        let kid = async || published.keys().await.map(|keys| keys.jwks_json());
        let first = kid().await.unwrap();
        assert!(first.contains(access.kid()));
        store.reads();
        for _ in 0..100 {
            assert_eq!(kid().await.as_ref(), Some(&first));
        }
        assert_eq!(store.reads(), 0);
        store.cut();
        for _ in 0..3 {
            tokio::time::advance(YOUNG).await;
            for _ in 0..100 {
                assert_eq!(kid().await.as_ref(), Some(&first));
            }
            assert_eq!(store.reads(), 1);
        }
        store.mend();
        let next = Access::new(&store);
        tokio::time::advance(YOUNG).await;
        assert!(kid().await.unwrap().contains(next.kid()));
        store.put(Key::KeySet, b"damaged".to_vec());
        tokio::time::advance(YOUNG).await;
        assert_eq!(kid().await, None);
    }
}
