//! What is in the database: five tables, and what is done to them.
//!
//! To change a layout, add a table and move the data at open; never give a table
//! or a tag a new meaning, for files outlive programs.

mod usage;

use std::ops::RangeInclusive;

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    store::{Index, Key, Swap},
};

/// Key bytes → time of garbage (8 bytes, big-endian milliseconds) and value.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
/// Time of garbage in milliseconds, key bytes: finds the records that are garbage.
const GARBAGE: TableDefinition<'_, (i64, &[u8]), ()> = TableDefinition::new("garbage");
/// Tag of the index, its owner or 0, id.
const INDEXES: TableDefinition<'_, (u8, i64, i64), ()> = TableDefinition::new("indexes");
/// Account, token → live until, in milliseconds.
const LIVE: TableDefinition<'_, (i64, i64), i64> = TableDefinition::new("live");

/// Makes the tables that are not there.
pub(super) fn create(transaction: WriteTransaction) -> Result<(), redb::Error> {
    Writing::of(&transaction)?;
    Ok(transaction.commit()?)
}

/// The bytes that stand for a key: a tag, and an id or a name.
pub(super) fn record_key(key: &Key) -> Vec<u8> {
    fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
        [&[tag], rest].concat()
    }
    match key {
        Key::Account(id) => tagged(b'a', &id.get().to_be_bytes()),
        Key::User(id) => tagged(b'u', &id.get().to_be_bytes()),
        Key::Password(user) => tagged(b'p', &user.get().to_be_bytes()),
        Key::Username(name) => tagged(b'n', name.as_bytes()),
        Key::Session(id) => tagged(b's', &id.get().to_be_bytes()),
        Key::Token(id) => tagged(b't', &id.get().to_be_bytes()),
        Key::Roles => tagged(b'R', &[]),
        Key::KeySet => tagged(b'K', &[]),
        Key::Foreign(hash) => tagged(b'h', hash),
        Key::Imports => tagged(b'I', &[]),
        Key::PrivateKey(kid) => tagged(b'k', kid.as_bytes()),
        Key::Revocations(bucket) => tagged(b'v', &bucket.to_be_bytes()),
    }
}

/// The bytes that stand for a value.
pub(super) fn stored(value: &[u8], garbage_at: Timestamp) -> Vec<u8> {
    [&garbage_at.millis().to_be_bytes(), value].concat()
}

/// The time of garbage, and the value.
fn loaded(stored: &[u8]) -> Result<(i64, &[u8]), redb::Error> {
    let (garbage_at, value) = stored
        .split_first_chunk()
        .ok_or_else(|| redb::Error::Corrupted("a record without its time".to_owned()))?;
    Ok((i64::from_be_bytes(*garbage_at), value))
}

fn index_key(index: Index, id: i64) -> (u8, i64, i64) {
    match index {
        Index::Accounts => (b'a', 0, id),
        Index::UsersOf(account) => (b'u', account.get(), id),
        Index::SessionsOf(user) => (b's', user.get(), id),
        Index::TokensOf(account) => (b't', account.get(), id),
    }
}

fn all_live(account: AccountId) -> RangeInclusive<(i64, i64)> {
    (account.get(), i64::MIN)..=(account.get(), i64::MAX)
}

/// The tables as they were when the reading began.
pub(super) struct Reading(pub(super) ReadTransaction);

impl Reading {
    pub(super) fn records(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, redb::Error> {
        let records = self.0.open_table(RECORDS)?;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(match records.get(record_key(key).as_slice())? {
                Some(stored) => Some(loaded(stored.value())?.1.to_vec()),
                None => None,
            });
        }
        Ok(values)
    }

    pub(super) fn index_page(
        &self,
        index: Index,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, redb::Error> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let indexes = self.0.open_table(INDEXES)?;
        indexes
            .range(index_key(index, first)..=index_key(index, i64::MAX))?
            .take(limit)
            .map(|entry| Ok(entry?.0.value().2))
            .collect()
    }

