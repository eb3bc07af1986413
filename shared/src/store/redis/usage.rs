//! The use of tokens. A report is one entry of a stream, which whoever reports can add
//! to and not read. Issuers read it from its beginning, merge by maximum, and remove
//! what they merged: two that do so at once, or one that is cut short, only do
//! again what changes nothing.

use std::collections::HashMap;

use ::redis::cmd;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{RedisStore, scripts};
use crate::{
    clock::Timestamp,
    id::TokenId,
    store::{Key, StoreError, StoreReader as _},
    usage::{Usage, pack, unpack},
};

/// Reports that wait at most, about: the oldest go first. With the largest ones this
/// is some 70 MB; two verifiers fill it in five hours without an issuer.
const MOST_REPORTS: u32 = 4096;
/// Reports that are merged at a time.
const PAGE: usize = 16;
/// Records that are read at a time.
const CHUNK: usize = 500;
/// Commands under way at the same time.
const CONCURRENCY: usize = 128;
const FIELD: &str = "u";

type Merged = HashMap<TokenId, Usage>;
/// The id of an entry, its fields and their values.
type Entry = (String, HashMap<String, Vec<u8>>);

impl RedisStore {
    pub(super) async fn add_report(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut add = cmd("XADD");
        add.arg(self.names.reported()).arg("MAXLEN").arg("~").arg(MOST_REPORTS);
        add.arg("*").arg(FIELD).arg(pack(notes));
        let _: String = self.servers.query(&self.names.reported(), &add).await?;
        Ok(())
    }

    pub(super) async fn merge_page(&self, now: Timestamp) -> Result<bool, StoreError> {
        let mut page = cmd("XRANGE");
        page.arg(self.names.reported()).arg("-").arg("+").arg("COUNT").arg(PAGE);
        let entries: Vec<Entry> = self.servers.query(&self.names.reported(), &page).await?;
        if entries.is_empty() {
            return Ok(false);
        }
        self.merge(self.existing(merged(&entries, now)).await?).await?;
        let mut remove = cmd("XDEL");
        remove.arg(self.names.reported());
        for (id, _) in &entries {
            remove.arg(id);
        }
        let _: i64 = self.servers.query(&self.names.reported(), &remove).await?;
        Ok(entries.len() == PAGE)
    }

    /// Without the tokens that have no record: who can report could else fill the
    /// store with numbers.
    async fn existing(&self, mut merged: Merged) -> Result<Merged, StoreError> {
        let tokens: Vec<TokenId> = merged.keys().copied().collect();
        for tokens in tokens.chunks(CHUNK) {
            let keys: Vec<Key> = tokens.iter().copied().map(Key::Token).collect();
            for (token, record) in tokens.iter().zip(self.read(&keys).await?) {
                if record.is_none() {
                    merged.remove(token);
                }
            }
        }
        Ok(merged)
    }

    async fn merge(&self, merged: Merged) -> Result<(), StoreError> {
        let mut buckets: HashMap<String, Vec<(i64, Usage)>> = HashMap::new();
        for (token, usage) in merged {
            let (name, field) = self.names.usage(token);
            buckets.entry(name).or_default().push((field, usage));
        }
        let merges = buckets.into_iter().map(|(name, notes)| self.merge_bucket(name, notes));
        self.all(merges.collect()).await.map(drop)
    }

    async fn merge_bucket(&self, name: String, notes: Vec<(i64, Usage)>) -> Result<(), StoreError> {
        let mut call = scripts::MERGE_USAGE.call(name);
        for (field, usage) in notes {
            let (used, reused) = usage.to_seconds();
            for number in [field, used.into(), reused.into()] {
                call = call.arg(number.to_string().as_bytes());
            }
        }
        self.servers.run(&call).await
    }

    pub(super) async fn usage_of(&self, tokens: &[TokenId]) -> Result<Vec<Usage>, StoreError> {
        self.all(tokens.iter().map(|token| self.usage_of_one(*token)).collect()).await
    }

    async fn usage_of_one(&self, token: TokenId) -> Result<Usage, StoreError> {
        let (name, field) = self.names.usage(token);
        let value: Option<String> =
            self.servers.query(&name, cmd("HGET").arg(&name).arg(field)).await?;
        value.map_or(Ok(Usage::default()), |value| parse(&value))
    }

    pub(super) async fn remove_usage(&self, tokens: &[TokenId]) -> Result<(), StoreError> {
        for token in tokens {
            let (name, field) = self.names.usage(*token);
            let _: i64 = self.servers.query(&name, cmd("HDEL").arg(&name).arg(field)).await?;
        }
        Ok(())
    }

    /// The answers in their order.
    async fn all<T, F>(&self, calls: Vec<F>) -> Result<Vec<T>, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        stream::iter(calls).buffered(CONCURRENCY).try_collect().await
    }
}

/// What the reports say in all. One that can't be read is passed over, and so goes
/// with the others: kept, it would hold up all after it.
fn merged(entries: &[Entry], now: Timestamp) -> Merged {
    let mut merged = Merged::new();
    for (id, fields) in entries {
        let Some(notes) = fields.get(FIELD).and_then(|bytes| unpack(bytes)) else {
            tracing::warn!(entry.id = id, "a report of the use of tokens can't be read");
            continue;
        };
        for (token, usage) in notes {
            let merged = merged.entry(token).or_default();
            *merged = merged.merged(usage.no_later_than(now));
        }
    }
    merged
}

/// A value as the script writes it.
fn parse(value: &str) -> Result<Usage, StoreError> {
    let (used, reused) = value.split_once(' ').unwrap_or((value, "0"));
    let numbers = used.parse().ok().zip(reused.parse().ok());
    numbers.map(Usage::from_seconds).ok_or(StoreError::Damaged("the usage of a token"))
}
