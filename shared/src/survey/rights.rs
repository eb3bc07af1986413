//! What a Redis user may say, found out without changing anything.
//!
//! An issuer may run scripts, and a script can ask what its user may (`redis.acl_check_cmd`).
//! A verifier can't: it says what it needs in forms that do nothing (a tracking that goes
//! off, an entry of an id that is too low), and of what it should not need what does nothing
//! when it is let through. The whole list of commands is gone through by a test of
//! `deploy/redis/users.acl`.

use super::{Finding, User, Weight};
use crate::store::{
    StoreError,
    redis::{Answer, Look, RedisSettings, Topology},
};

/// `{}` stands for the prefix. No record has the id 0.
const ISSUER_NEEDS: &[&str] = &[
    "PING",
    "GET {}t:0",
    "MGET {}pw:0 {}sk:0",
    "SET {}t:0 x",
    "DEL {}t:0",
    "EVALSHA x 1 {}t:0",
    "ZADD {}ia 0 0",
    "ZREM {}ia 0",
    "ZCARD {}il:0",
    "ZSCORE {}il:0 0",
    "ZRANGEBYSCORE {}it:0 0 0",
    "ZREMRANGEBYSCORE {}il:0 0 0",
    "XADD {}use * u x",
    "XRANGE {}use - +",
    "XDEL {}use 0",
    "HGET {}lu:0 0",
    "HSET {}lu:0 0 0",
    "HDEL {}lu:0 0",
    "INFO",
    "CONFIG GET appendonly",
];
const ISSUER_HAS_NO_USE_FOR: &[&str] = &[
    "FLUSHALL",
    "FLUSHDB",
    "SHUTDOWN",
    "CONFIG SET appendonly no",
    "ACL LIST",
    "ACL SETUSER x",
    "KEYS *",
    "DEBUG OBJECT x",
    "REPLICAOF no one",
    "CLIENT KILL x",
    "MONITOR",
    "SAVE",
    "FUNCTION LIST",
    "MODULE LIST",
];
const VERIFIER_NEEDS: &[&str] = &[
    "PING",
    "GET {}t:0",
    "MGET {}t:0 {}u:0 {}a:0 {}rev:0 {}h:0 {}imports {}roles {}jwk",
    "CLIENT TRACKING OFF",
    "XADD {}use NOMKSTREAM 0-0 u x",
];
const VERIFIER_HAS_NO_USE_FOR: &[&str] = &[
    "GET {}pw:0",
    "GET {}sk:0",
    "GET {}un:0",
    "GET {}s:0",
    "GET {}lu:0",
    "SET {}t:0 x XX",
    "DEL {}t:0",
    "DEL {}rev:none",
    "XADD {}t:0 NOMKSTREAM 0-0 u x",
    "XRANGE {}use - + COUNT 1",
    "EVAL return 0",
    "SCAN 0 COUNT 1",
    "CONFIG GET appendonly",
    "INFO server",
    "ACL WHOAMI",
    "DBSIZE",
    "CLIENT ID",
    "DUMP {}t:0",
    "TYPE {}t:0",
];

/// What is needed besides. In a cluster each node has a heartbeat and a mark of its own, with
/// the tag of one of its slots.
fn needs_of(settings: &RedisSettings, user: User) -> Vec<&'static str> {
    let is_cluster = matches!(settings.topology, Topology::Cluster(..));
    let mut needs = vec![match (user, is_cluster) {
        (User::Issuer, false) => "INCR {}hb",
        (User::Issuer, true) => "INCR {}hb:{0}",
        (User::Verifier, false) => "GET {}hb",
        (User::Verifier, true) => "GET {}hb:{0}",
    }];
    match settings.topology {
        Topology::One(_) => {}
        Topology::Sentinel(_) => needs.push("ROLE"),
        Topology::Cluster(..) => needs.extend(["CLUSTER NODES", "ASKING"]),
    }
    // That it may wait is seen by `server`.
    if user == User::Issuer && !settings.guarantee.is_none() {
        needs.push(if is_cluster { "INCR {}mk:{0}" } else { "INCR {}mk" });
    }
    needs
}

/// What was tried, and how it came out.
#[derive(Debug, Default)]
pub(super) struct Rights {
    missing: Vec<String>,
    too_wide: Vec<String>,
    checked: usize,
}

impl Rights {
    pub(super) async fn seen(look: &mut Look, user: User) -> Result<Self, StoreError> {
        let (needs, has_no_use_for) = match user {
            User::Issuer => (ISSUER_NEEDS, ISSUER_HAS_NO_USE_FOR),
            User::Verifier => (VERIFIER_NEEDS, VERIFIER_HAS_NO_USE_FOR),
        };
        let mut rights = Self::default();
        for line in needs.iter().copied().chain(needs_of(look.settings(), user)) {
            rights.checked += 1;
            if !may(look, user, line).await? {
                rights.missing.push(shown(look, line));
            }
        }
        let outside = (user == User::Issuer && !look.prefix().is_empty()).then_some("GET \u{1}0");
        for line in has_no_use_for.iter().copied().chain(outside) {
            rights.checked += 1;
            if may(look, user, line).await? {
                rights.too_wide.push(shown(look, line));
            }
        }
        Ok(rights)
    }

    pub(super) const fn checked(&self) -> usize {
        self.checked
    }

    pub(super) fn findings(&self, user: User) -> Vec<Finding> {
        let finding = |weight, what: String, remedy: &str| Finding {
            weight,
            is_durability: false,
            what,
            remedy: remedy.to_owned(),
        };
        let mut findings = Vec::new();
        if !self.missing.is_empty() {
            let what = format!("the user may not say {}", self.missing.join(", "));
            findings.push(finding(
                Weight::Breaks,
                what,
                "give it the rights of deploy/redis/users.acl; with another prefix write that in the patterns",
            ));
        }
        if !self.too_wide.is_empty() {
            let what =
                format!("the user may say {}, and has no use for it", self.too_wide.join(", "));
            // Promise 4 is about the verifier; the issuer holds secrets anyway.
            let weight = if user == User::Verifier { Weight::Breaks } else { Weight::Risk };
            findings.push(finding(
                weight,
                what,
                "give it the rights of deploy/redis/users.acl, and no others",
            ));
        }
        findings
    }
}

async fn may(look: &mut Look, user: User, line: &str) -> Result<bool, StoreError> {
    let prefix = look.prefix().to_owned();
    // The line of EVAL has words of its own.
    let words: Vec<String> = match line.strip_prefix("EVAL ") {
        Some(script) => vec!["EVAL".to_owned(), script.to_owned(), "0".to_owned()],
        None => line.split(' ').map(|word| word.replace("{}", &prefix)).collect(),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if user == User::Verifier {
        return Ok(!matches!(look.ask(&words).await?, Answer::Forbidden | Answer::Strange));
    }
    let mut ask = vec!["EVAL", "return redis.acl_check_cmd(unpack(ARGV))", "0"];
    ask.extend(words);
    Ok(match look.ask(&ask).await? {
        Answer::Value(::redis::Value::Int(1) | ::redis::Value::Boolean(true)) => true,
        // Wrong: this server does not have the command.
        Answer::Value(_) | Answer::Forbidden | Answer::Strange | Answer::Wrong => false,
    })
}

fn shown(look: &Look, line: &str) -> String {
    match line {
        "GET \u{1}0" => format!("GET of a key outside {}", look.prefix()),
        line => line.replace("{}", look.prefix()),
    }
}
