//! Accounts, users and their sessions.

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
    /// When the token before the current one was last presented again, inside the grace;
    /// 0 if it was not. To within an instant: see `RETRY_NOTED` in the issuer's sessions.
    #[prost(int64, tag = "12")]
    pub retried_at: i64,
}

/// Who has a username.
#[derive(Clone, PartialEq, Message)]
pub struct Username {
    /// The user.
    #[prost(int64, tag = "1")]
    pub user: i64,
}

super::redacted!(User: id, Password: user, Session: id);
