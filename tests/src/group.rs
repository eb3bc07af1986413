//! Several Redis servers that belong together: a primary with replicas under sentinels,
//! and a cluster. Real programs, each with a folder and ports of its own, under the users of
//! `deploy/redis/users.acl`.

mod access;
mod cluster;
mod sentinel;

use std::{fs, net::SocketAddr, sync::Arc};

use redis::{Cmd, FromRedisValue, RedisResult, aio::MultiplexedConnection};
use tempfile::TempDir;

use self::access::Access;
pub use self::{cluster::Cluster, sentinel::SentinelGroup};
use crate::{process::Process, redis::launch};

/// How long a server must be away before the others replace it, in milliseconds: short,
/// for a test, and longer than what a store believes a server for.
pub const DOWN_AFTER_MILLIS: u64 = 1_500;

/// One server of a group.
pub struct Member {
    // Before its folder, so that its log can be told.
    process: Process,
    dir: TempDir,
    address: SocketAddr,
    access: Arc<Access>,
}

impl Member {
    fn start(address: SocketAddr, access: &Arc<Access>, more: &str) -> Self {
        let dir = TempDir::new().unwrap();
        // As deploy/redis/redis.conf has it. The others are to show what the issuer sees to.
        let more = if access.is_tls() {
            &format!("{more}\nmin-replicas-to-write 1\nmin-replicas-max-lag 1\n")
        } else {
            more
        };
        let configuration = format!(
            "{}{}appendonly yes\nappendfsync always\nno-appendfsync-on-rewrite no\nsave \"\"\n\
             maxmemory-policy noeviction\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n\
             {more}\n",
            access.listening(address),
            access.users(),
        );
        fs::write(dir.path().join("redis.conf"), configuration).unwrap();
        let process = launch(dir.path());
        Self { dir, address, process, access: access.clone() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it as a power cut ends a process.
    pub async fn kill9(&mut self) {
        self.process.signal("KILL");
        self.process.exit().await;
    }

    /// Starts it again with what it left, its configuration included.
    pub fn restart(&mut self) {
        self.process = launch(self.dir.path());
    }

    /// Freezes it: connections stay open and nothing is answered.
    pub fn stop(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.process.signal("CONT");
    }

    /// Sends it one command, over a connection of its own.
    ///
    /// # Errors
    /// When it is not there, or refuses.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        command.query_async(&mut self.connect().await?).await
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        self.access.observe(self.address).await
    }
}
