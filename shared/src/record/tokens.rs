//! Permanent tokens, and the uses of them.

use prost::Message;

use crate::{clock::Timestamp, opaque::TokenHash};

/// A permanent token.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct PermanentToken {
    /// [`crate::id::TokenId`].
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// The account.
    #[prost(int64, tag = "2")]
    pub account: i64,
    /// The user it belongs to, who made it.
    #[prost(int64, tag = "3")]
    pub user: i64,
    /// The id of the role.
    #[prost(int64, tag = "4")]
    pub role: i64,
    /// SHA-256 of the plain string.
    #[prost(bytes = "vec", tag = "5")]
    pub hash: Vec<u8>,
    /// What its owner calls it.
    #[prost(string, tag = "6")]
    pub name: String,
    /// What it is for.
    #[prost(string, tag = "7")]
    pub description: String,
    /// Where it may be used.
    #[prost(string, repeated, tag = "8")]
    pub audiences: Vec<String>,
    /// Where it may be used from, CIDR notation; empty: anywhere.
    #[prost(string, repeated, tag = "9")]
    pub allowed_cidrs: Vec<String>,
    /// The first instant at which it is good; 0: always.
    #[prost(int64, tag = "10")]
    pub not_before: i64,
    /// The first instant at which it is no longer good; 0: never expires.
    #[prost(int64, tag = "11")]
    pub expires_at: i64,
    /// When it was ended on purpose; 0: it was not.
    #[prost(int64, tag = "12")]
    pub revoked_at: i64,
    /// SHA-256 of the plain string before the last rotation; empty: none. For those before it
    /// see `older`.
    #[prost(bytes = "vec", tag = "13")]
    pub previous_hash: Vec<u8>,
    /// When that one ceases to work.
    #[prost(int64, tag = "14")]
    pub previous_expires_at: i64,
    /// The first 8 bytes of the hashes of still older ones, the newest 16: enough
    /// to know them again, and they grant nothing.
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub retired: Vec<Vec<u8>>,
    /// How many secrets it has had.
    #[prost(uint32, tag = "16")]
    pub secret_version: u32,
    /// Goes up by one with every change that narrows it; as [`super::User::version`].
    #[prost(uint32, tag = "17")]
    pub version: u32,
    // 18 and 19 were for what is now in `crate::usage`; nothing ever wrote them.
    /// When it was made.
    #[prost(int64, tag = "20")]
    pub created_at: i64,
    /// SHA-256 of the string of another system that it came with, for good; empty: it was
    /// made here. See [`crate::foreign`].
    #[prost(bytes = "vec", tag = "21")]
    pub imported_hash: Vec<u8>,
    /// The secrets before `previous_hash` that may work yet, the newest first. Nearly always
    /// none; who does not know this field denies them.
    #[prost(message, repeated, tag = "22")]
    pub older: Vec<OlderSecret>,
}

/// A secret that a rotation replaced, and one after it another.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct OlderSecret {
    /// Which it was: the `secret_version` of then.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// SHA-256 of the plain string.
    #[prost(bytes = "vec", tag = "2")]
    pub hash: Vec<u8>,
    /// When it ceases to work.
    #[prost(int64, tag = "3")]
    pub expires_at: i64,
}

/// Which secret of a token one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Counted from 1.
    pub version: u32,
    /// When it ceases to work, since a rotation replaced it; else [`Timestamp::NEVER`].
    pub replaced_at: Timestamp,
}

impl PermanentToken {
    /// The first instant at which it is no longer good; [`Timestamp::NEVER`]: never expires.
    pub const fn ends_at(&self) -> Timestamp {
        match self.expires_at {
            0 => Timestamp::NEVER,
            at => Timestamp::from_millis(at),
        }
    }

    /// The secret that has this hash, be it that its time is over; `None`: there is none
    /// that the record has in full.
    pub fn secret(&self, hash: &TokenHash) -> Option<Secret> {
        let mut known = self.secrets();
        known.find(|(_, stored)| hash.matches(stored)).map(|(secret, _)| secret)
    }

    /// When secret `version` ceases to work; the epoch if it is none of those that the record
    /// has in full.
    pub fn replaced_at(&self, version: u32) -> Timestamp {
        let mut known = self.secrets();
        let secret = known.find(|(secret, _)| secret.version == version);
        secret.map_or(Timestamp::from_millis(0), |(secret, _)| secret.replaced_at)
    }

    /// When no secret but the present one works any more; the epoch if none was replaced.
    pub fn overlap_ends_at(&self) -> Timestamp {
        let replaced = self.secrets().skip(1).map(|(secret, _)| secret.replaced_at);
        replaced.max().unwrap_or(Timestamp::from_millis(0))
    }

