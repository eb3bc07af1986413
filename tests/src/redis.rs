//! A Redis server of the test's own, under the durability settings that the promise
//! asks for, and with the users of `deploy/redis/users.acl`.
//!
//! `TESSERA_TEST_REDIS` names another program than `redis-server`, such as Valkey's.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use redis::{AsyncCommands, aio::MultiplexedConnection};
use tempfile::TempDir;

use crate::{
    port,
    process::{Process, clean},
    tls::Authority,
    users::{OBSERVER, Users},
    watch::eventually,
};

/// A server on a port of loopback. It is killed when dropped.
pub struct Redis {
    dir: TempDir,
    address: SocketAddr,
    authority: Option<Authority>,
    users: Users,
    process: Process,
}

impl Redis {
    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts a server that speaks TLS alone, with a certificate of an authority
    /// that only this test knows.
    pub async fn start_tls() -> Self {
        Self::start_with(Some(Authority::new())).await
    }

    async fn start_with(authority: Option<Authority>) -> Self {
        let (dir, users) = (TempDir::new().unwrap(), Users::new());
        let address = port::free();
        let configuration = configuration(address, authority.as_ref(), &users);
        fs::write(dir.path().join("redis.conf"), configuration).unwrap();
        let process = launch(dir.path());
        let redis = Self { dir, address, authority, users, process };
        redis.wait().await;
        redis
    }

    async fn wait(&self) {
        eventually("an answer of Redis", || async {
            match &self.authority {
                // What is asked over TLS, the services ask.
                Some(_) => tokio::net::TcpStream::connect(self.address).await.ok().map(drop),
                None => {
                    let mut redis = self.try_connect().await?;
                    redis.ping::<String>().await.ok().map(drop)
                }
            }
        })
        .await;
    }

    /// The store URL of this server, for the issuer.
    pub fn url(&self) -> String {
        self.url_as("issuer")
    }

    /// The store URL for `issuer` or `verifier`.
    pub fn url_as(&self, user: &str) -> String {
        self.url_through(user, self.address)
    }

    /// The store URL for `issuer` or `verifier`, of this server as reached through `address`.
    pub fn url_through(&self, user: &str, address: SocketAddr) -> String {
        let scheme = if self.authority.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{user}:{}@{address}/0", self.users.password(user))
    }

    /// The users, and their passwords.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority of a server that speaks TLS.
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().unwrap()
    }

    /// The folder of its data and its log.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the server as a power cut ends a process: `kill -9`.
    pub async fn kill9(&mut self) {
        self.process.signal("KILL");
        self.process.exit().await;
    }

    /// Starts the server again after [`Self::kill9`], with the data that it left.
    pub async fn restart(&mut self) {
        self.process = launch(self.dir.path());
        self.wait().await;
    }

    /// Freezes the server: connections stay open and nothing is answered.
    pub fn stop(&self) {
        self.process.signal("STOP");
    }

    /// Lets a frozen server go on.
    pub fn cont(&self) {
        self.process.signal("CONT");
    }

    /// A connection for the test's own look at the data.
    pub async fn connection(&self) -> MultiplexedConnection {
        self.try_connect().await.expect("a connection to Redis")
    }

    /// Whether the server has this command; 7.0 has no `WAITAOF`.
    pub async fn knows(&self, command: &str) -> bool {
        let mut info = redis::cmd("COMMAND");
        info.arg("INFO").arg(command);
        let answer: Vec<redis::Value> =
            info.query_async(&mut self.connection().await).await.unwrap();
        answer.iter().any(|known| *known != redis::Value::Nil)
    }

    /// A connection of `issuer` or `verifier`.
    pub async fn connection_as(&self, user: &str) -> MultiplexedConnection {
        let client = redis::Client::open(self.url_as(user)).unwrap();
        client.get_multiplexed_async_connection().await.expect("a connection to Redis")
    }

    async fn try_connect(&self) -> Option<MultiplexedConnection> {
        let client = redis::Client::open(self.url_as(OBSERVER)).unwrap();
        client.get_multiplexed_async_connection().await.ok()
    }

    /// Everything that the server was ever told to write: the append-only files,
    /// values that have expired since included.
    pub fn written(&self) -> Vec<u8> {
        crate::tools::all_bytes_under(&self.dir.path().join("appendonlydir"))
    }

    /// Every key and every value, in text, one after the other.
    pub async fn dump(&self) -> Vec<u8> {
        let mut redis = self.connection().await;
        let keys: Vec<Vec<u8>> = redis.keys("*").await.unwrap();
        let mut bytes = Vec::new();
        for key in keys {
            let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
            let mut read = redis::cmd(match kind.as_str() {
                "string" => "GET",
                "hash" => "HGETALL",
                "set" => "SMEMBERS",
                "zset" => "ZRANGE",
                "list" => "LRANGE",
                "stream" => "XRANGE",
                other => panic!("a key of the kind {other}"),
            });
            read.arg(&key);
            match kind.as_str() {
                "zset" | "list" => read.arg(0).arg(-1),
                "stream" => read.arg("-").arg("+"),
                _ => &mut read,
            };
            let value: redis::Value = read.query_async(&mut redis).await.unwrap();
            bytes.extend(key);
            flatten(value, &mut bytes);
        }
        bytes
    }
}

fn flatten(value: redis::Value, bytes: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(part) => bytes.extend(part),
        redis::Value::Array(parts) | redis::Value::Set(parts) => {
            parts.into_iter().for_each(|part| flatten(part, bytes));
        }
        redis::Value::Map(pairs) => pairs.into_iter().for_each(|(field, part)| {
            flatten(field, bytes);
            flatten(part, bytes);
        }),
        other => bytes.extend(format!("{other:?}").bytes()),
    }
    bytes.push(b'\n');
}

/// Starts the server whose `redis.conf` is in `dir`.
pub(crate) fn launch(dir: &Path) -> Process {
    let mut command = program();
    command.arg("redis.conf").current_dir(dir);
    Process::start("redis", command, dir)
}

/// The server's program; with `--sentinel` it is a Sentinel.
pub(crate) fn program() -> Command {
    let program = std::env::var_os("TESSERA_TEST_REDIS").unwrap_or_else(|| "redis-server".into());
    clean(Path::new(&program))
}

fn configuration(address: SocketAddr, authority: Option<&Authority>, users: &Users) -> String {
    let port = address.port();
    let listen = match authority {
        None => format!("port {port}"),
        Some(authority) => format!(
            "port 0\ntls-port {port}\ntls-auth-clients no\n\
             tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}",
            authority.server_certificate().display(),
            authority.server_key().display(),
            authority.certificate().display(),
        ),
    };
    let users = users.file();
    // No compression, so that a secret in a file would be found there as it is.
    format!(
        "bind {}\n{listen}\naclfile {}\nappendonly yes\nappendfsync always\n\
         no-appendfsync-on-rewrite no\nmaxmemory-policy noeviction\nrdbcompression no\nsave \"\"\n",
        address.ip(),
        users.display()
    )
}
