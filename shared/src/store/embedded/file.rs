//! The database file: opened for this process alone, and opened again after a
//! disk error, since redb refuses all work after one.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, WriteTransaction,
};

use super::tables;
use crate::store::StoreError;

/// The database in the store's folder.
pub(crate) const FILE_NAME: &str = "tessera.redb";
/// Of redb, in bytes.
const PAGE: u64 = 4096;

/// Why an embedded store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has it open.
    #[error(
        "{0} is in use by another process: an embedded store serves one process; stop that one, or use a Redis store for several"
    )]
    InUse(PathBuf),
    /// No right to write, or a read-only file system.
    #[error(
        "{0} can't be written: give this user write access to the directory, or choose another"
    )]
    ReadOnly(PathBuf),
    /// No room.
    #[error("the disk of {0} is full")]
    Full(PathBuf),
    /// The file is no database of this store, or a damaged one.
    #[error(
        "{0} is not a Tessera database, or is damaged: {1}; keep it, and restore a backup into another folder: tessera admin import --store embedded:DIR BACKUP"
    )]
    Damaged(PathBuf, String),
    /// Anything else that the operating system says.
    #[error("can't open the embedded store {0}: {1}")]
    Io(PathBuf, io::Error),
    /// The operating system gives no thread.
    #[error("can't start the thread of the embedded store: {0}")]
    Thread(io::Error),
}

type Opener = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// The file, open or, after a failure, closed until it is opened again.
pub(super) struct DatabaseFile {
    opener: Opener,
    database: RwLock<Option<Database>>,
}

impl DatabaseFile {
    pub(super) fn in_directory(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(FILE_NAME);
        prepare(dir, &path).map_err(|error| classify_io(dir, error))?;
        Self::open(Box::new(move || database(&path))).map_err(|error| classify(dir, error))
    }

    pub(super) fn open(opener: Opener) -> Result<Self, redb::Error> {
        let file = Self { opener, database: RwLock::new(None) };
        file.open_again()?;
        Ok(file)
    }

    pub(super) fn is_open(&self) -> bool {
        self.database.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Opens the file, which is to be closed. Makes sure of all tables, which
    /// shows as well that the disk takes writes.
    pub(super) fn open_again(&self) -> Result<(), redb::Error> {
        let database = (self.opener)()?;
        tables::create(database.begin_write()?)?;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(())
    }

    /// Closes the file after an error of the disk.
    pub(super) fn close_if_broken(&self, error: &redb::Error) {
        if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
            // Dropping closes it; open read transactions just fail.
            drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        Ok(database.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_read()?)
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        Ok(database.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_write()?)
    }
}

/// What a caller is told of a failure.
pub(super) fn unavailable(error: &redb::Error) -> StoreError {
    StoreError::Unavailable(match error {
        redb::Error::Io(error) if is_full(error) => "the disk is full".to_owned(),
        redb::Error::DatabaseClosed | redb::Error::PreviousIo => {
            "the database file is closed after a disk error, and is being opened again".to_owned()
        }
        error => error.to_string(),
    })
}

/// Opens the file, also where its last write was torn in the middle of a page.
fn database(path: &Path) -> Result<Database, redb::Error> {
    match Database::create(path) {
        Err(DatabaseError::Storage(StorageError::Corrupted(_))) if end_on_a_page(path)? => {
            Ok(Database::create(path)?)
        }
        opened => Ok(opened?),
    }
}

/// Fills the last page up with zeros, and answers whether there was anything to fill. redb refuses a
/// file that ends elsewhere; what is in a page that it never finished, it leaves alone.
fn end_on_a_page(path: &Path) -> Result<bool, redb::Error> {
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    let whole = length.next_multiple_of(PAGE);
    if length == whole {
        return Ok(false);
    }
    tracing::warn!(file = %path.display(), length, whole, "the file ends in the middle of a page, as after a torn write; filling it up");
    file.set_len(whole)?;
    file.sync_all()?;
    Ok(true)
}

/// Makes the directory and the file with their modes, durably.
fn prepare(dir: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // redb would make the file readable for all.
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match new {
        Ok(_) => File::open(dir)?.sync_all(),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn classify(dir: &Path, error: redb::Error) -> OpenError {
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            OpenError::InUse(dir.to_owned())
        }
        redb::Error::Io(error) => classify_io(dir, error),
        error => OpenError::Damaged(dir.join(FILE_NAME), error.to_string()),
    }
}

pub(super) fn classify_io(dir: &Path, error: io::Error) -> OpenError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            OpenError::ReadOnly(dir.to_owned())
        }
        _ if is_full(&error) => OpenError::Full(dir.to_owned()),
        ErrorKind::InvalidData => OpenError::Damaged(dir.join(FILE_NAME), error.to_string()),
        _ => OpenError::Io(dir.to_owned(), error),
    }
}

fn is_full(error: &io::Error) -> bool {
    // The last: a limit on the size of files.
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}
