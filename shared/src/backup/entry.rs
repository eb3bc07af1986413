//! A record as it stands in a backup. Tags and numbers are for ever: backups outlive programs.

use std::fmt;

use prost::Message;

use super::BackupError;
use crate::{
    id::{AccountId, TokenId, UserId},
    record::{Account, PermanentToken, Session, User},
    store::{Index, Key, StoreError, records},
    usage::Usage,
};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The role catalogue.
    Roles = 1,
    /// A bucket of revocations.
    Revocations = 2,
    /// An account.
    Account = 3,
    /// Who has a username.
    Username = 4,
    /// A password's hash.
    Password = 5,
    /// A user.
    User = 6,
    /// A session.
    Session = 7,
    /// A permanent token.
    Token = 8,
    /// When a permanent token was used.
    Usage = 9,
    /// A private signing key, sealed but for a sealed file.
    PrivateKey = 10,
    /// The public signing keys.
    KeySet = 11,
    /// That there are tokens of other systems.
    Imports = 12,
    /// Which token a string of another system is.
    Foreign = 13,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Roles,
        Self::Revocations,
        Self::Account,
        Self::Username,
        Self::Password,
        Self::User,
        Self::Session,
        Self::Token,
        Self::Usage,
        Self::PrivateKey,
        Self::KeySet,
        Self::Imports,
        Self::Foreign,
    ];

    /// Its name, in the plural, as a field's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roles => "role_catalogues",
            Self::Revocations => "buckets_of_revocations",
            Self::Account => "accounts",
            Self::Username => "usernames",
            Self::Password => "passwords",
            Self::User => "users",
            Self::Session => "sessions",
            Self::Token => "permanent_tokens",
            Self::Usage => "times_of_use",
            Self::PrivateKey => "private_keys",
            Self::KeySet => "key_sets",
            Self::Imports => "records_of_imports",
            Self::Foreign => "ways_to_imported_tokens",
        }
    }
}

/// One record, under what its key is made of.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct Entry {
    /// A [`Kind`].
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// The id, or the number of the bucket.
    #[prost(int64, tag = "2")]
    id: i64,
    /// The username or the `kid`.
    #[prost(string, tag = "3")]
    name: String,
    /// The record's bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) value: Vec<u8>,
    /// Of a token: when it was last used, in seconds; 0: never.
    #[prost(uint32, tag = "5")]
    used: u32,
    /// Of a token: when a replaced secret last was.
    #[prost(uint32, tag = "6")]
    reused: u32,
    /// The hash of a string of another system.
    #[prost(bytes = "vec", tag = "7")]
    hash: Vec<u8>,
}

impl Entry {
    pub(super) fn record(key: &Key, value: Vec<u8>) -> Self {
        let mut hash = Vec::new();
        let (kind, id, name) = match key {
            Key::Roles => (Kind::Roles, 0, ""),
            Key::Revocations(bucket) => (Kind::Revocations, i64::from(*bucket), ""),
            Key::Account(id) => (Kind::Account, id.get(), ""),
            Key::Username(name) => (Kind::Username, 0, name.as_str()),
            Key::Password(user) => (Kind::Password, user.get(), ""),
            Key::User(id) => (Kind::User, id.get(), ""),
            Key::Session(id) => (Kind::Session, id.get(), ""),
            Key::Token(id) => (Kind::Token, id.get(), ""),
            Key::PrivateKey(kid) => (Kind::PrivateKey, 0, kid.as_str()),
            Key::KeySet => (Kind::KeySet, 0, ""),
            Key::Imports => (Kind::Imports, 0, ""),
            Key::Foreign(of) => {
                hash.extend_from_slice(of);
                (Kind::Foreign, 0, "")
            }
        };
        let name = name.to_owned();
        Self { kind: kind as u32, id, name, value, hash, ..Self::default() }
    }

    pub(super) fn usage(token: TokenId, usage: Usage) -> Self {
        let (used, reused) = usage.to_seconds();
        Self { kind: Kind::Usage as u32, id: token.get(), used, reused, ..Self::default() }
    }

