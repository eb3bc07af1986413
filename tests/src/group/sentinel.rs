//! A primary and two replicas under three sentinels, with passwords on both.

use std::{collections::HashMap, fs, net::SocketAddr, path::Path};

use redis::cmd;
use tempfile::TempDir;

use super::{DOWN_AFTER_MILLIS, Member, PASSWORD, ask};
use crate::{
    port,
    process::{Process, clean},
    watch::eventually,
};

const SERVERS: usize = 3;
const SENTINELS: usize = 3;
const NAME: &str = "tessera-main";
const SENTINEL_PASSWORD: &str = "the-sentinels-password-of-the-tests-7bd2";

/// The servers and their sentinels. All are killed when dropped.
pub struct SentinelGroup {
    /// The first begins as the primary.
    pub members: Vec<Member>,
    /// Where others see them.
    seen: Vec<SocketAddr>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    _process: Process,
    _dir: TempDir,
    address: SocketAddr,
}

impl SentinelGroup {
    /// Starts all and waits until the sentinels know everything.
    pub async fn start() -> Self {
        Self::start_behind(async |address| address).await
    }

    /// As [`Self::start`]; others than this test reach each server at what `seen_at` says.
    pub async fn start_behind(mut seen_at: impl AsyncFnMut(SocketAddr) -> SocketAddr) -> Self {
        let (mut members, mut all_seen) = (Vec::new(), Vec::new());
        let mut primary = None;
        for _ in 0..SERVERS {
            let address = port::free();
            let seen = seen_at(address).await;
            let mut more = format!(
                "replica-announce-ip {}\nreplica-announce-port {}\n",
                seen.ip(),
                seen.port()
            );
            if let Some(primary) = primary {
                let primary: SocketAddr = primary;
                more += &format!("replicaof {} {}\n", primary.ip(), primary.port());
            }
            let member = Member::start(address, &more);
            primary.get_or_insert(seen);
            members.push(member);
            all_seen.push(seen);
        }
        let primary = primary.unwrap();
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(primary)).collect();
        let group = Self { members, seen: all_seen, sentinels };
        group.wait_until_complete().await;
        group
    }

    /// Waits until every sentinel knows all servers and all sentinels, and no failover
    /// is under way.
    pub async fn wait_until_complete(&self) {
        for sentinel in &self.sentinels {
            eventually("a sentinel that knows all", || async {
                let known = sentinel.master().await?;
                let is = |field: &str, value: usize| known.get(field) == Some(&value.to_string());
                let complete = is("num-slaves", SERVERS - 1)
                    && is("num-other-sentinels", SENTINELS - 1)
                    && known.get("flags").is_some_and(|flags| flags == "master");
                complete.then_some(())
            })
            .await;
        }
        eventually("a primary with its replicas", || async {
            let primary = &self.members[self.primary().await];
            let info: String = primary.ask(cmd("INFO").arg("replication")).await.ok()?;
            (info.matches("state=online").count() == SERVERS - 1).then_some(())
        })
        .await;
    }

    /// The store URL; others reach the sentinels at what `seen_at` says.
    pub async fn url_behind(
        &self,
        mut seen_at: impl AsyncFnMut(SocketAddr) -> SocketAddr,
    ) -> String {
        let mut sentinels = Vec::new();
        for sentinel in &self.sentinels {
            sentinels.push(seen_at(sentinel.address).await);
        }
        url(&sentinels)
    }

    /// The store URL.
    pub fn url(&self) -> String {
        url(&self.sentinels.iter().map(|sentinel| sentinel.address).collect::<Vec<_>>())
    }

    /// Which member is the primary, once all sentinels agree.
    pub async fn primary(&self) -> usize {
        eventually("a primary that all sentinels name", || async {
            let mut named = Vec::new();
            for sentinel in &self.sentinels {
                let mut known = sentinel.master().await?;
                named.push(format!("{}:{}", known.remove("ip")?, known.remove("port")?));
            }
            let primary = named.pop().filter(|it| named.iter().all(|other| other == it))?;
            self.seen.iter().position(|seen| seen.to_string() == primary)
        })
        .await
    }

    /// Has the sentinels replace the primary in good order.
    pub async fn fail_over(&self) -> bool {
        let command = cmd("SENTINEL").arg("FAILOVER").arg(NAME).to_owned();
        self.sentinels[0].ask::<String>(&command).await.is_ok()
    }

    /// Waits until the sentinels name another than this member.
    pub async fn wait_for_another_than(&self, old: usize) {
        eventually("another primary", || async { (self.primary().await != old).then_some(()) })
            .await;
    }
}

impl Sentinel {
    fn start(primary: SocketAddr) -> Self {
        let (dir, address) = (TempDir::new().unwrap(), port::free());
        let configuration = format!(
            "bind {}\nport {}\nrequirepass {SENTINEL_PASSWORD}\n\
             sentinel sentinel-pass {SENTINEL_PASSWORD}\n\
             sentinel monitor {NAME} {} {} 2\n\
             sentinel auth-pass {NAME} {PASSWORD}\n\
             sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MILLIS}\n\
             sentinel failover-timeout {NAME} 6000\n",
            address.ip(),
            address.port(),
            primary.ip(),
            primary.port(),
        );
        fs::write(dir.path().join("sentinel.conf"), configuration).unwrap();
        let mut command = clean(Path::new("redis-sentinel"));
        command.arg("sentinel.conf").current_dir(dir.path());
        let process = Process::start("sentinel", command, dir.path());
        Self { _dir: dir, address, _process: process }
    }

    async fn master(&self) -> Option<HashMap<String, String>> {
        self.ask(cmd("SENTINEL").arg("MASTER").arg(NAME)).await.ok()
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> redis::RedisResult<T> {
        ask(self.address, SENTINEL_PASSWORD, command).await
    }
}

fn url(sentinels: &[SocketAddr]) -> String {
    let sentinels = sentinels.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
    format!(
        "redis+sentinel://:{PASSWORD}@{sentinels}/{NAME}/0?sentinel_password={SENTINEL_PASSWORD}"
    )
}
