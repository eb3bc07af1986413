//! What about a Redis breaks a promise, and what to change. Each rule names the promise in
//! its words; the figures behind them: kill -9 and power cuts under each setting, FACTS of
//! `deploy/redis/redis.conf`.

use super::{Finding, User, Weight, server::Server};

/// Before this nothing is worth a word: calls take time, and INFO shows a cached clock.
const CLOCK_TOLERANCE_MILLIS: u64 = 2_000;
/// The share of `maxmemory` from which room is short, in percent.
const FULL_PERCENT: u64 = 90;

/// What is not as it should be about `server`.
pub(super) fn findings(server: &Server, user: User) -> Vec<Finding> {
    let mut findings = Findings { of_durability: true, all: Vec::new() };
    // A verifier may ask for none of it, and need not.
    if user == User::Issuer {
        persistence(server, &mut findings);
        replication(server, &mut findings);
    }
    findings.of_durability = false;
    place(server, &mut findings);
    memory(server, &mut findings);
    clock(server, &mut findings);
    findings.all
}

struct Findings {
    of_durability: bool,
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, weight: Weight, what: impl Into<String>, remedy: impl Into<String>) {
        let is_durability = self.of_durability;
        let (what, remedy) = (what.into(), remedy.into());
        self.all.push(Finding { weight, is_durability, what, remedy });
    }
}

fn persistence(server: &Server, findings: &mut Findings) {
    let rules = [
        ("appendonly", "yes", "a restart of Redis loses tokens and revocations"),
        (
            "appendfsync",
            "always",
            "a kill or a power cut loses acknowledged tokens and revocations",
        ),
        (
            "no-appendfsync-on-rewrite",
            "no",
            "a power cut while the log is rewritten loses acknowledged tokens and revocations",
        ),
        (
            "maxmemory-policy",
            "noeviction",
            "a full memory evicts revocations, and revoked tokens are good again",
        ),
    ];
    let mut unknown = Vec::new();
    for (name, right, otherwise) in rules {
        match server.setting(name) {
            Some(value) if value == right => {}
            Some(value) => findings.add(
                Weight::Breaks,
                format!("{name} is {value}: {otherwise}"),
                format!("set `{name} {right}` in redis.conf, and CONFIG SET {name} {right} now"),
            ),
            None => unknown.push(name),
        }
    }
    if !unknown.is_empty() {
        findings.add(
            Weight::Unknown,
            format!(
                "{} can't be read, so whether acknowledged writes are lost is not known",
                unknown.join(", ")
            ),
            "give the issuer's Redis user +info and +config|get, as deploy/redis/users.acl does; \
             where the provider has no CONFIG, see that it persists each write before it answers",
        );
    }
    if server.told("aof_last_write_status").is_some_and(|status| status != "ok") {
        findings.add(
            Weight::Breaks,
            "the last write of the append-only file failed: Redis refuses writes",
            "look at the disk of Redis: its room, its rights, its health",
        );
    }
}

fn replication(server: &Server, findings: &mut Findings) {
    let replicas = server.count("connected_slaves").unwrap_or_default();
    let needed =
        server.setting("min-replicas-to-write").and_then(|value| value.parse::<u64>().ok());
    if replicas > 0 && needed == Some(0) {
        findings.add(
            Weight::Risk,
            format!(
                "{replicas} replicas and min-replicas-to-write 0: a primary that is cut off goes on \
                 taking writes that the failover loses"
            ),
            "set `min-replicas-to-write` so that the primary and they are a majority, and \
             `min-replicas-max-lag 1`",
        );
    }
}

fn place(server: &Server, findings: &mut Findings) {
    if server.role == "replica" {
        findings.add(
            Weight::Breaks,
            "this server is a replica: it takes no writes, and revocations reach it late",
            "let the store URL name the primary",
        );
    }
    let major = server.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < 7) {
        findings.add(
            Weight::Breaks,
            format!("{} {} is older than Redis 7", server.program, server.version),
            "use Redis 7 or later, or Valkey",
        );
    }
}

