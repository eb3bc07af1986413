//! Backups: every record of an installation in one file, or from one store into another.
//!
//! | module | what lives there |
//! |---|---|
//! | `entry` | a record as it stands in a backup |
//! | `walk` | a store's records, a page at a time |
//! | `file`, `seal` | the file, plain or sealed |
//! | `fill` | into a store: first a look at all, then the writing |
//!
//! All of it is streamed: memory does not grow with the installation. Work goes over
//! [`StoreWriter`], so it knows of no backend. A backup is no
//! instant: a record is as it was when it was read. In it are hashes, never a plain token.
//!
//! To add a kind of record: a [`entry::Kind`], its place in `walk` and in `fill`.

mod entry;
mod file;
mod fill;
mod seal;
#[cfg(test)]
mod tests;
mod walk;

use std::{collections::BTreeMap, fmt, io, path::Path};

use ring::rand::SecureRandom;
use zeroize::Zeroizing;

pub use self::entry::Kind;
use self::file::{FileReader, FileWriter};
use crate::{
    clock::Timestamp,
    id::AccountId,
    keys::{KeyEncryptionKey, SealError},
    store::{Index, Key, StoreError, StoreWriter},
};

/// Records that are read or written at a time.
const PAGE: usize = 200;

/// Why a backup can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A store gives no answer, or holds what can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file can't be read or written.
    #[error("the backup file: {0}")]
    File(#[from] io::Error),
    /// Not a backup, or one of a later version.
    #[error("this is no backup that this version reads")]
    NotABackup,
    /// Sealed, and there is no passphrase.
    #[error("the backup is sealed, and no passphrase is given")]
    NoPassphrase,
    /// The passphrase is another, or the file was changed.
    #[error("the backup does not open: another passphrase, or the file was changed")]
    DoesNotOpen,
    /// The file ends early or was changed.
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    /// There is nothing to copy, so it is likely another store that is meant.
    #[error("the store holds no account")]
    NoAccount,
    /// A private key would be left open.
    #[error(
        "the signing key {0} is not sealed in the store, and would lie open in the copy: give the \
         issuer's key-encryption key, which seals it, or a passphrase for the backup"
    )]
    OpenKey(String),
    /// A private key can't be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The target has other records under the same ids.
    #[error(
        "the store holds another installation: {0} was made at another time; fill an empty store, or \
         give another prefix or folder"
    )]
    OtherInstallation(String),
    /// The target has moved on since the backup, or before it.
    #[error(
        "{0} records in the store are not as in the backup (the first: {1}); nothing is written. To add \
         what is missing and leave those as they are, merge; what was revoked and forgotten since then \
         comes back with it"
    )]
    Differs(u64, String),
    /// No random bytes, or no room for the key derivation.
    #[error("{0}")]
    Internal(&'static str),
}

/// How many records of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<Kind, u64>);

impl Counts {
    fn add(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Records that were written.
    pub written: Counts,
    /// Records that were there already, the same.
    pub unchanged: u64,
    /// Records that were there and differ, and were left as they are.
    pub kept: u64,
}

/// What goes into a copy.
#[derive(Default)]
pub struct Scope {
    /// Sessions too: those who are logged in stay so.
    pub sessions: bool,
    /// Seals private keys that the store has unsealed.
    pub sealer: Option<KeyEncryptionKey>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

/// Writes all of `store` into `file`, which is to be new: sealed under `passphrase`, or plain.
///
/// # Errors
/// When the store holds no account or can't be read, the file can't be written, or a private key
/// would lie open.
pub async fn export(
    store: &dyn StoreWriter,
    file: std::fs::File,
    passphrase: Option<&str>,
    scope: &Scope,
    rng: &dyn SecureRandom,
) -> Result<Counts, BackupError> {
    holds_an_account(store).await?;
    let mut writer = FileWriter::begin(file, passphrase, rng)?;
    let mut walk = walk::Walk::new(store, scope, passphrase.is_some(), rng);
    let mut counts = Counts::default();
    while let Some(page) = walk.next().await? {
        for entry in page {
            counts.add(entry.kind()?);
            writer.put(&entry)?;
        }
    }
    writer.finish()?;
    Ok(counts)
}

/// What is in a backup: all of it is read, and its digest checked.
///
/// # Errors
/// When it is none, is damaged, or does not open.
pub fn check(path: &Path, passphrase: Option<&str>) -> Result<Counts, BackupError> {
    let mut reader = FileReader::open(path, passphrase)?;
    let mut counts = Counts::default();
    while let Some(entry) = reader.next()? {
        counts.add(entry.kind()?);
    }
    Ok(counts)
}

/// Writes what is in the backup at `path` into `store`. First all of it is read and
/// checked, and compared with the store; nothing is written if anything is wrong. Existing records
/// stay as they are. `merge` adds what is missing though some differ.
///
/// To do it again, or after it was cut short, does what is left to do.
///
/// # Errors
/// Those of [`check`]; when the store can't be used, or holds something else.
pub async fn import(
    store: &dyn StoreWriter,
    path: &Path,
    passphrase: Option<&str>,
    merge: bool,
    now: Timestamp,
) -> Result<Filled, BackupError> {
    // One file all the time, though another be moved to its name meanwhile.
    let mut reader = FileReader::open(path, passphrase)?;
    let mut look = fill::Look::default();
    while let Some(page) = reader.page()? {
        look.at(store, &page).await?;
    }
    look.judge(merge)?;
    reader.rewind()?;
    let mut filled = Filled::default();
    while let Some(page) = reader.page()? {
        fill::write(store, &page, now, &mut filled).await?;
    }
    Ok(filled)
}

/// Copies all of `from` into `to`, as an export and an import do. `to_is_safe`: unsealed
/// private keys may lie open there.
///
/// # Errors
/// As [`export`] and [`import`].
pub async fn copy(
    from: &dyn StoreWriter,
    to: &dyn StoreWriter,
    scope: &Scope,
    to_is_safe: bool,
    merge: bool,
    now: Timestamp,
    rng: &dyn SecureRandom,
) -> Result<Filled, BackupError> {
    holds_an_account(from).await?;
    let mut look = fill::Look::default();
    let mut walk = walk::Walk::new(from, scope, to_is_safe, rng);
    while let Some(page) = walk.next().await? {
        look.at(to, &page).await?;
    }
    look.judge(merge)?;
    let mut filled = Filled::default();
    let mut walk = walk::Walk::new(from, scope, to_is_safe, rng);
    while let Some(page) = walk.next().await? {
        fill::write(to, &page, now, &mut filled).await?;
    }
    Ok(filled)
}

/// A list may lead to an account that was never written, so the records are asked for.
async fn holds_an_account(store: &dyn StoreWriter) -> Result<(), BackupError> {
    let mut after = 0;
    loop {
        let ids = store.index_page(Index::Accounts, after, PAGE).await?;
        let Some(last) = ids.last() else { return Err(BackupError::NoAccount) };
        after = *last;
        let keys = ids.iter().filter_map(|id| AccountId::try_from(*id).ok()).map(Key::Account);
        let found = store.read(&keys.collect::<Vec<_>>()).await?;
        if found.iter().any(Option::is_some) {
            return Ok(());
        }
    }
}

/// The passphrase's bytes stretched to a key; wiped when dropped.
type SealingKey = Zeroizing<[u8; 32]>;
