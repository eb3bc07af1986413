//! The store in a file of this machine, for one process: redb.
//!
//! Reads are transactions on the caller's thread. Writes go through a bounded
//! queue to one thread (`writer`), which makes all that has gathered durable at
//! once and then answers each, so that one flush of the disk serves many callers.
//! When the disk fails, the file is opened anew ([`file`]): what was answered is
//! in it, and what was not is reported as [`StoreError::Unavailable`].

mod file;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;

pub(crate) use self::file::FILE_NAME;
pub use self::file::OpenError;
use self::{
    file::DatabaseFile,
    tables::{Reading, Writing},
    writer::Writer,
};
use super::{Changes, Index, Key, StoreError, StoreReader, StoreWriter, Swap};
use crate::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    usage::Usage,
};

/// How long a write may take. A disk is slow at times, but not for ever.
const DEADLINE: Duration = Duration::from_secs(5);

/// Records that one step of garbage collection removes at most, so that other
/// writes get their turn between two steps.
const GARBAGE_STEP: usize = 1000;

/// A store in a directory. Clones share it. It is closed with the last one, after
/// the writes that are under way.
#[derive(Clone)]
pub struct EmbeddedStore {
    // Before the file: the writer must have ended when the file is closed.
    writer: Arc<Writer>,
    file: Arc<DatabaseFile>,
    follower: Arc<OnceLock<Arc<dyn Changes>>>,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, or makes one for its owner alone (the directory
    /// has mode 0700, the file 0600).
    ///
    /// # Errors
    /// When another process has it open, or the directory can't be used.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::start(DatabaseFile::in_directory(dir)?)
    }

    /// Whether there is a store in `dir`, whatever its state.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE_NAME).is_file()
    }

    fn start(file: DatabaseFile) -> Result<Self, OpenError> {
        let file = Arc::new(file);
        let writer = Writer::start(file.clone()).map_err(OpenError::Thread)?;
        Ok(Self { writer: Arc::new(writer), file, follower: Arc::default() })
    }

    /// Applies `change` and waits until it is durable.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_and_tell(change, || ()).await
    }

    /// As [`Self::write`]. `tell` is called when it is durable and before that is
    /// answered, though nobody may wait for the answer any more.
    async fn write_and_tell<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send + 'static,
        tell: impl FnOnce() + Send + 'static,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(DEADLINE, self.writer.write(change, tell))
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the disk is too slow".to_owned())))
    }

    fn view<T>(
        &self,
        read: impl FnOnce(&Reading) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let answer = self.file.begin_read().and_then(|transaction| read(&Reading(transaction)));
        answer.map_err(|error| {
            self.file.close_if_broken(&error);
            self.writer.nudge();
            file::unavailable(&error)
        })
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl StoreReader for EmbeddedStore {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.view(|tables| tables.records(keys))
    }

    fn follow(&self, changes: Arc<dyn Changes>, _interval: Duration) {
        changes.always_proven();
        if self.follower.set(changes.clone()).is_err() {
            tracing::error!("the store is followed already");
        }
        // What was held before is not told of.
        changes.all_changed();
    }

    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        let notes = notes.to_vec();
        self.write(move |tables| tables.merge_usage(&notes)).await
    }
}

#[async_trait]
impl StoreWriter for EmbeddedStore {
    async fn swap(
        &self,
        key: &Key,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        garbage_at: Option<Timestamp>,
    ) -> Result<Swap, StoreError> {
        if new.is_some_and(<[u8]>::is_empty) {
            return Err(StoreError::Damaged("a value is never empty"));
        }
        let (follower, changed) = (self.follower.clone(), key.clone());
        let tell = move || {
            if let Some(follower) = follower.get() {
                follower.changed(&changed);
            }
        };
        let key = tables::record_key(key);
        let expected = expected.map(<[u8]>::to_vec);
        let new = new.map(|value| tables::stored(value, garbage_at.unwrap_or(Timestamp::NEVER)));
        let swap =
            move |tables: &mut Writing<'_>| tables.swap(&key, expected.as_deref(), new.as_deref());
        self.write_and_tell(swap, tell).await
    }

    async fn index_add(&self, index: Index, id: i64) -> Result<(), StoreError> {
        self.write(move |tables| tables.index_add(index, id)).await
    }

    async fn index_remove(&self, index: Index, id: i64) -> Result<(), StoreError> {
        self.write(move |tables| tables.index_remove(index, id)).await
    }

    async fn index_page(
        &self,
        index: Index,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        self.view(|tables| tables.index_page(index, after, limit))
    }

    async fn reserve(
        &self,
        account: AccountId,
        token: TokenId,
        live_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<bool, StoreError> {
        self.write(move |tables| tables.reserve(account, token, live_until, now, limit)).await
    }

    async fn release(&self, account: AccountId, token: TokenId) -> Result<(), StoreError> {
        self.write(move |tables| tables.release(account, token)).await
    }

    async fn reserved(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        self.view(|tables| tables.reserved(account, now, limit))
    }

    async fn usage(&self, tokens: &[TokenId]) -> Result<Vec<Usage>, StoreError> {
        self.view(|tables| tables.usage(tokens))
    }

    async fn forget_usage(&self, tokens: &[TokenId]) -> Result<(), StoreError> {
        let tokens = tokens.to_vec();
        self.write(move |tables| tables.forget_usage(&tokens)).await
    }

    async fn collect_garbage(&self, now: Timestamp) -> Result<(), StoreError> {
        while self.write(move |tables| tables.collect_garbage(now, GARBAGE_STEP)).await?
            == GARBAGE_STEP
        {}
        Ok(())
    }
}
