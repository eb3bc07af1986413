//! The store: opaque records under typed keys, changed by compare-and-swap, and
//! ordered sets of ids beside them.
//!
//! Two traits. [`StoreReader`] is all that a verifier can name; [`StoreWriter`] is
//! the issuer's. A record is one value under one key, so that ending a token is
//! one atomic write on any topology; an index is only a list of where to look,
//! and grants nothing. Writers add to the index first and write the record
//! after, so a crash between the two leaves an entry that leads nowhere, which a
//! sweep removes.
//!
//! To add a backend: implement both traits, and run [`conformance`] on it.

mod changes;
pub mod conformance;
pub mod embedded;
pub mod records;
pub mod redis;
mod url;

pub use self::changes::Changes;
pub use self::url::{
    OpenError, OpenStore, RedisUrl, StoreOptions, StoreUrl, StoreUrlError, Transport, open,
    open_existing, open_reader,
};

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    clock::Timestamp,
    id::{AccountId, SessionId, TokenId, UserId},
    usage::Usage,
};

/// How many keys hold the revocations: see [`crate::revocation`].
pub const REVOCATION_BUCKETS: u16 = 256;

/// Where a record lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// An account.
    Account(AccountId),
    /// A user.
    User(UserId),
    /// A user's password. No verifier may read it.
    Password(UserId),
    /// Which user has this name, lower case.
    Username(String),
    /// A session.
    Session(SessionId),
    /// A permanent token.
    Token(TokenId),
    /// The role catalogue.
    Roles,
    /// The public signing keys.
    KeySet,
    /// A private signing key, by `kid`. No verifier may read it.
    PrivateKey(String),
    /// Which token a string of another system is, by its SHA-256; see [`crate::foreign`].
    Foreign([u8; 32]),
    /// That there are such tokens.
    Imports,
    /// A bucket of revocations, below [`REVOCATION_BUCKETS`].
    Revocations(u16),
}

/// An ordered set of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// All accounts.
    Accounts,
    /// An account's users.
    UsersOf(AccountId),
    /// A user's sessions.
    SessionsOf(UserId),
    /// An account's permanent tokens, whatever their state.
    TokensOf(AccountId),
}

/// How a compare-and-swap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The new value is durable.
    Done,
    /// The record was not what was expected; nothing is changed.
    Conflict,
}

/// The store could not answer. Never a verdict on what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Out of reach, too slow, or not confirmed: a write may or may not be done.
    #[error("the store is out of reach: {0}")]
    Unavailable(String),
    /// A write that was done, and that others who should have it too have not confirmed:
    /// a failover may lose it yet. To repeat it does no harm, and waits for them again.
    #[error("the write is not confirmed, and may be lost yet: {0}")]
    NotConfirmed(String),
    /// Others kept changing the same record; nothing is changed.
    #[error("others keep changing the same record")]
    Contended,
    /// A record that this version can't read.
    #[error("a record in the store is damaged: {0}")]
    Damaged(&'static str),
}

/// What a verifier may do: read, and say which tokens it saw.
#[async_trait]
pub trait StoreReader: Send + Sync {
    /// The values under `keys`, in their order, in one round trip.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; `None` is absence, never an outage.
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Tells `changes`, from now on and until the store is dropped, what changes, and
    /// looks every `interval` whether it is still told. Once for each store.
    ///
    /// A store that can't tell does nothing: then no view of it is ever proven.
    fn follow(&self, _changes: Arc<dyn Changes>, _interval: Duration) {}

    /// Hands in uses of tokens, to be merged by maximum: at once, or by the next
    /// [`StoreWriter::merge_reported`]. Durable when it returns, as far as there is room: a
    /// store may drop the oldest reports when nobody merges them for long.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: report it again, which does no harm if it was done.
    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError>;
}

/// What an issuer may do besides.
///
/// A write that returns is durable, as far as the store's settings ask: a method that
/// makes or ends something fails with [`StoreError::NotConfirmed`] where that is not known.
#[async_trait]
pub trait StoreWriter: StoreReader {
    /// Replaces the value under `key`, if it is `expected` (`None`: absent), by
    /// `new` (never empty; `None`: remove). The store may forget the record after
    /// `garbage_at`, and not before; records decide by their own times.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: done or not, nobody knows.
    async fn swap(
        &self,
        key: &Key,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        garbage_at: Option<Timestamp>,
    ) -> Result<Swap, StoreError>;

    /// Puts `id` into `index`; no change if it is there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn index_add(&self, index: Index, id: i64) -> Result<(), StoreError>;

    /// Takes `id` out of `index`; no change if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn index_remove(&self, index: Index, id: i64) -> Result<(), StoreError>;

    /// Up to `limit` ids of `index` above `after`, ascending.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn index_page(
        &self,
        index: Index,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError>;

    /// Counts `token` as live in `account` until `live_until` ([`Timestamp::NEVER`]
    /// for ever), unless `limit` others are live at `now`: then false, and nothing
    /// is changed. Atomic. A token already counted keeps one place.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn reserve(
        &self,
        account: AccountId,
        token: TokenId,
        live_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<bool, StoreError>;

    /// Ends the counting of `token`; no change if it is not counted.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn release(&self, account: AccountId, token: TokenId) -> Result<(), StoreError>;

    /// Ids counted as live in `account` and not yet expired at `now`, at most `limit`; for the sweep.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn reserved(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError>;

    /// Waits until what `key` was seen to hold is as durable as a write that returned:
    /// for who finds a change made already, perhaps by a write that was not confirmed.
    ///
    /// # Errors
    /// [`StoreError::NotConfirmed`], [`StoreError::Unavailable`].
    async fn confirm(&self, _key: &Key) -> Result<(), StoreError> {
        Ok(())
    }

    /// A number that goes up with each new connection, which may lead to another server or to
    /// the same with other settings; `None`: there are no connections.
    fn connections(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// Shows those who follow the store that it takes writes. Call it several times in
    /// each staleness bound.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn beat(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Merges some of what was reported, of tokens that there are, and nothing of it
    /// later than `now`; answers whether there may be more. Any number of issuers may
    /// do so at the same time, and stop at any point. Stores that merge each report
    /// at once do nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: what is not merged is kept.
    async fn merge_reported(&self, _now: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The merged usage of `tokens`, in their order; empty where there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn usage(&self, tokens: &[TokenId]) -> Result<Vec<Usage>, StoreError>;

    /// Forgets the usage of tokens that are gone; no change where there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn forget_usage(&self, tokens: &[TokenId]) -> Result<(), StoreError>;

    /// Forgets records past their `garbage_at`. Stores that do so by themselves do nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn collect_garbage(&self, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
}
