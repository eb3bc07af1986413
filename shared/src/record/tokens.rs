//! Permanent tokens, and the uses of them.

use prost::Message;

use crate::clock::Timestamp;

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
    /// SHA-256 of the plain string before the last rotation; empty: none.
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
}

impl PermanentToken {
    /// The first instant at which it is no longer good; [`Timestamp::NEVER`]: never expires.
    pub const fn ends_at(&self) -> Timestamp {
        match self.expires_at {
            0 => Timestamp::NEVER,
            at => Timestamp::from_millis(at),
        }
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

super::redacted!(PermanentToken: id);