    pub(super) fn kind(&self) -> Result<Kind, BackupError> {
        let mut all = Kind::ALL.into_iter();
        all.find(|kind| *kind as u32 == self.kind).ok_or(BackupError::NotABackup)
    }

    /// Where the record goes; `None` for a time of use, which has no key of its own.
    pub(super) fn key(&self) -> Result<Option<Key>, BackupError> {
        let wrong = |_| BackupError::Damaged("an entry has a number that is no id");
        Ok(Some(match self.kind()? {
            Kind::Roles => Key::Roles,
            Kind::Revocations => {
                Key::Revocations(u16::try_from(self.id).map_err(|_| wrong(crate::id::NotAnId))?)
            }
            Kind::Account => Key::Account(self.id.try_into().map_err(wrong)?),
            Kind::Username => Key::Username(self.name.clone()),
            Kind::Password => Key::Password(self.id.try_into().map_err(wrong)?),
            Kind::User => Key::User(self.id.try_into().map_err(wrong)?),
            Kind::Session => Key::Session(self.id.try_into().map_err(wrong)?),
            Kind::Token => Key::Token(self.id.try_into().map_err(wrong)?),
            Kind::PrivateKey => Key::PrivateKey(self.name.clone()),
            Kind::KeySet => Key::KeySet,
            Kind::Imports => Key::Imports,
            Kind::Foreign => {
                let hash = self.hash.as_slice().try_into();
                Key::Foreign(hash.map_err(|_| BackupError::Damaged("an entry without its hash"))?)
            }
            Kind::Usage => return Ok(None),
        }))
    }

    /// The use of a token.
    pub(super) fn noted(&self) -> Result<(TokenId, Usage), BackupError> {
        let token = self.id.try_into();
        let token = token.map_err(|_| BackupError::Damaged("a time of use of no token"))?;
        Ok((token, Usage::from_seconds((self.used, self.reused))))
    }

    /// The list that leads to the record.
    pub(super) fn index(&self) -> Result<Option<(Index, i64)>, BackupError> {
        let wrong = |_| BackupError::from(StoreError::Damaged("a record without its owner"));
        let index = match self.kind()? {
            Kind::Account => Index::Accounts,
            Kind::User => {
                let user: User = records::decode(&self.value)?;
                Index::UsersOf(AccountId::try_from(user.account).map_err(wrong)?)
            }
            Kind::Session => {
                let session: Session = records::decode(&self.value)?;
                Index::SessionsOf(UserId::try_from(session.user).map_err(wrong)?)
            }
            Kind::Token => {
                let token: PermanentToken = records::decode(&self.value)?;
                Index::TokensOf(AccountId::try_from(token.account).map_err(wrong)?)
            }
            _ => return Ok(None),
        };
        Ok(Some((index, self.id)))
    }

    /// When what bears this id was made, by the record `value`; `None` for what has no id.
    pub(super) fn made_at(&self, value: &[u8]) -> Result<Option<i64>, BackupError> {
        Ok(Some(match self.kind()? {
            Kind::Account => records::decode::<Account>(value)?.created_at,
            Kind::User => records::decode::<User>(value)?.created_at,
            Kind::Session => records::decode::<Session>(value)?.created_at,
            Kind::Token => records::decode::<PermanentToken>(value)?.created_at,
            _ => return Ok(None),
        }))
    }

    /// Whether the record is one.
    pub(super) fn check(&self) -> Result<(), BackupError> {
        self.key()?;
        self.index()?;
        self.made_at(&self.value).map(drop)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Kind::ALL.into_iter().find(|kind| *kind as u32 == self.kind) {
            Some(Kind::Account) => write!(f, "account {}", self.id),
            Some(Kind::User | Kind::Password) => write!(f, "user {}", self.id),
            Some(Kind::Session) => write!(f, "session {}", self.id),
            Some(Kind::Token) => write!(f, "permanent token {}", self.id),
            Some(kind) => f.write_str(&kind.name().replace('_', " ")),
            None => f.write_str("an unknown record"),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({self})")
    }
}