    /// The secrets, the present one first, each with its hash; an empty one is of none.
    fn secrets(&self) -> impl Iterator<Item = (Secret, &[u8])> {
        let of = |version, replaced_at| Secret { version, replaced_at };
        let at = Timestamp::from_millis;
        let version = self.secret_version;
        let present = (of(version, Timestamp::NEVER), self.hash.as_slice());
        let previous = of(version.saturating_sub(1), at(self.previous_expires_at));
        let previous = (previous, self.previous_hash.as_slice());
        let older = self.older.iter();
        let older =
            older.map(move |old| (of(old.version, at(old.expires_at)), old.hash.as_slice()));
        [present, previous].into_iter().chain(older)
    }
}

/// Which token a string of another system is.
#[derive(Clone, PartialEq, Message)]
pub struct Foreign {
    /// [`crate::id::TokenId`].
    #[prost(int64, tag = "1")]
    pub token: i64,
    /// When the store forgets it, which is after the token; 0: not as long as that may live.
    #[prost(int64, tag = "2")]
    pub forget_at: i64,
}

/// That there are tokens of other systems.
#[derive(Clone, PartialEq, Message)]
pub struct Imports {
    /// When the first came.
    #[prost(int64, tag = "1")]
    pub since: i64,
}

/// Uses of tokens, on their way from who saw them to the issuers; see [`crate::usage`].
#[derive(Clone, PartialEq, Message)]
pub struct UsageReport {
    /// In no order.
    #[prost(message, repeated, tag = "1")]
    pub notes: Vec<UsageNote>,
}

/// The uses of one token.
#[derive(Clone, PartialEq, Message)]
pub struct UsageNote {
    /// [`crate::id::TokenId`].
    #[prost(int64, tag = "1")]
    pub token: i64,
    /// When it was found good, in seconds since the epoch; 0: it was not.
    #[prost(uint32, tag = "2")]
    pub used: u32,
    /// The same of a secret that a rotation had replaced.
    #[prost(uint32, tag = "3")]
    pub reused: u32,
}

super::redacted!(PermanentToken: id, OlderSecret: version);

#[cfg(test)]
mod tests {
    use super::*;

    /// The record as it was before `older`.
    #[derive(Clone, PartialEq, Message)]
    struct Before {
        #[prost(int64, tag = "1")]
        id: i64,
        #[prost(bytes = "vec", tag = "5")]
        hash: Vec<u8>,
        #[prost(bytes = "vec", tag = "13")]
        previous_hash: Vec<u8>,
        #[prost(int64, tag = "14")]
        previous_expires_at: i64,
        #[prost(uint32, tag = "16")]
        secret_version: u32,
    }

    fn hash(plain: &str) -> Vec<u8> {
        TokenHash::of(plain).as_bytes().to_vec()
    }

    fn secret_of(token: &PermanentToken, plain: &str) -> Option<(u32, i64)> {
        let secret = token.secret(&TokenHash::of(plain))?;
        Some((secret.version, secret.replaced_at.millis()))
    }

    #[test]
    fn a_record_written_before_older_secrets_means_the_same() {
        let (id, previous_expires_at, secret_version) = (7, 5_000, 3);
        let (hash, previous_hash) = (hash("third"), hash("second"));
        let before = Before { id, hash, previous_hash, previous_expires_at, secret_version };
        let token = PermanentToken::decode(before.encode_to_vec().as_slice()).unwrap();
        assert_eq!(token.encode_to_vec(), before.encode_to_vec(), "and is no longer");
        assert_eq!(secret_of(&token, "third"), Some((3, i64::MAX)));
        assert_eq!(secret_of(&token, "second"), Some((2, 5_000)));
        assert_eq!(secret_of(&token, "first"), None);
        assert_eq!(token.overlap_ends_at().millis(), 5_000);
    }

    #[test]
    fn each_secret_has_its_own_time_and_who_knows_two_alone_denies_the_others() {
        let older =
            |version, plain, expires_at| OlderSecret { version, hash: hash(plain), expires_at };
        let token = PermanentToken {
            hash: hash("fourth"),
            previous_hash: hash("third"),
            previous_expires_at: 5_000,
            secret_version: 4,
            older: vec![older(2, "second", 9_000), older(1, "first", 7_000)],
            ..PermanentToken::default()
        };
        assert_eq!(secret_of(&token, "third"), Some((3, 5_000)));
        assert_eq!(secret_of(&token, "second"), Some((2, 9_000)));
        assert_eq!(secret_of(&token, "first"), Some((1, 7_000)));
        assert_eq!(token.replaced_at(4), Timestamp::NEVER);
        assert_eq!(token.replaced_at(1).millis(), 7_000);
        assert_eq!(token.replaced_at(5).millis(), 0, "none that there is");
        assert_eq!(token.overlap_ends_at().millis(), 9_000);
        let read = Before::decode(token.encode_to_vec().as_slice()).unwrap();
        assert_eq!((read.hash, read.previous_hash), (hash("fourth"), hash("third")));
        assert_eq!(secret_of(&PermanentToken::default(), ""), None, "an empty hash is of none");
    }
}
