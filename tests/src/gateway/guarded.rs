//! Proxies that let in whom a verifier finds good, and Envoy in front of the services themselves.

use std::{net::SocketAddr, path::Path};

use tempfile::TempDir;
use tessera_proto::v1::WhoAmIRequest;
use tonic::Code;

use super::{Gateway, Text};
use crate::{
    ask::ask,
    client::{self, Credentials},
    port,
    process::clean,
    service::Place,
    upstream::Upstream,
    wire::{self, Wire},
};

impl Gateway {
    /// Starts Envoy with `deploy/envoy/envoy.yaml`, changed by `change` besides.
    pub async fn envoy(verifier: Place, upstream: &Upstream, change: impl Fn(&mut Text)) -> Self {
        Self::envoy_asking(&[verifier], upstream, change).await
    }

    /// As [`Self::envoy`], with several verifiers to ask.
    pub async fn envoy_asking(
        verifiers: &[Place],
        upstream: &Upstream,
        change: impl Fn(&mut Text),
    ) -> Self {
        let address = port::free();
        let mut text = Text::of_deploy("envoy/envoy.yaml");
        text.replace("port_value: 10000", &format!("port_value: {}", address.port()));
        text.endpoints("127.0.0.1, port_value: 50052", verifiers);
        text.replace("port_value: 8000", &format!("port_value: {}", upstream.http1.port()));
        text.replace("port_value: 8001", &format!("port_value: {}", upstream.http2.port()));
        change(&mut text);
        let gateway = Self::run_envoy(address, &text);
        gateway.until_it_answers(reaches_the_service).await
    }

    /// Starts Envoy with `deploy/envoy/services.yaml`: one address for all these services.
    pub async fn services(issuers: &[Place], verifiers: &[Place]) -> Self {
        let address = port::free();
        let mut text = Text::of_deploy("envoy/services.yaml");
        let here = format!("127.0.0.1, port_value: {}", address.port());
        text.replace("0.0.0.0, port_value: 50050", &here);
        text.endpoints("verifier, port_value: 50052", verifiers);
        text.endpoints("issuer, port_value: 50051", issuers);
        Self::run_envoy(address, &text).until_it_answers(reaches_both_services).await
    }

    /// Starts nginx with `deploy/nginx/tessera.conf` and its snippets.
    pub async fn nginx(verifier: Place, upstream: &Upstream) -> Self {
        let (http, http2) = (port::free(), port::free());
        let mut text = Text::of_deploy("nginx/tessera.conf");
        text.replace("127.0.0.1:10001", &http.to_string());
        text.replace("127.0.0.1:10002", &http2.to_string());
        text.replace("127.0.0.1:8081", &verifier.http.to_string());
        text.replace("127.0.0.1:8000", &upstream.http1.to_string());
        text.replace("127.0.0.1:8001", &upstream.http2.to_string());
        let dir = TempDir::new().unwrap();
        text.write(dir.path(), "tessera.conf");
        for snippet in ["guard", "public", "verify", "errors"] {
            let name = format!("tessera-{snippet}.conf");
            Text::of_deploy(&format!("nginx/{name}")).write(dir.path(), &name);
        }
        let folder = dir.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {folder}/{kind};"));
        // One process, so that none is left when it is killed.
        let main = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; {} include tessera.conf; }}\n",
            temporary.concat()
        );
        let mut command = clean(Path::new("/usr/sbin/nginx"));
        command.args(["-e", "stderr", "-p"]).arg(dir.path());
        command.arg("-c").arg(Text(main).write(dir.path(), "nginx.conf"));
        let gateway = Self::run("nginx", [http, http2], command, dir);
        gateway.until_it_answers(reaches_the_service).await
    }

    /// Starts Caddy with `deploy/caddy/Caddyfile`.
    pub async fn caddy(verifier: Place, upstream: &Upstream) -> Self {
        let address = port::free();
        let mut text = Text::of_deploy("caddy/Caddyfile");
        text.replace(":10003", &format!(":{}", address.port()));
        text.replace("127.0.0.1:8081", &verifier.http.to_string());
        text.replace("127.0.0.1:8000", &upstream.http1.to_string());
        text.replace("127.0.0.1:8001", &upstream.http2.to_string());
        let dir = TempDir::new().unwrap();
        let mut command = clean(Path::new("caddy"));
        command.env("HOME", dir.path()).args(["run", "--config"]);
        command.arg(text.write(dir.path(), "Caddyfile"));
        let gateway = Self::run("caddy", [address; 2], command, dir);
        gateway.until_it_answers(reaches_the_service).await
    }
}

async fn reaches_the_service(gateway: SocketAddr) -> bool {
    wire::ask(Wire::Http1, gateway, "/healthz", &[]).await.reached()
}

async fn reaches_both_services(gateway: SocketAddr) -> bool {
    let mut issuer = client::issuer(gateway, &Credentials::none());
    let who = issuer.who_am_i(WhoAmIRequest {}).await;
    who.is_err_and(|status| status.code() == Code::Unauthenticated)
        && client::verifier(gateway).verify(ask("nonsense")).await.is_ok()
}