fn memory(server: &Server, findings: &mut Findings) {
    let (Some(used), Some(most)) = (server.count("used_memory"), server.count("maxmemory")) else {
        return;
    };
    if most > 0 && used.saturating_mul(100) >= most.saturating_mul(FULL_PERCENT) {
        findings.add(
            Weight::Risk,
            format!(
                "{} % of maxmemory is used: when it is full, no token can be made",
                used.saturating_mul(100) / most
            ),
            "raise `maxmemory`",
        );
    }
}

fn clock(server: &Server, findings: &mut Findings) {
    if let Some(ahead) = server.ahead_millis.filter(|ms| ms.unsigned_abs() > CLOCK_TOLERANCE_MILLIS)
    {
        let (by, which) = (ahead.unsigned_abs(), if ahead > 0 { "ahead of" } else { "behind" });
        findings.add(
            Weight::Risk,
            format!(
                "the clock of Redis is {by} ms {which} this machine's: sessions may be forgotten at the wrong time"
            ),
            "run NTP on both",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn server(settings: &[(&str, &str)], info: &[(&str, &str)]) -> Server {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut all = map(&[
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("no-appendfsync-on-rewrite", "no"),
            ("maxmemory-policy", "noeviction"),
            ("min-replicas-to-write", "0"),
        ]);
        all.extend(map(settings));
        Server {
            program: "redis".into(),
            version: "7.0.15".into(),
            mode: "standalone".into(),
            role: "master".into(),
            info: Some(map(info)),
            settings: Some(all),
            ahead_millis: Some(0),
        }
    }

    fn told(server: &Server) -> Vec<(Weight, String)> {
        findings(server, User::Issuer).into_iter().map(|it| (it.weight, it.to_string())).collect()
    }

    #[test]
    fn nothing_is_wrong_under_the_settings_of_deploy() {
        let file = include_str!("../../../deploy/redis/redis.conf");
        let set: Vec<(&str, &str)> = file
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .collect();
        assert_eq!(told(&server(&set, &[("connected_slaves", "0")])), []);
    }

    #[test]
    fn each_setting_that_breaks_the_promise_is_named_with_what_to_set() {
        for (name, wrong, right) in [
            ("appendonly", "no", "appendonly yes"),
            ("appendfsync", "everysec", "appendfsync always"),
            ("appendfsync", "no", "appendfsync always"),
            ("no-appendfsync-on-rewrite", "yes", "no-appendfsync-on-rewrite no"),
            ("maxmemory-policy", "allkeys-lru", "maxmemory-policy noeviction"),
            ("maxmemory-policy", "volatile-ttl", "maxmemory-policy noeviction"),
        ] {
            let [(Weight::Breaks, text)] = &told(&server(&[(name, wrong)], &[]))[..] else {
                panic!("{name} {wrong}")
            };
            assert!(text.contains(name) && text.contains(wrong) && text.contains(right), "{text}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_unknown_and_never_good() {
        let info = [("aof_enabled", "1"), ("maxmemory_policy", "noeviction")];
        let blind = Server { settings: None, ..server(&[], &info) };
        let [(Weight::Unknown, text)] = &told(&blind)[..] else { panic!("{:?}", told(&blind)) };
        assert!(text.contains("appendfsync") && text.contains("+config|get"), "{text}");
        assert!(!text.contains("appendonly"), "INFO shows it: {text}");
        let blind = Server { info: None, ..blind };
        assert!(told(&blind)[0].1.contains("appendonly"));
    }

    #[test]
    fn risks_are_told_apart_from_what_breaks() {
        for (server, word) in [
            (server(&[], &[("connected_slaves", "2")]), "min-replicas-to-write"),
            (server(&[], &[("used_memory", "95"), ("maxmemory", "100")]), "95 %"),
            (Server { ahead_millis: Some(-9000), ..server(&[], &[]) }, "9000 ms behind"),
        ] {
            let [(Weight::Risk, text)] = &told(&server)[..] else { panic!("{word}") };
            assert!(text.contains(word), "{text}");
        }
        for server in [
            Server { role: "replica".into(), ..server(&[], &[]) },
            Server { version: "6.2.1".into(), ..server(&[], &[]) },
            server(&[], &[("aof_last_write_status", "err")]),
        ] {
            assert!(matches!(&told(&server)[..], [(Weight::Breaks, _)]), "{server:?}");
        }
    }
}
