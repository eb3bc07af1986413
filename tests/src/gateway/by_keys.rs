//! Proxies that let requests in by an access token, which they check by the JWKS themselves:
//! Envoy with `jwt_authn`, Apache with mod_auth_openidc.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use super::{Gateway, Text};
use crate::{port, process::clean, wire::Wire};

/// Where Debian's package puts them.
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";

impl Gateway {
    /// Envoy, for tokens of the issuer at `issuer`, whose keys it keeps for `cache`.
    pub async fn envoy_by_keys(issuer: SocketAddr, cache: Duration) -> Self {
        let address = port::free();
        let text = Text(envoy_configuration(address, issuer, cache).to_string());
        Self::run_envoy(address, &text).until_it_answers(async |_| true).await
    }

    /// Apache, for tokens of the issuer at `issuer`, with the cache that it has by itself.
    pub async fn apache(issuer: SocketAddr) -> Self {
        let (address, dir) = (port::free(), TempDir::new().unwrap());
        // It gives root up, and reads the page as another user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join("page"), "welcome\n").unwrap();
        let text = Text(apache_configuration(address, issuer, dir.path()));
        let mut command = clean(&apache());
        // One process, so that none is left when this one is killed.
        command.arg("-X").arg("-f").arg(text.write(dir.path(), "apache.conf"));
        let gateway = Self::run("apache", [address; 2], command, dir);
        gateway.until_it_answers(async |_| true).await
    }

    /// The status that a request with this access token gets: 200 where it is let in.
    pub async fn status_of(&self, token: &str) -> u16 {
        let headers = [("authorization", format!("Bearer {token}"))];
        self.ask(Wire::Http1, "/page", &headers).await.status
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
        "stat_prefix": "by_keys",
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
