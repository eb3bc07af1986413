//! Proxies of others that let requests in by an access token, which they check by the
//! JWKS themselves: Envoy with `jwt_authn`, Apache with mod_auth_openidc.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    port,
    process::{Process, clean},
    tools::repository,
    watch::{PATIENCE, eventually},
};

/// Where Debian's package puts them.
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";

/// A running proxy. It is killed when dropped.
pub struct Gate {
    /// What it is called in messages.
    pub name: &'static str,
    address: SocketAddr,
    process: Process,
    _dir: TempDir,
}

impl Gate {
    /// Envoy, for tokens of the issuer at `issuer`, whose keys it keeps for `cache`.
    pub async fn envoy(issuer: SocketAddr, cache: Duration) -> Self {
        let (address, dir) = (port::free(), TempDir::new().unwrap());
        let file = dir.path().join("envoy.json");
        fs::write(&file, envoy_configuration(address, issuer, cache).to_string()).unwrap();
        let program = repository().join(".tools/envoy/bin/envoy");
        assert!(program.exists(), "{} is missing: run ./test", program.display());
        let mut command = clean(&program);
        // Several on one machine need a number each: that of the port is nobody else's.
        command.args(["--base-id", &address.port().to_string(), "--concurrency", "2"]);
        command.args(["--log-level", "warn", "-c"]).arg(&file);
        Self::start("envoy", address, command, dir).await
    }

    /// Apache, for tokens of the issuer at `issuer`, with the cache that it has by itself.
    pub async fn apache(issuer: SocketAddr) -> Self {
        let (address, dir) = (port::free(), TempDir::new().unwrap());
        // It gives root up, and reads the page as another user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join("page"), "welcome\n").unwrap();
        let file = dir.path().join("apache.conf");
        fs::write(&file, apache_configuration(address, issuer, dir.path())).unwrap();
        let mut command = clean(&apache());
        // One process, so that none is left when this one is killed.
        command.arg("-X").arg("-f").arg(&file);
        Self::start("apache", address, command, dir).await
    }

    async fn start(
        name: &'static str,
        address: SocketAddr,
        command: Command,
        dir: TempDir,
    ) -> Self {
        let process = Process::start(name, command, dir.path());
        let mut gate = Self { name, address, process, _dir: dir };
        eventually(&format!("an answer of {name}"), || {
            if let Some(status) = gate.process.ended() {
                panic!("{name} ended, {status}:\n{}", gate.process.log());
            }
            async move { TcpStream::connect(address).await.ok().map(drop) }
        })
        .await;
        gate
    }

    /// The status that a request with this access token gets: 200 where it is let in.
    ///
    /// # Panics
    /// When no answer comes in [`PATIENCE`].
    pub async fn status_of(&self, token: &str) -> u16 {
        let answer = tokio::time::timeout(PATIENCE, self.ask(token)).await;
        answer.unwrap_or_else(|_| panic!("no answer of {}:\n{}", self.name, self.log()))
    }

    async fn ask(&self, token: &str) -> u16 {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET /page HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        // Envoy keeps the connection open for a second, and so the end is not waited for.
        let status = BufReader::new(stream).lines().next_line().await.unwrap().expect("an answer");
        status.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an HTTP status")
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Debian keeps it where only root looks.
fn apache() -> PathBuf {
    ["/usr/sbin/apache2", "/usr/bin/apache2"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
        .expect("apache2 is missing: run ./test")
}

fn apache_configuration(address: SocketAddr, issuer: SocketAddr, dir: &Path) -> String {
    let dir = dir.display();
    let modules: String = ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc"]
        .map(|name| format!("LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n"))
        .concat();
    format!(
        "{modules}\
         ServerRoot {dir}\nServerName localhost\nListen {address}\nPidFile {dir}/apache.pid\n\
         DefaultRuntimeDir {dir}\nErrorLog /dev/stderr\nLogLevel warn\n\
         User www-data\nGroup www-data\nDocumentRoot {dir}\n\
         OIDCOAuthServerMetadataURL http://{issuer}/.well-known/oauth-authorization-server\n\
         OIDCOAuthRemoteUserClaim sub\n\
         OIDCCryptoPassphrase the-tests-own-passphrase\n\
         <Location />\n  AuthType oauth20\n  <RequireAll>\n    Require valid-user\n    \
         Require claim iss:http://{issuer}\n    Require claim aud:cdn\n  </RequireAll>\n</Location>\n"
    )
}

fn envoy_configuration(
    address: SocketAddr,
    issuer: SocketAddr,
    cache: Duration,
) -> serde_json::Value {
    let socket = |address: SocketAddr| json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let typed = |name: &str, kind: &str, mut config: serde_json::Value| {
        config["@type"] = json!(format!("type.googleapis.com/{kind}"));
        json!({"name": name, "typed_config": config})
    };
    let jwt = json!({
        "providers": {"tessera": {
            "issuer": format!("http://{issuer}"),
            "audiences": ["cdn"],
            "remote_jwks": {
                "http_uri": {
                    "uri": format!("http://{issuer}/.well-known/jwks.json"),
                    "cluster": "issuer",
                    "timeout": "5s",
                },
                "cache_duration": format!("{}s", cache.as_secs()),
            },
        }},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "tessera"}}],
    });
    let filters = "envoy.extensions.filters.http";
    let manager = json!({
        "stat_prefix": "gate",
        "http_filters": [
            typed("jwt", &format!("{filters}.jwt_authn.v3.JwtAuthentication"), jwt),
            typed("router", &format!("{filters}.router.v3.Router"), json!({})),
        ],
        "route_config": {"virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
        }]},
    });
    let manager = typed(
        "http",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    );
    json!({"static_resources": {
        "listeners": [{"address": socket(address), "filter_chains": [{"filters": [manager]}]}],
        "clusters": [{
            "name": "issuer",
            "type": "STATIC",
            "load_assignment": {"cluster_name": "issuer", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": socket(issuer)}},
            ]}]},
        }],
    }})
}
