//! The sealed form: chunks under AES-256-GCM, each with its number and whether it is the
//! last in its nonce, so that none can be changed, moved, left out or cut off (the STREAM
//! construction, Hoang, Reyhanitabar, Rogaway and Vizár 2015). The key is made of the
//! passphrase and a salt of the file's own by argon2id.
//!
//! ```text
//! chunk   length and, in the highest bit, whether it is the last, 4 | ciphertext | tag, 16
//! ```

use std::io::{self, ErrorKind, Read, Write};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{BackupError, SealingKey};
use crate::password;

pub(super) const SALT: usize = 16;
/// Plaintext in a chunk, in bytes.
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
const LAST: u32 = 1 << 31;

/// More than for a login, since nobody waits and everybody who has the file may try.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// The key of a file.
pub(super) fn key(passphrase: &str, salt: &[u8; SALT]) -> Result<SealingKey, BackupError> {
    password::derive(passphrase.as_bytes(), salt, MEMORY_KIB, PASSES, 1)
        .map_err(|_| BackupError::Internal("the key can't be made of the passphrase"))
}

fn cipher(key: &SealingKey) -> Result<LessSafeKey, BackupError> {
    let key = UnboundKey::new(&AES_256_GCM, key.as_slice());
    key.map(LessSafeKey::new).map_err(|_| BackupError::Internal("the key is of no use"))
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    for (place, byte) in
        nonce.iter_mut().zip(number.to_be_bytes().into_iter().chain([u8::from(last)]))
    {
        *place = byte;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// Seals what is written to it.
pub(super) struct Sealer<W> {
    to: W,
    cipher: LessSafeKey,
    number: u64,
    gathered: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    pub(super) fn new(to: W, key: &SealingKey) -> Result<Self, BackupError> {
        Ok(Self { to, cipher: cipher(key)?, number: 0, gathered: Vec::with_capacity(CHUNK + TAG) })
    }

    fn chunk(&mut self, last: bool) -> io::Result<()> {
        let nonce = nonce(self.number, last);
        self.cipher
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.gathered)
            .map_err(|_| io::Error::other("a chunk can't be sealed"))?;
        let length = u32::try_from(self.gathered.len()).map_err(io::Error::other)?;
        self.to.write_all(&(length | if last { LAST } else { 0 }).to_be_bytes())?;
        self.to.write_all(&self.gathered)?;
        self.gathered.clear();
        self.number += 1;
        Ok(())
    }

    /// Seals the rest, and gives back what is below.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.chunk(true)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gathered.len() == CHUNK {
            self.chunk(false)?;
        }
        let room = CHUNK - self.gathered.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.gathered.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Opens what is read from it. What does not open is [`ErrorKind::InvalidData`].
pub(super) struct Opener<R> {
    from: R,
    cipher: LessSafeKey,
    number: u64,
    opened: Vec<u8>,
    read: usize,
    is_over: bool,
}

impl<R: Read> Opener<R> {
    pub(super) fn new(from: R, key: &SealingKey) -> Result<Self, BackupError> {
        let cipher = cipher(key)?;
        Ok(Self { from, cipher, number: 0, opened: Vec::new(), read: 0, is_over: false })
    }

    fn chunk(&mut self) -> io::Result<()> {
        let does_not_open = || io::Error::from(ErrorKind::InvalidData);
        let mut head = [0; 4];
        self.from.read_exact(&mut head)?;
        let head = u32::from_be_bytes(head);
        let (length, last) = ((head & !LAST) as usize, head & LAST != 0);
        if !(TAG..=CHUNK + TAG).contains(&length) {
            return Err(does_not_open());
        }
        self.opened.resize(length, 0);
        self.from.read_exact(&mut self.opened)?;
        let nonce = nonce(self.number, last);
        let opened = self.cipher.open_in_place(nonce, Aad::empty(), &mut self.opened);
        let length = opened.map_err(|_| does_not_open())?.len();
        self.opened.truncate(length);
        (self.read, self.is_over) = (0, last);
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.read == self.opened.len() {
            if self.is_over {
                // Nothing may follow the last chunk.
                return self.from.read(to).and_then(|more| match more {
                    0 => Ok(0),
                    _ => Err(ErrorKind::InvalidData.into()),
                });
            }
            self.chunk()?;
        }
        let rest = self.opened.get(self.read..).unwrap_or_default();
        let taken = rest.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..taken), rest.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.read += taken;
        Ok(taken)
    }
}
