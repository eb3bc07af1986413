//! The store on Redis or Valkey: one server, one with replicas under sentinels, a cluster.
//!
//! Records are strings, indexes and live counts are sorted sets: see `names`. The use
//! of tokens comes in over a stream, and is kept in hashes: see `usage`. What must be
//! atomic is a script of one key (`scripts`), which a cluster accepts too.
//!
//! | module | what lives there |
//! |---|---|
//! | `settings`, `tls`, `transport` | where servers are, and a connection to one |
//! | `link` | one open link, and whether what it says can be believed |
//! | `kept`, `sentinel` | one primary, found and kept |
//! | `role` | what a server says that it is |
//! | `cluster` | many primaries |
//! | `servers` | which of them a command goes to |
//! | `follow` | being told of changes, and the heartbeat |
//! | `confirm` | waiting for replicas and disks |
//!
//! A link is replaced behind the callers' backs, and while there is none a call fails at
//! once. To add a topology: a variant of [`Topology`], a form of URL, and a kind in `servers`.

mod cluster;
mod confirm;
mod failure;
mod follow;
mod kept;
mod link;
mod look;
mod names;
mod role;
mod scripts;
mod sentinel;
mod servers;
mod settings;
mod tls;
mod transport;
mod usage;

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{Cmd, cmd};
use async_trait::async_trait;
use tokio::sync::watch;

pub(crate) use self::look::{Answer, Look};
use self::{follow::Follower, names::Names, servers::Servers};
pub use self::{
    settings::{
        Address, DEFAULT_DEADLINE, DEFAULT_PREFIX, Endpoint, Guarantee, Login, RedisSettings,
        SentinelSettings, Topology,
    },
    tls::{BadTlsSettings, Identity, Security},
};
use super::{Changes, Index, Key, StoreError, StoreReader, StoreWriter, Swap};
use crate::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    usage::Usage,
};

/// A store on Redis. Share it in an `Arc`.
pub struct RedisStore {
    servers: Servers,
    names: Arc<Names>,
}

impl RedisStore {
    /// A store that connects by itself, now inside a Tokio runtime or else at the
    /// first call, and again whenever its connection is lost.
    ///
    /// No server need be up: until one is, every call is
    /// [`StoreError::Unavailable`].
    pub fn new(settings: RedisSettings) -> Self {
        let names = Arc::new(Names::new(&settings.prefix));
        Self { servers: Servers::new(settings, names.clone()), names }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("settings", self.servers.settings())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl StoreReader for RedisStore {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values = self.servers.read(keys).await?;
        if values.len() == keys.len() {
            Ok(values)
        } else {
            Err(StoreError::Damaged("MGET answered another number of values"))
        }
    }

    fn follow(&self, changes: Arc<dyn Changes>, interval: Duration) {
        self.servers.follow(Follower { changes, interval });
    }

    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        self.add_report(notes).await
    }
}

#[async_trait]
impl StoreWriter for RedisStore {
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
        if expected.is_some_and(<[u8]>::is_empty) {
            return Ok(Swap::Conflict);
        }
        // PXAT takes no instant before the epoch; one millisecond after it is as long ago.
        let expire_at = garbage_at
            .filter(|at| *at != Timestamp::NEVER)
            .map_or_else(String::new, |at| at.millis().max(1).to_string());
        // A change ends something or adds little; what is new can wait.
        let is_urgent = expected.is_some() || matches!(key, Key::Revocations(_));
        let swap = if is_urgent { &scripts::SWAP_THOUGH_FULL } else { &scripts::SWAP };
        let call = swap
            .call(self.names.record(key))
            .arg(expected.unwrap_or_default())
            .arg(new.unwrap_or_default())
            .arg(expire_at.as_bytes());
        let done = self.servers.run_to_write(&call).await?;
        Ok(if done { Swap::Done } else { Swap::Conflict })
    }

    async fn index_add(&self, index: Index, id: i64) -> Result<(), StoreError> {
        let name = self.names.index(index);
        self.servers.write(&name, cmd("ZADD").arg(&name).arg(id).arg(id)).await
    }

    async fn index_remove(&self, index: Index, id: i64) -> Result<(), StoreError> {
        let name = self.names.index(index);
        self.servers.query(&name, cmd("ZREM").arg(&name).arg(id)).await
    }

    async fn index_page(
        &self,
        index: Index,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let name = self.names.index(index);
        self.servers.query(&name, &members_above(&name, after, limit)).await
    }

    async fn reserve(
        &self,
        account: AccountId,
        token: TokenId,
        live_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<bool, StoreError> {
        let until = match live_until {
            Timestamp::NEVER => "+inf".to_owned(),
            until => until.millis().to_string(),
        };
        let call = scripts::RESERVE
            .call(self.names.live(account))
            .arg(token.to_string().as_bytes())
            .arg(until.as_bytes())
            .arg(now.millis().to_string().as_bytes())
            .arg(limit.to_string().as_bytes());
        self.servers.run_to_write(&call).await
    }

    async fn release(&self, account: AccountId, token: TokenId) -> Result<(), StoreError> {
        let name = self.names.live(account);
        self.servers.query(&name, cmd("ZREM").arg(&name).arg(token.get())).await
    }

    async fn reserved(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let name = self.names.live(account);
        self.servers.query(&name, &members_above(&name, now.millis(), limit)).await
    }

    fn connections(&self) -> Option<watch::Receiver<u64>> {
        Some(self.servers.connections())
    }

    async fn beat(&self) -> Result<(), StoreError> {
        self.servers.beat().await
    }

    async fn confirm(&self, key: &Key) -> Result<(), StoreError> {
        self.servers.confirm(&self.names.record(key)).await
    }

    async fn merge_reported(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.merge_page(now).await
    }

    async fn usage(&self, tokens: &[TokenId]) -> Result<Vec<Usage>, StoreError> {
        self.usage_of(tokens).await
    }

    async fn forget_usage(&self, tokens: &[TokenId]) -> Result<(), StoreError> {
        self.remove_usage(tokens).await
    }
}

/// Up to `limit` members of the sorted set `name` whose score is above `bound`.
fn members_above(name: &str, bound: i64, limit: usize) -> Cmd {
    let mut page = cmd("ZRANGEBYSCORE");
    page.arg(name)
        .arg(format!("({bound}"))
        .arg("+inf")
        .arg("LIMIT")
        .arg(0)
        .arg(i64::try_from(limit).unwrap_or(i64::MAX));
    page
}
