//! Revocations: which access tokens are denied though they are signed and young.
//!
//! A session, a user, an account or a permanent token can be named here with the
//! lowest version whose access tokens are still good. A version counts changes of
//! password, role or state, and each access token carries the version it was made
//! under: so a token made from a stale read is denied too, and no clock is asked.
//!
//! An entry is needed only while an access token that it denies may live, so the
//! whole set stays small: it is kept in [`REVOCATION_BUCKETS`] records, each
//! rewritten whole and freed of what is no longer needed as it is.

use std::collections::HashMap;

use prost::Message;

use crate::{
    clock::Timestamp,
    id::{AccountId, SessionId, TokenId, UserId},
    record::{RevocationBucket, RevocationEntry},
    store::{Key, REVOCATION_BUCKETS, StoreError},
};

/// Denies access tokens of every version.
pub const ALL_VERSIONS: u32 = u32::MAX;

/// What a revocation says of its subject.
#[derive(Clone, Copy, Debug)]
pub struct Revocation {
    /// Access tokens of a lower version are denied.
    pub min_version: u32,
    /// The version of the record that this follows from.
    pub revision: u32,
    /// When no access token that this denies can be alive any more.
    pub garbage_at: Timestamp,
}

/// What a revocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A session that was ended.
    Session(SessionId),
    /// A user whose password, role or state changed.
    User(UserId),
    /// An account that is disabled.
    Account(AccountId),
    /// A permanent token that was narrowed or ended.
    Token(TokenId),
}

impl Subject {
    /// Where its revocation lives.
    pub fn key(self) -> Key {
        let (kind, id) = self.parts();
        // Ids carry their time in the high bits; the mix spreads a burst of them.
        let mixed = (id.cast_unsigned() ^ u64::from(kind)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bucket = (mixed >> 32) % u64::from(REVOCATION_BUCKETS);
        Key::Revocations(u16::try_from(bucket).unwrap_or_default())
    }

    /// The bucket with this revocation added, and what is past its use removed.
    /// `revision` is the version of the record that it follows from: of two writers,
    /// the one that saw the later record is right, whichever writes last.
    ///
    /// # Errors
    /// When the record can't be read.
    pub fn revoke(
        self,
        bucket: Option<&[u8]>,
        revocation: Revocation,
        now: Timestamp,
    ) -> Result<Vec<u8>, StoreError> {
        let (kind, id) = self.parts();
        let mut bucket = decode(bucket)?;
        bucket.entries.retain(|e| e.garbage_at > now.millis() || (e.kind == kind && e.id == id));
        let Revocation { min_version, revision, garbage_at } = revocation;
        let garbage_at = garbage_at.millis();
        match bucket.entries.iter_mut().find(|e| e.kind == kind && e.id == id) {
            Some(entry) if revision < entry.revision => {
                entry.garbage_at = entry.garbage_at.max(garbage_at);
            }
            Some(entry) => {
                entry.min_version = min_version;
                entry.revision = revision;
                entry.garbage_at = entry.garbage_at.max(garbage_at);
            }
            None => {
                bucket.entries.push(RevocationEntry {
                    kind,
                    id,
                    min_version,
                    garbage_at,
                    revision,
                });
            }
        }
        Ok(bucket.encode_to_vec())
    }

    const fn parts(self) -> (u32, i64) {
        match self {
            Self::Session(id) => (1, id.get()),
            Self::User(id) => (2, id.get()),
            Self::Account(id) => (3, id.get()),
            Self::Token(id) => (4, id.get()),
        }
    }
}

/// A bucket, ready to look subjects up in.
#[derive(Debug, Default)]
pub struct Bucket(HashMap<(u32, i64), u32>);

impl Bucket {
    /// Reads the record under [`Subject::key`]; there is none while nothing is revoked.
    ///
    /// # Errors
    /// When the record can't be read.
    pub fn decode(bucket: Option<&[u8]>) -> Result<Self, StoreError> {
        let entries = decode(bucket)?.entries.into_iter();
        Ok(Self(entries.map(|e| ((e.kind, e.id), e.min_version)).collect()))
    }

    /// The lowest version of `subject` that is good; 0 when nothing is revoked.
    pub fn min_version(&self, subject: Subject) -> u32 {
        if self.0.is_empty() {
            return 0;
        }
        self.0.get(&subject.parts()).copied().unwrap_or(0)
    }
}

fn decode(bucket: Option<&[u8]>) -> Result<RevocationBucket, StoreError> {
    RevocationBucket::decode(bucket.unwrap_or_default())
        .map_err(|_| StoreError::Damaged("a revocation bucket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    const LATER: Timestamp = Timestamp::from_millis(2_000);

    fn at(min_version: u32, revision: u32, garbage_at: Timestamp) -> Revocation {
        Revocation { min_version, revision, garbage_at }
    }

    fn min_version(subject: Subject, bucket: &[u8]) -> u32 {
        Bucket::decode(Some(bucket)).unwrap().min_version(subject)
    }

    #[test]
    fn the_later_record_stands_whoever_writes_last() {
        let user = Subject::User(UserId::FIRST);
        let disabled = user.revoke(None, at(ALL_VERSIONS, 3, LATER), NOW).unwrap();
        let late = user.revoke(Some(&disabled), at(2, 2, LATER), NOW).unwrap();
        assert_eq!(min_version(user, &late), ALL_VERSIONS);
        let longer = user.revoke(Some(&late), at(2, 2, Timestamp::NEVER), NOW).unwrap();
        assert_eq!(decode(Some(&longer)).unwrap().entries[0].garbage_at, Timestamp::NEVER.millis());
        let enabled = user.revoke(Some(&late), at(4, 4, LATER), NOW).unwrap();
        assert_eq!(min_version(user, &enabled), 4);
        assert_eq!(min_version(Subject::Account(AccountId::FIRST), &enabled), 0);
    }

    #[test]
    fn what_is_past_its_use_goes_with_the_next_write() {
        let (user, session) =
            (Subject::User(UserId::FIRST), Subject::Session(SessionId::try_from(9).unwrap()));
        let one = user.revoke(None, at(3, 3, LATER), NOW).unwrap();
        let all = at(ALL_VERSIONS, 0, Timestamp::NEVER);
        let two = session.revoke(Some(&one), all, LATER).unwrap();
        assert_eq!(min_version(user, &two), 0);
        assert_eq!(min_version(session, &two), ALL_VERSIONS);
    }
}
