//! The records that the store keeps, one value under one key each.
//!
//! They are protobuf messages of their own, apart from the contract: compact, and
//! a newer version can add a field that an older one passes over. Times are
//! milliseconds since the epoch, 0 for absent. Tags are for ever.

use prost::Message;

/// An account (the customer).
#[derive(Clone, PartialEq, Message)]
pub struct Account {
    /// [`crate::id::AccountId`].
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// What people call it.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Whether everything of it is denied.
    #[prost(bool, tag = "3")]
    pub disabled: bool,
    /// When it was made.
    #[prost(int64, tag = "4")]
    pub created_at: i64,
    /// Goes up by one when the account is disabled or enabled.
    #[prost(uint32, tag = "5")]
    pub version: u32,
}

/// A user.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct User {
    /// [`crate::id::UserId`].
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// The account.
    #[prost(int64, tag = "2")]
    pub account: i64,
    /// Lower case, unique.
    #[prost(string, tag = "3")]
    pub username: String,
    /// The id of the role.
    #[prost(int64, tag = "4")]
    pub role: i64,
    /// Whether the user is shut out.
    #[prost(bool, tag = "5")]
    pub disabled: bool,
    /// When the user was made.
    #[prost(int64, tag = "6")]
    pub created_at: i64,
    // Tag 7 held the password's hash, before that had a record of its own.
    /// Goes up by one when password, role or state change. An access token carries
    /// the version it was made under; see [`crate::revocation`].
    #[prost(uint32, tag = "8")]
    pub version: u32,
}

/// A user's password. Apart from the user, since a verifier reads users.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Password {
    /// The user.
    #[prost(int64, tag = "1")]
    pub user: i64,
    /// The argon2id string (PHC format). Its salt is new each time, so no two
    /// passwords of a user are the same record, though they be the same password.
    #[prost(string, tag = "2")]
    pub hash: String,
    /// Whether nobody may have been told it yet: the first administrator's, until the
    /// first start is through.
    #[prost(bool, tag = "3")]
    pub provisional: bool,
}

/// A session: one refresh family.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Session {
    /// [`crate::id::SessionId`].
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// The user.
    #[prost(int64, tag = "2")]
    pub user: i64,
    /// When it was opened.
    #[prost(int64, tag = "3")]
    pub created_at: i64,
    /// When the current refresh token was made.
    #[prost(int64, tag = "4")]
    pub refreshed_at: i64,
    /// When the current refresh token expires.
    #[prost(int64, tag = "5")]
    pub expires_at: i64,
    /// SHA-256 of the part that all refresh tokens of this family share: it tells a
    /// token used twice from one that never was.
    #[prost(bytes = "vec", tag = "6")]
    pub family_hash: Vec<u8>,
    /// SHA-256 of the current refresh token.
    #[prost(bytes = "vec", tag = "7")]
    pub current_hash: Vec<u8>,
    /// SHA-256 of the one before it; empty at first.
    #[prost(bytes = "vec", tag = "8")]
    pub previous_hash: Vec<u8>,
    /// What the current one was derived with from the one before it.
    #[prost(bytes = "vec", tag = "9")]
    pub nonce: Vec<u8>,
    /// The address that opened it.
    #[prost(string, tag = "10")]
    pub client_address: String,
    /// What the client called itself.
    #[prost(string, tag = "11")]
    pub user_agent: String,
}

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
    /// Goes up by one with every change that narrows it; as [`User::version`].
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

/// Who has a username.
#[derive(Clone, PartialEq, Message)]
pub struct Username {
    /// The user.
    #[prost(int64, tag = "1")]
    pub user: i64,
}

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

macro_rules! redacted {
    ($($name:ident: $id:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut debug = f.debug_struct(stringify!($name));
                debug.field(stringify!($id), &self.$id).finish_non_exhaustive()
            }
        }
    )*};
}
redacted!(User: id, Password: user, Session: id, PermanentToken: id);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_shows_whose_it_is_and_no_hash() {
        let hash = "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".to_owned();
        let shown = format!("{:?}", Password { user: 7, hash, provisional: false });
        assert_eq!(shown, "Password { user: 7, .. }");
    }
}
