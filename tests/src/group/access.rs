//! Who may reach the servers of a group, and over what: the users of
//! `deploy/redis/users.acl`, in plaintext or over TLS with certificates on both sides.

use std::{fs, net::SocketAddr};

use redis::{Client, ClientTlsConfig, RedisResult, TlsCertificates, aio::MultiplexedConnection};

use crate::{
    tls::{Authority, Files},
    users::{OBSERVER, Users},
};

/// Of the sentinels' user `services`, and of `sentinels`, who may say all.
const SERVICES_PASSWORD: &str = "the-sentinels-password-of-the-tests-7bd2";
const PEERS_PASSWORD: &str = "the-password-of-sentinels-among-themselves-2xv8";

/// The users of the servers, and TLS if there is any.
pub(super) struct Access {
    users: Users,
    tls: Option<Tls>,
}

/// Certificates of one authority.
struct Tls {
    authority: Authority,
    /// A server's own, when it is the client of another.
    server: Files,
    service: Files,
    by_name: bool,
}

impl Access {
    pub(super) fn plain() -> Self {
        Self { users: Users::new(), tls: None }
    }

    /// Servers with a certificate for a host name alone, or else for an address alone.
    pub(super) fn tls(by_name: bool) -> Self {
        let authority =
            Authority::of_server(if by_name { "DNS:localhost" } else { "IP:127.0.0.1" });
        let server = authority.caller("server", "DNS:a-server-of-the-tests");
        let service = authority.caller("service", "DNS:a-service-of-the-tests");
        Self { users: Users::new(), tls: Some(Tls { authority, server, service, by_name }) }
    }

    pub(super) const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The name under which a server is to be known, if not by its address.
    pub(super) fn name(&self) -> Option<&'static str> {
        self.tls.as_ref().filter(|tls| tls.by_name).map(|_| "localhost")
    }

    /// How others name the server at this address.
    pub(super) fn place(&self, address: SocketAddr) -> String {
        let host = self.name().map_or_else(|| address.ip().to_string(), str::to_owned);
        format!("{host}:{}", address.port())
    }

    pub(super) fn password(&self, user: &str) -> String {
        self.users.password(user)
    }

    /// The lines with which a server, or a sentinel, listens there.
    pub(super) fn listening(&self, address: SocketAddr) -> String {
        let (ip, port) = (address.ip(), address.port());
        let Some(tls) = &self.tls else { return format!("bind {ip}\nport {port}\n") };
        // A name may stand for an address of each kind.
        format!(
            "bind {ip} -::1\nport 0\ntls-port {port}\ntls-replication yes\ntls-auth-clients yes\n\
             tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
             tls-client-cert-file {}\ntls-client-key-file {}\n",
            tls.authority.server_certificate().display(),
            tls.authority.server_key().display(),
            tls.authority.certificate().display(),
            tls.server.certificate.display(),
            tls.server.key.display(),
        )
    }

    /// The lines with which a server knows its users, and is one of others.
    pub(super) fn users(&self) -> String {
        let replica = self.password("replica");
        format!(
            "aclfile {}\nmasteruser replica\nmasterauth {replica}\n",
            self.users.file().display()
        )
    }

    /// A connection for the test's own look at a server.
    pub(super) async fn observe(&self, address: SocketAddr) -> RedisResult<MultiplexedConnection> {
        self.connect(address, OBSERVER, &self.password(OBSERVER)).await
    }

    /// A connection to a sentinel, as another.
    pub(super) async fn ask_sentinel(
        &self,
        address: SocketAddr,
    ) -> RedisResult<MultiplexedConnection> {
        self.connect(address, "sentinels", PEERS_PASSWORD).await
    }

    async fn connect(
        &self,
        address: SocketAddr,
        user: &str,
        password: &str,
    ) -> RedisResult<MultiplexedConnection> {
        let place = self.place(address);
        let client = match &self.tls {
            None => Client::open(format!("redis://{user}:{password}@{place}/"))?,
            Some(tls) => {
                let read = |file| fs::read(file).unwrap();
                let client_tls = Some(ClientTlsConfig {
                    client_cert: read(&tls.service.certificate),
                    client_key: read(&tls.service.key),
                });
                let root_cert = Some(read(&tls.authority.certificate()));
                let url = format!("rediss://{user}:{password}@{place}/");
                Client::build_with_tls(url, TlsCertificates { client_tls, root_cert })?
            }
        };
        client.get_multiplexed_async_connection().await
    }

    /// The store URL for `issuer` or `verifier`.
    pub(super) fn url(&self, kind: &str, user: &str, places: &[String], path: &str) -> String {
        let mut parameters = Vec::new();
        if kind == "sentinel" {
            parameters.push("sentinel_user=services".to_owned());
            parameters.push(format!("sentinel_password={SERVICES_PASSWORD}"));
        }
        if let Some(Tls { authority, service, .. }) = &self.tls {
            parameters.push(format!("ca_file={}", authority.certificate().display()));
            parameters.push(format!("cert_file={}", service.certificate.display()));
            parameters.push(format!("key_file={}", service.key.display()));
        }
        let s = if self.tls.is_some() { "s" } else { "" };
        let (password, places) = (self.password(user), places.join(","));
        let parameters = parameters.join("&");
        format!("redis{s}+{kind}://{user}:{password}@{places}{path}?{parameters}")
    }

    /// `deploy/redis/sentinel.conf` for the primary at `place`.
    pub(super) fn sentinel(&self, place: &str) -> String {
        let (host, port) = place.rsplit_once(':').unwrap();
        include_str!("../../../deploy/redis/sentinel.conf")
            .replace("#PEERS_SHA256", &format!(">{PEERS_PASSWORD}"))
            .replace("PEERS_PASSWORD", PEERS_PASSWORD)
            .replace("#SERVICES_SHA256", &format!(">{SERVICES_PASSWORD}"))
            .replace("SENTINEL_PASSWORD", &self.password("sentinel"))
            .replace("PRIMARY_HOST 6379", &format!("{host} {port}"))
    }
}