    pub(super) fn reserved(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, redb::Error> {
        let live = self.0.open_table(LIVE)?;
        let mut tokens = Vec::new();
        for entry in live.range(all_live(account))? {
            if tokens.len() >= limit {
                break;
            }
            let (key, until) = entry?;
            if until.value() > now.millis() {
                tokens.push(key.value().1);
            }
        }
        Ok(tokens)
    }
}

/// The tables in a write transaction, and whether anything was changed in them.
pub(super) struct Writing<'a> {
    records: Table<'a, &'static [u8], &'static [u8]>,
    garbage: Table<'a, (i64, &'static [u8]), ()>,
    indexes: Table<'a, (u8, i64, i64), ()>,
    live: Table<'a, (i64, i64), i64>,
    usage: Table<'a, i64, (u32, u32)>,
    pub(super) changed: bool,
}

impl<'a> Writing<'a> {
    pub(super) fn of(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            garbage: transaction.open_table(GARBAGE)?,
            indexes: transaction.open_table(INDEXES)?,
            live: transaction.open_table(LIVE)?,
            usage: transaction.open_table(usage::USAGE)?,
            changed: false,
        })
    }

    /// `new` is as [`stored`] makes it.
    pub(super) fn swap(
        &mut self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Swap, redb::Error> {
        let old_garbage_at = {
            let old = self.records.get(key)?;
            let old = old.as_ref().map(|stored| loaded(stored.value())).transpose()?;
            if old.map(|(_, value)| value) != expected {
                return Ok(Swap::Conflict);
            }
            old.map(|(garbage_at, _)| garbage_at)
        };
        if let Some(at) = old_garbage_at.filter(|at| *at != i64::MAX) {
            self.garbage.remove((at, key))?;
        }
        match new {
            Some(new) => {
                let at = loaded(new)?.0;
                if at != i64::MAX {
                    self.garbage.insert((at, key), ())?;
                }
                self.records.insert(key, new)?;
            }
            None => drop(self.records.remove(key)?),
        }
        self.changed = true;
        Ok(Swap::Done)
    }

    pub(super) fn index_add(&mut self, index: Index, id: i64) -> Result<(), redb::Error> {
        let old = self.indexes.insert(index_key(index, id), ())?;
        self.changed |= old.is_none();
        Ok(())
    }

    pub(super) fn index_remove(&mut self, index: Index, id: i64) -> Result<(), redb::Error> {
        let old = self.indexes.remove(index_key(index, id))?;
        self.changed |= old.is_some();
        Ok(())
    }

    pub(super) fn reserve(
        &mut self,
        account: AccountId,
        token: TokenId,
        live_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<bool, redb::Error> {
        let (expired, others) = self.count_others(account, token, now)?;
        for key in expired {
            self.live.remove(key)?;
            self.changed = true;
        }
        if others >= limit {
            return Ok(false);
        }
        self.live.insert((account.get(), token.get()), live_until.millis())?;
        self.changed = true;
        Ok(true)
    }

    /// The entries of `account` that have expired, and how many live ones are not
    /// `token`.
    fn count_others(
        &self,
        account: AccountId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<(Vec<(i64, i64)>, u32), redb::Error> {
        let mut expired = Vec::new();
        let mut others = 0;
        for entry in self.live.range(all_live(account))? {
            let (key, until) = entry?;
            if until.value() <= now.millis() {
                expired.push(key.value());
            } else if key.value().1 != token.get() {
                others += 1;
            }
        }
        Ok((expired, others))
    }

    pub(super) fn release(
        &mut self,
        account: AccountId,
        token: TokenId,
    ) -> Result<(), redb::Error> {
        let old = self.live.remove((account.get(), token.get()))?;
        self.changed |= old.is_some();
        Ok(())
    }

    /// Removes up to `limit` records that are garbage, and says how many.
    pub(super) fn collect_garbage(
        &mut self,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, redb::Error> {
        let first_kept = (now.millis().saturating_add(1), [].as_slice());
        let mut removed = 0;
        for entry in self.garbage.extract_from_if(..first_kept, |_, ()| true)?.take(limit) {
            self.records.remove(entry?.0.value().1)?;
            removed += 1;
        }
        self.changed |= removed > 0;
        Ok(removed)
    }
}
