//! What things are called on the server. A name holds ids, user names and `kid`s,
//! and no secret. A Redis ACL is written in these names: they are public API.

use crate::{
    id::AccountId,
    store::{Index, Key},
};

/// Names under one prefix, so that installations can share a server.
pub(super) struct Names {
    prefix: Box<str>,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The string that holds a record.
    pub(super) fn record(&self, key: &Key) -> String {
        let prefix = &self.prefix;
        match key {
            Key::Account(id) => format!("{prefix}a:{id}"),
            Key::User(id) => format!("{prefix}u:{id}"),
            Key::Password(user) => format!("{prefix}pw:{user}"),
            Key::Username(name) => format!("{prefix}un:{name}"),
            Key::Session(id) => format!("{prefix}s:{id}"),
            Key::Token(id) => format!("{prefix}t:{id}"),
            Key::Roles => format!("{prefix}roles"),
            Key::KeySet => format!("{prefix}jwk"),
            Key::PrivateKey(kid) => format!("{prefix}sk:{kid}"),
            Key::Revocations(bucket) => format!("{prefix}rev:{bucket}"),
        }
    }

    /// The sorted set that holds an index; the score of a member is its id.
    pub(super) fn index(&self, index: Index) -> String {
        let prefix = &self.prefix;
        match index {
            Index::Accounts => format!("{prefix}ia"),
            Index::UsersOf(account) => format!("{prefix}iu:{account}"),
            Index::SessionsOf(user) => format!("{prefix}is:{user}"),
            Index::TokensOf(account) => format!("{prefix}it:{account}"),
        }
    }

    /// The sorted set of an account's live tokens; the score is when a token
    /// expires, in milliseconds, `+inf` for never.
    pub(super) fn live(&self, account: AccountId) -> String {
        format!("{}il:{account}", self.prefix)
    }
}
