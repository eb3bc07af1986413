//! Into a store: first a look whether it may be, then the writing, by the same rules as an
//! issuer's. A list leads to a record before the record is there, and no record that is
//! there is written over: to do it twice, or to be cut short, harms nothing.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    BackupError, Filled,
    entry::{Entry, Kind},
};
use crate::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    record::{Foreign, PermanentToken, Session},
    store::{StoreWriter, Swap, records, records::Record},
};

/// Records written side by side: enough that they share flushes of the disk.
const CONCURRENCY: usize = 64;

/// What the target is like, compared with what is to come.
#[derive(Default)]
pub(super) struct Look {
    differing: u64,
    first: Option<String>,
}

impl Look {
    /// Compares a page.
    pub(super) async fn at(
        &mut self,
        store: &dyn StoreWriter,
        page: &[Entry],
    ) -> Result<(), BackupError> {
        for (entry, old) in existing(store, page).await? {
            entry.check()?;
            let Some(old) = old else { continue };
            if entry.made_at(&old)? != entry.made_at(&entry.value)? {
                return Err(BackupError::OtherInstallation(entry.to_string()));
            }
            if differs(entry, &old)? {
                self.differing += 1;
                self.first.get_or_insert_with(|| entry.to_string());
            }
        }
        Ok(())
    }

    /// Whether the writing may begin.
    pub(super) fn judge(self, merge: bool) -> Result<(), BackupError> {
        match self.first {
            Some(first) if !merge => Err(BackupError::Differs(self.differing, first)),
            _ => Ok(()),
        }
    }
}

/// A private key is sealed with another nonce each time, and so is there or not.
fn differs(entry: &Entry, old: &[u8]) -> Result<bool, BackupError> {
    Ok(entry.kind()? != Kind::PrivateKey && entry.value != old)
}

/// The records of a page with what the store has in their place.
async fn existing<'a>(
    store: &dyn StoreWriter,
    page: &'a [Entry],
) -> Result<Vec<(&'a Entry, Option<Vec<u8>>)>, BackupError> {
    let mut entries = Vec::with_capacity(page.len());
    let mut keys = Vec::with_capacity(page.len());
    for entry in page {
        if let Some(key) = entry.key()? {
            entries.push(entry);
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    Ok(entries.into_iter().zip(store.read(&keys).await?).collect())
}

/// Writes what is missing of a page.
pub(super) async fn write(
    store: &dyn StoreWriter,
    page: &[Entry],
    now: Timestamp,
    filled: &mut Filled,
) -> Result<(), BackupError> {
    let found = existing(store, page).await?;
    let mut missing = Vec::new();
    for (entry, old) in found {
        match old {
            None => missing.push(entry),
            Some(old) if differs(entry, &old)? => filled.kept += 1,
            Some(_) => filled.unchanged += 1,
        }
    }
    let created: Vec<bool> = stream::iter(missing.iter().map(|entry| create(store, entry, now)))
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    for (entry, created) in missing.into_iter().zip(created) {
        if created {
            filled.written.add(entry.kind()?);
        } else {
            // Somebody else was quicker.
            filled.kept += 1;
        }
    }
    usage(store, page, now, filled).await
}

async fn create(
    store: &dyn StoreWriter,
    entry: &Entry,
    now: Timestamp,
) -> Result<bool, BackupError> {
    let Some(key) = entry.key()? else { return Ok(false) };
    let mut garbage_at = None;
    match entry.kind()? {
        Kind::Foreign => garbage_at = records::decode::<Foreign>(&entry.value)?.garbage_at(),
        Kind::Session => garbage_at = records::decode::<Session>(&entry.value)?.garbage_at(),
        Kind::Token => {
            let token: PermanentToken = records::decode(&entry.value)?;
            garbage_at = token.garbage_at();
            count_live(store, &token, now).await?;
        }
        _ => {}
    }
    if let Some((index, id)) = entry.index()? {
        store.index_add(index, id).await?;
    }
    let made = store.swap(&key, None, Some(&entry.value), garbage_at).await?;
    Ok(made == Swap::Done)
}

/// Counts a token among the live ones of its account, however many there are.
async fn count_live(
    store: &dyn StoreWriter,
    token: &PermanentToken,
    now: Timestamp,
) -> Result<(), BackupError> {
    let until = match token.expires_at {
        0 => Timestamp::NEVER,
        at => Timestamp::from_millis(at),
    };
    let ids = (AccountId::try_from(token.account), TokenId::try_from(token.id));
    if let ((Ok(account), Ok(id)), true) = (ids, token.revoked_at == 0 && until > now) {
        store.reserve(account, id, until, now, u32::MAX).await?;
    }
    Ok(())
}

async fn usage(
    store: &dyn StoreWriter,
    page: &[Entry],
    now: Timestamp,
    filled: &mut Filled,
) -> Result<(), BackupError> {
    let mut notes = Vec::new();
    for entry in page {
        if entry.kind()? == Kind::Usage {
            notes.push(entry.noted()?);
            filled.written.add(Kind::Usage);
        }
    }
    if !notes.is_empty() {
        store.report_usage(&notes).await?;
        // At once, for a store keeps no more than so many reports.
        while store.merge_reported(now).await? {}
    }
    Ok(())
}
