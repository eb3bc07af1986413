//! A primary and two replicas under three sentinels, with users on both.

use std::{collections::HashMap, fs, net::SocketAddr, sync::Arc};

use redis::cmd;
use tempfile::TempDir;

use super::{Access, DOWN_AFTER_MILLIS, Member};
use crate::{port, process::Process, redis::program, watch::eventually};

const SERVERS: usize = 3;
const SENTINELS: usize = 3;
/// As `deploy/redis/sentinel.conf` has it.
const NAME: &str = "tessera-main";

/// The servers and their sentinels. All are killed when dropped.
pub struct SentinelGroup {
    /// The first begins as the primary.
    pub members: Vec<Member>,
    /// Where others see them.
    seen: Vec<String>,
    sentinels: Vec<Sentinel>,
    access: Arc<Access>,
}

struct Sentinel {
    _process: Process,
    _dir: TempDir,
    address: SocketAddr,
    access: Arc<Access>,
}

impl SentinelGroup {
    /// Starts all and waits until the sentinels know everything.
    pub async fn start() -> Self {
        Self::start_behind(async |address| address).await
    }

    /// As [`Self::start`], over TLS alone, with certificates on both sides; those of servers and
    /// sentinels are for a host name, or else for an address.
    pub async fn start_tls(by_name: bool) -> Self {
        Self::begin(Access::tls(by_name), async |address| address).await
    }

    /// As [`Self::start`]; others than this test reach each server at what `seen_at` says.
    pub async fn start_behind(seen_at: impl AsyncFnMut(SocketAddr) -> SocketAddr) -> Self {
        Self::begin(Access::plain(), seen_at).await
    }

    async fn begin(access: Access, mut seen_at: impl AsyncFnMut(SocketAddr) -> SocketAddr) -> Self {
        let access = Arc::new(access);
        let (mut members, mut all_seen) = (Vec::<Member>::new(), Vec::<String>::new());
        for _ in 0..SERVERS {
            let address = port::free();
            let seen = access.place(seen_at(address).await);
            let (host, port) = seen.rsplit_once(':').unwrap();
            let mut more = format!("replica-announce-ip {host}\nreplica-announce-port {port}\n");
            if let Some(primary) = members.first() {
                let place = access.place(primary.address());
                more += &format!("replicaof {}\n", place.replace(':', " "));
            }
            members.push(Member::start(address, &access, &more));
            all_seen.push(seen);
        }
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(&all_seen[0], &access)).collect();
        let group = Self { members, seen: all_seen, sentinels, access };
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

    /// The store URL of `issuer` or `verifier`; they reach the sentinels at what `seen_at` says.
    pub async fn url_behind(
        &self,
        user: &str,
        mut seen_at: impl AsyncFnMut(SocketAddr) -> SocketAddr,
    ) -> String {
        let mut places = Vec::new();
        for sentinel in &self.sentinels {
            places.push(self.access.place(seen_at(sentinel.address).await));
        }
        self.access.url("sentinel", user, &places, &format!("/{NAME}/0"))
    }

    /// The store URL of `issuer` or `verifier`.
    pub fn url_as(&self, user: &str) -> String {
        let places = self.sentinels.iter().map(|sentinel| self.access.place(sentinel.address));
        self.access.url("sentinel", user, &places.collect::<Vec<_>>(), &format!("/{NAME}/0"))
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
            self.seen.iter().position(|seen| *seen == primary)
        })
        .await
    }

    /// Has the sentinels replace the primary in good order.
    pub async fn fail_over(&self) -> bool {
        let command = cmd("SENTINEL").arg("FAILOVER").arg(NAME).to_owned();
        self.sentinels[0].ask::<String>(&command).await.is_ok()
    }

    /// Waits until a sentinel is at work to replace the primary.
    pub async fn wait_for_a_leader(&self) {
        eventually("a sentinel that leads a failover", || async {
            let mut asked = Vec::new();
            for sentinel in &self.sentinels {
                asked.extend(sentinel.master().await);
            }
            let mut flags = asked.iter().filter_map(|known| known.get("flags"));
            flags.any(|flags| flags.contains("failover_in_progress")).then_some(())
        })
        .await;
    }

    /// Waits until the sentinels name another than this member.
    pub async fn wait_for_another_than(&self, old: usize) {
        eventually("another primary", || async { (self.primary().await != old).then_some(()) })
            .await;
    }
}

impl Sentinel {
    fn start(primary: &str, access: &Arc<Access>) -> Self {
        let (dir, address) = (TempDir::new().unwrap(), port::free());
        let mut more = String::new();
        if access.name().is_some() {
            more += "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n";
        }
        let configuration = format!(
            "{}{}{more}sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MILLIS}\n\
             sentinel failover-timeout {NAME} 6000\n",
            access.sentinel(primary),
            access.listening(address),
        );
        fs::write(dir.path().join("sentinel.conf"), configuration).unwrap();
        let mut command = program();
        command.args(["sentinel.conf", "--sentinel"]).current_dir(dir.path());
        let process = Process::start("sentinel", command, dir.path());
        Self { _dir: dir, address, _process: process, access: access.clone() }
    }

    async fn master(&self) -> Option<HashMap<String, String>> {
        self.ask(cmd("SENTINEL").arg("MASTER").arg(NAME)).await.ok()
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> redis::RedisResult<T> {
        command.query_async(&mut self.access.ask_sentinel(self.address).await?).await
    }
}
