//! A real `redis-server` of the test's own, or what `TESSERA_TEST_REDIS` names, killed
//! when dropped.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

pub(crate) const PASSWORD: &str = "p@ss word/#1";
/// [`PASSWORD`] as it is written in a URL.
pub(crate) const ENCODED_PASSWORD: &str = "p%40ss%20word%2F%231";

pub(crate) struct RedisServer {
    process: Option<Child>,
    dir: PathBuf,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
}

impl RedisServer {
    /// Starts a server on free ports and on a socket, with its files in `dir`.
    pub(crate) fn start(dir: &Path) -> Self {
        make_certificates(dir);
        let mut server =
            Self { process: None, dir: dir.to_owned(), port: free_port(), tls_port: free_port() };
        server.restart();
        server
    }

    /// Starts the server, on the same ports as before, and waits until it accepts.
    pub(crate) fn restart(&mut self) {
        let file = |name: &str| self.dir.join(name).into_os_string();
        let program = std::env::var_os("TESSERA_TEST_REDIS");
        let mut command = Command::new(program.unwrap_or_else(|| "redis-server".into()));
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--requirepass", PASSWORD, "--tls-auth-clients", "optional"])
            .args(["--port", &self.port.to_string(), "--tls-port", &self.tls_port.to_string()])
            .arg("--dir")
            .arg(&self.dir)
            .arg("--unixsocket")
            .arg(file("redis.sock"))
            .arg("--tls-cert-file")
            .arg(file("server.crt"))
            .arg("--tls-key-file")
            .arg(file("server.key"))
            .arg("--tls-ca-cert-file")
            .arg(file("ca.crt"))
            .stdout(Stdio::piped());
        let process = self.process.insert(command.spawn().expect("redis-server is installed"));
        wait_until_ready(process);
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops it from answering, with its connections open; or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("redis.sock")
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// A certificate under that authority, and its key.
    pub(crate) fn identity(&self) -> [PathBuf; 2] {
        ["server.crt", "server.key"].map(|name| self.dir.join(name))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads the server's log until it accepts on all of its ports and its socket,
/// which it says last.
fn wait_until_ready(process: &mut Child) {
    let log = BufReader::new(process.stdout.take().unwrap());
    let mut seen = String::new();
    for line in log.lines().map_while(Result::ok) {
        // Redis 7.0 names the socket's path, later ones and Valkey the kind of each listener.
        if ["connections at", "connections unix"].iter().any(|end| line.contains(end)) {
            return;
        }
        seen += &line;
        seen.push('\n');
    }
    panic!("redis-server did not start:\n{seen}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// An authority `ca.crt`, and `server.crt` by it, for `localhost` alone.
fn make_certificates(dir: &Path) {
    if dir.join("server.crt").exists() {
        return;
    }
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for arguments in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.crt",
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    ] {
        let made = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(dir)
            .stderr(Stdio::null())
            .status()
            .expect("openssl is installed");
        assert!(made.success(), "openssl {arguments}");
    }
}
