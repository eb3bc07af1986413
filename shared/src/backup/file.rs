//! A backup file.
//!
//! ```text
//! "tessera backup 1 plain\n"   body
//! "tessera backup 1 sealed\n"  salt, 16 | body, sealed: see `seal`
//!
//! body    entries | 0, 4 | number of entries, 8 | SHA-256 of the entries, 32
//! entry   length, 4 | an `Entry`, protobuf
//! ```
//! Numbers are big-endian. Nothing follows the body.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write},
    path::Path,
};

use prost::Message as _;
use ring::{digest, rand::SecureRandom};

use super::{
    BackupError, PAGE, SealingKey,
    entry::Entry,
    seal::{self, Opener, SALT, Sealer},
};

const PLAIN: &[u8; 24] = b"tessera backup 1 plain \n";
const SEALED: &[u8; 24] = b"tessera backup 1 sealed\n";
/// No record is nearly as long, in bytes.
const LONGEST: usize = 16 << 20;

enum Sink {
    Plain(BufWriter<File>),
    Sealed(Box<Sealer<BufWriter<File>>>),
}

impl Sink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Sealed(sealer) => sealer.write_all(bytes),
        }
    }
}

/// Writes a file.
pub(super) struct FileWriter {
    sink: Sink,
    digest: digest::Context,
    count: u64,
}

impl FileWriter {
    pub(super) fn begin(
        file: File,
        passphrase: Option<&str>,
        rng: &dyn SecureRandom,
    ) -> Result<Self, BackupError> {
        let mut file = BufWriter::new(file);
        let sink = match passphrase {
            None => {
                file.write_all(PLAIN)?;
                Sink::Plain(file)
            }
            Some(passphrase) => {
                let mut salt = [0; SALT];
                let no_randomness = BackupError::Internal("no random bytes");
                rng.fill(&mut salt).map_err(|_| no_randomness)?;
                file.write_all(SEALED)?;
                file.write_all(&salt)?;
                Sink::Sealed(Box::new(Sealer::new(file, &seal::key(passphrase, &salt)?)?))
            }
        };
        Ok(Self { sink, digest: digest::Context::new(&digest::SHA256), count: 0 })
    }

    pub(super) fn put(&mut self, entry: &Entry) -> Result<(), BackupError> {
        let bytes = entry.encode_to_vec();
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        for part in [length.to_be_bytes().as_slice(), &bytes] {
            self.digest.update(part);
            self.sink.write_all(part)?;
        }
        self.count += 1;
        Ok(())
    }

    /// Ends the file, durably.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        self.sink.write_all(&0_u32.to_be_bytes())?;
        self.sink.write_all(&self.count.to_be_bytes())?;
        self.sink.write_all(self.digest.finish().as_ref())?;
        let file = match self.sink {
            Sink::Plain(file) => file,
            Sink::Sealed(sealer) => sealer.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(())
    }
}

enum Source {
    Plain(BufReader<File>),
    Sealed(Box<Opener<BufReader<File>>>),
}

impl Read for Source {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(to),
            Self::Sealed(opener) => opener.read(to),
        }
    }
}

/// Reads a file, and checks it as it does.
pub(super) struct FileReader {
    file: File,
    key: Option<SealingKey>,
    source: Source,
    digest: digest::Context,
    count: u64,
    is_over: bool,
}

impl FileReader {
    pub(super) fn open(path: &Path, passphrase: Option<&str>) -> Result<Self, BackupError> {
        let mut file = File::open(path)?;
        let mut head = *PLAIN;
        file.read_exact(&mut head).map_err(|_| BackupError::NotABackup)?;
        let key = match &head {
            PLAIN => None,
            SEALED => {
                let mut salt = [0; SALT];
                file.read_exact(&mut salt).map_err(failure)?;
                Some(seal::key(passphrase.ok_or(BackupError::NoPassphrase)?, &salt)?)
            }
            _ => return Err(BackupError::NotABackup),
        };
        Self::from_the_start(file, key)
    }

    /// To the first entry again.
    pub(super) fn rewind(&mut self) -> Result<(), BackupError> {
        let file = self.file.try_clone()?;
        *self = Self::from_the_start(file, self.key.take())?;
        Ok(())
    }

    fn from_the_start(mut file: File, key: Option<SealingKey>) -> Result<Self, BackupError> {
        let head = PLAIN.len() + if key.is_some() { SALT } else { 0 };
        file.seek(SeekFrom::Start(head as u64))?;
        let reader = BufReader::new(file.try_clone()?);
        let source = match &key {
            None => Source::Plain(reader),
            Some(key) => Source::Sealed(Box::new(Opener::new(reader, key)?)),
        };
        let digest = digest::Context::new(&digest::SHA256);
        Ok(Self { file, key, source, digest, count: 0, is_over: false })
    }

    /// Up to [`PAGE`] entries; `None` after the last, when all that was read is what was written.
    pub(super) fn page(&mut self) -> Result<Option<Vec<Entry>>, BackupError> {
        let mut page = Vec::new();
        while page.len() < PAGE
            && let Some(entry) = self.next()?
        {
            page.push(entry);
        }
        Ok((!page.is_empty()).then_some(page))
    }

    /// The next entry; `None` as [`Self::page`].
    pub(super) fn next(&mut self) -> Result<Option<Entry>, BackupError> {
        if self.is_over {
            return Ok(None);
        }
        let head = self.exactly::<4>()?;
        let length = u32::from_be_bytes(head) as usize;
        if length == 0 {
            self.end()?;
            return Ok(None);
        }
        if length > LONGEST {
            return Err(BackupError::Damaged("a record of an impossible length"));
        }
        let mut bytes = vec![0; length];
        self.source.read_exact(&mut bytes).map_err(failure)?;
        self.digest.update(&head);
        self.digest.update(&bytes);
        self.count += 1;
        let entry = Entry::decode(bytes.as_slice());
        entry.map(Some).map_err(|_| BackupError::Damaged("a record can't be read"))
    }

    fn end(&mut self) -> Result<(), BackupError> {
        let count = u64::from_be_bytes(self.exactly()?);
        let digest = self.exactly::<32>()?;
        if count != self.count || digest != self.digest.clone().finish().as_ref() {
            return Err(BackupError::Damaged("its digest is another"));
        }
        match self.source.read(&mut [0]).map_err(failure)? {
            0 => self.is_over = true,
            _ => return Err(BackupError::Damaged("something follows its end")),
        }
        Ok(())
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(failure)?;
        Ok(bytes)
    }
}

fn failure(error: io::Error) -> BackupError {
    match error.kind() {
        ErrorKind::UnexpectedEof => BackupError::Damaged("it ends early"),
        ErrorKind::InvalidData => BackupError::DoesNotOpen,
        _ => error.into(),
    }
}
