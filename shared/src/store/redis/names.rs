//! What things are called on the server. A name holds ids and `kid`s, and of a user name or
//! a foreign token's hash a digest: who may follow changes in broadcast mode is told the names of all that change,
//! whatever keys it may read. A Redis ACL is written in these names: they are public API.

use std::fmt::Write as _;

use crate::{
    id::{AccountId, TokenId},
    store::{Index, Key},
};

/// For ever: another number would lose what is there.
const USAGE_BUCKETS: i64 = 32_768;

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
        let mut name = String::new();
        self.write_record(key, &mut name);
        name
    }

    /// Puts that into `name`, which keeps its room for the next one.
    pub(super) fn write_record(&self, key: &Key, name: &mut String) {
        name.clear();
        name.push_str(&self.prefix);
        // To write into a string never fails.
        let _ = match key {
            Key::Account(id) => write!(name, "a:{id}"),
            Key::User(id) => write!(name, "u:{id}"),
            Key::Password(user) => write!(name, "pw:{user}"),
            Key::Username(user) => write!(name, "un:{}", digest_of(user.as_bytes())),
            Key::Session(id) => write!(name, "s:{id}"),
            Key::Token(id) => write!(name, "t:{id}"),
            Key::Roles => name.write_str("roles"),
            Key::KeySet => name.write_str("jwk"),
            Key::Foreign(hash) => write!(name, "h:{}", digest_of(hash)),
            Key::Imports => name.write_str("imports"),
            Key::PrivateKey(kid) => write!(name, "sk:{kid}"),
            Key::Revocations(bucket) => write!(name, "rev:{bucket}"),
        };
    }

    /// The number that goes up while an issuer writes; in a cluster each node has one,
    /// with the tag of a slot that it has.
    pub(super) fn heartbeat(&self, tag: Option<&str>) -> String {
        self.tagged("hb", tag)
    }

    /// The number that goes up before an issuer waits for replicas; tagged in a cluster.
    pub(super) fn mark(&self, tag: Option<&str>) -> String {
        self.tagged("mk", tag)
    }

    fn tagged(&self, name: &str, tag: Option<&str>) -> String {
        let prefix = &self.prefix;
        tag.map_or_else(|| format!("{prefix}{name}"), |tag| format!("{prefix}{name}:{{{tag}}}"))
    }

    /// What the names of the records that verifiers hold begin with. None begins with
    /// another, which the server would refuse.
    pub(super) fn followed(&self) -> [String; 7] {
        ["t:", "u:", "a:", "rev:", "roles", "jwk", "imports"]
            .map(|kind| format!("{}{kind}", self.prefix))
    }

    /// The key that is called `name`, if it is one of those.
    pub(super) fn key(&self, name: &[u8]) -> Option<Key> {
        let name = std::str::from_utf8(name).ok()?.strip_prefix(&*self.prefix)?;
        match name.split_once(':') {
            Some(("t", id)) => Some(Key::Token(id.parse::<i64>().ok()?.try_into().ok()?)),
            Some(("u", id)) => Some(Key::User(id.parse::<i64>().ok()?.try_into().ok()?)),
            Some(("a", id)) => Some(Key::Account(id.parse::<i64>().ok()?.try_into().ok()?)),
            Some(("rev", bucket)) => Some(Key::Revocations(bucket.parse().ok()?)),
            None if name == "roles" => Some(Key::Roles),
            None if name == "jwk" => Some(Key::KeySet),
            None if name == "imports" => Some(Key::Imports),
            _ => None,
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

    /// The stream of what was reported of the use of tokens.
    pub(super) fn reported(&self) -> String {
        format!("{}use", self.prefix)
    }

    /// The hash that holds the usage of a token, and its field there. There are so
    /// many hashes that each stays small enough for Redis to keep it packed
    /// (`hash-max-listpack-entries`, 512 by default) up to some ten million tokens.
    pub(super) fn usage(&self, token: TokenId) -> (String, i64) {
        // The low bits of an id are random.
        let bucket = token.get() % USAGE_BUCKETS;
        (format!("{}lu:{bucket}", self.prefix), token.get() / USAGE_BUCKETS)
    }

    /// The sorted set of an account's live tokens; the score is when a token
    /// expires, in milliseconds, `+inf` for never.
    pub(super) fn live(&self, account: AccountId) -> String {
        format!("{}il:{account}", self.prefix)
    }
}

/// The first half of SHA-256, in hexadecimal: 128 bits, so that no two users are one.
fn digest_of(name: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, name);
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_followed_name_reads_back_as_its_key() {
        let names = Names::new("mine:");
        for key in [
            Key::Token(7.try_into().unwrap()),
            Key::User(8.try_into().unwrap()),
            Key::Account(9.try_into().unwrap()),
            Key::Revocations(255),
            Key::Roles,
            Key::KeySet,
            Key::Imports,
        ] {
            let name = names.record(&key);
            assert_eq!(names.key(name.as_bytes()), Some(key.clone()));
            let prefixes = names.followed();
            assert_eq!(prefixes.iter().filter(|p| name.starts_with(p.as_str())).count(), 1);
        }
        for other in ["mine:sk:k", "mine:t:x", "mine:t:0", "t:7", "mine:hb", "mine:roles:1"] {
            assert_eq!(names.key(other.as_bytes()), None, "{other}");
        }
    }
}
