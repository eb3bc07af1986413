//! What about a Redis breaks a promise, and what to change. Each rule names the promise in
//! its words; the figures behind them: kill -9 and power cuts under each setting, FACTS of
//! `deploy/redis/redis.conf`.

#[cfg(test)]
mod tests;

use super::{
    Finding, User, Weight,
    server::{Server, Waiting},
};

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
        confirmation(server, &mut findings);
        replication(server, &mut findings);
        findings.of_durability = false;
        enough_replicas(server, &mut findings);
    }
    findings.of_durability = false;
    place(server, &mut findings);
    memory(server, &mut findings);
    clock(server, &mut findings);
    findings.all
}

/// What about a replica would lose writes after a failover: a risk until then.
pub(super) fn of_replica(server: &Server) -> Vec<Finding> {
    let mut findings = Findings { of_durability: true, all: Vec::new() };
    persistence(server, &mut findings);
    for finding in &mut findings.all {
        if finding.weight == Weight::Breaks {
            finding.weight = Weight::Risk;
        }
        finding.what = format!("of the replica {}: {}", server.address, finding.what);
    }
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

/// Whether the issuer's writes can be confirmed as its settings ask.
fn confirmation(server: &Server, findings: &mut Findings) {
    let setting =
        |word| if word == "WAITAOF" { "--store-wait-disks" } else { "--store-min-replicas" };
    match server.waiting {
        Waiting::Fine => {}
        Waiting::Forbidden(word) => findings.add(
            Weight::Breaks,
            format!(
                "the user may not say {word}, by which {} waits: no write would be confirmed",
                setting(word)
            ),
            format!("give the issuer's Redis user +{}", word.to_lowercase()),
        ),
        Waiting::Strange(word) => findings.add(
            Weight::Breaks,
            format!(
                "{} {} has no {word}, by which {} waits: no write would be confirmed",
                server.program,
                server.version,
                setting(word)
            ),
            "use Redis 7.2 or later, or Valkey, or take the setting away",
        ),
    }
}

/// Nothing is lost where nothing is acknowledged, so an issuer starts, and waits for them.
fn enough_replicas(server: &Server, findings: &mut Findings) {
    let wanted = u64::from(server.guarantee.replicas);
    if let Some(there) = server.count("connected_slaves").filter(|there| *there < wanted) {
        findings.add(
            Weight::Breaks,
            format!(
                "replicas connected: {there}; --store-min-replicas {wanted} has each write wait for \
                 more, so nothing can be written"
            ),
            "see that the replicas are there, or lower --store-min-replicas",
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
