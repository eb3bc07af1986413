//! Several Redis servers that belong together: a primary with replicas under sentinels,
//! and a cluster. Real programs, each with a folder and ports of its own.

mod cluster;
mod sentinel;

use std::{fs, net::SocketAddr, path::Path};

use redis::{Cmd, FromRedisValue, RedisResult, aio::MultiplexedConnection};
use tempfile::TempDir;

pub use self::{cluster::Cluster, sentinel::SentinelGroup};
use crate::process::{Process, clean};

/// Of every server of a group.
const PASSWORD: &str = "the-redis-password-of-the-tests-4kq9";

/// How long a server must be away before the others replace it, in milliseconds: short,
/// for a test, and longer than what a store believes a server for.
pub const DOWN_AFTER_MILLIS: u64 = 1_500;

/// One server of a group.
pub struct Member {
    // Before its folder, so that its log can be told.
    process: Process,
    dir: TempDir,
    address: SocketAddr,
}

impl Member {
    fn start(address: SocketAddr, more: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let configuration = format!(
            "bind {}\nport {}\nrequirepass {PASSWORD}\nmasterauth {PASSWORD}\n\
             appendonly yes\nappendfsync always\nno-appendfsync-on-rewrite no\nsave \"\"\n\
             maxmemory-policy noeviction\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n\
             {more}\n",
            address.ip(),
            address.port(),
        );
        fs::write(dir.path().join("redis.conf"), configuration).unwrap();
        let process = launch(dir.path());
        Self { dir, address, process }
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
        ask(self.address, PASSWORD, command).await
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        connect(self.address, PASSWORD).await
    }
}

fn launch(dir: &Path) -> Process {
    let mut command = clean(Path::new("redis-server"));
    command.arg("redis.conf").current_dir(dir);
    Process::start("redis", command, dir)
}

async fn connect(address: SocketAddr, password: &str) -> RedisResult<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://:{password}@{address}/"))?;
    client.get_multiplexed_async_connection().await
}

async fn ask<T: FromRedisValue>(
    address: SocketAddr,
    password: &str,
    command: &Cmd,
) -> RedisResult<T> {
    command.query_async(&mut connect(address, password).await?).await
}
