//! What ends access tokens early; see [`crate::revocation`].

use prost::Message;

/// A bucket of revocations.
#[derive(Clone, PartialEq, Message)]
pub struct RevocationBucket {
    /// In no order.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<RevocationEntry>,
}

/// One revocation; see [`crate::revocation`].
#[derive(Clone, PartialEq, Message)]
pub struct RevocationEntry {
    /// 1 session, 2 user, 3 account, 4 permanent token.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    /// The id.
    #[prost(int64, tag = "2")]
    pub id: i64,
    /// Access tokens of a lower version are denied; `u32::MAX`: all.
    #[prost(uint32, tag = "3")]
    pub min_version: u32,
    /// When no access token that this denies can be alive any more.
    #[prost(int64, tag = "4")]
    pub garbage_at: i64,
    /// The version of the record that this follows from; the higher one stands.
    #[prost(uint32, tag = "5")]
    pub revision: u32,
}
