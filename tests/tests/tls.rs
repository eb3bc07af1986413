//! The listeners' certificate: gRPC and HTTP speak TLS with it, and a bad one is a bad
//! setting.

use std::{fs, net::SocketAddr, path::Path};

use tempfile::TempDir;
use tessera_tests::{
    process::{Process, built, clean},
    service::{self, Place},
    tls::Authority,
    tools::{run, succeed, venv},
    watch::eventually,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What the program says that was started so, and ends with 64.
async fn refused(mut process: Process) -> String {
    let status = process.exit().await;
    assert_eq!(status.code(), Some(64), "{}", process.log());
    process.log()
}

/// Files that can't be used, each beside a name for the test, and what is said of them.
fn wrong_files(authority: &Authority, dir: &Path) -> Vec<([String; 2], String)> {
    let good = (authority.server_certificate(), authority.server_key());
    let (cert, key) = (good.0.display().to_string(), good.1.display().to_string());
    let other = Authority::new();
    let file = |name: &str, content: &str| {
        let path = dir.join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let other_key = file("other.key", &fs::read_to_string(other.server_key()).unwrap());
    let junk = file("junk.pem", "this is no PEM at all\n");
    let empty = file("empty.pem", "");
    let broken = file("broken.pem", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n");
    let hollow =
        file("hollow.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let hollow_key =
        file("hollow.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let encrypted = dir.join("encrypted.key").display().to_string();
    let mut openssl = clean(Path::new("openssl"));
    openssl.args(["pkcs8", "-topk8", "-passout", "pass:secret", "-in", &key, "-out", &encrypted]);
    succeed(&mut openssl);
    let none = dir.join("none").display().to_string();

    let cert_says = |file: &str, what: &str| format!("--tls-cert-file: {file}: {what}");
    let key_says = |file: &str, what: &str| format!("--tls-key-file: {file}: {what}");
    let no_cert = "no certificate in it";
    let no_key = "no private key in it";
    vec![
        ([none.clone(), key.clone()], cert_says(&none, "can't read it: No such file")),
        ([junk.clone(), key.clone()], cert_says(&junk, no_cert)),
        ([empty.clone(), key.clone()], cert_says(&empty, no_cert)),
        ([key.clone(), key.clone()], cert_says(&key, no_cert)),
        ([broken.clone(), key.clone()], cert_says(&broken, "not PEM")),
        ([hollow.clone(), key.clone()], cert_says(&hollow, "not a certificate for TLS")),
        ([cert.clone(), none.clone()], key_says(&none, "can't read it: No such file")),
        ([cert.clone(), junk.clone()], key_says(&junk, no_key)),
        ([cert.clone(), cert.clone()], key_says(&cert, no_key)),
        ([cert.clone(), hollow_key.clone()], key_says(&hollow_key, "not a key for TLS")),
        (
            [cert.clone(), encrypted.clone()],
            key_says(&encrypted, "the private key in it is encrypted"),
        ),
        (
            [cert.clone(), other_key.clone()],
            key_says(&other_key, &format!("not the key of the certificate in {cert}")),
        ),
    ]
}

/// What Python gets from `https://` there, if it trusts this authority alone.
async fn fetch(address: SocketAddr, path: &str, authority: &Authority) -> String {
    let script = "import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
print(urllib.request.urlopen(sys.argv[1], context=context, timeout=60).read().decode())";
    let mut python = venv("python");
    python.args(["-c", script, &format!("https://{address}{path}")]);
    python.arg(authority.certificate());
    tokio::task::spawn_blocking(move || succeed(&mut python)).await.unwrap()
}

#[tokio::test]
async fn both_faces_of_both_services_speak_tls_and_silent_callers_hold_up_nobody() {
    let (authority, dir) = (Authority::new(), TempDir::new().unwrap());
    let (issuer, verifier) = (Place::free(), Place::free());
    let files = [authority.server_certificate(), authority.server_key()];
    let [cert, key] = files.map(|path| path.display().to_string());
    let flags = ["--tls-cert-file", &cert, "--tls-key-file", &key].map(str::to_owned);
    let mut up = service::up(&dir.path().join("data"), issuer, verifier, &flags, dir.path());
    for place in [issuer, verifier] {
        eventually("SERVING over TLS", || {
            assert!(up.ended().is_none(), "{}", up.log());
            let mut health = clean(&built("tessera"));
            health.args(["health", &format!("https://{}", place.grpc)]);
            health.arg("--ca-file").arg(authority.certificate());
            std::future::ready(run(&mut health).status.success().then_some(()))
        })
        .await;
        // One handshake at a time, these would take ten minutes until they are let go.
        let mut silent = Vec::new();
        for _ in 0..60 {
            silent.push(TcpStream::connect(place.http).await.unwrap());
        }
        let keys = fetch(place.http, "/.well-known/jwks.json", &authority).await;
        assert!(keys.contains("\"kid\""), "{keys}");
        assert_eq!(fetch(place.http, "/readyz", &authority).await.trim(), "ready");
        // Plaintext gets no answer, which is no HTTP either.
        let mut plain = TcpStream::connect(place.http).await.unwrap();
        plain.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP/"), "{answer:?}");
    }
    let metadata = fetch(issuer.http, "/.well-known/openid-configuration", &authority).await;
    let url = format!("https://{}", issuer.http);
    assert!(metadata.contains(&format!("\"issuer\":\"{url}\"")), "{metadata}");
}

#[tokio::test]
async fn a_certificate_that_can_not_be_used_is_named_with_what_is_wrong() {
    let (authority, dir) = (Authority::new(), TempDir::new().unwrap());
    for (number, ([cert, key], says)) in wrong_files(&authority, dir.path()).iter().enumerate() {
        let flags = ["--tls-cert-file", cert, "--tls-key-file", key].map(str::to_owned);
        let logs = TempDir::new().unwrap();
        let store = format!("embedded:{}", logs.path().join("data").display());
        let process = match number % 3 {
            0 => service::issuer(&store, Place::free(), &flags, logs.path()),
            1 => service::verifier(
                "verifier",
                "redis://127.0.0.1:1",
                Place::free(),
                &flags,
                logs.path(),
            ),
            _ => service::up(
                &logs.path().join("data"),
                Place::free(),
                Place::free(),
                &flags,
                logs.path(),
            ),
        };
        let said = refused(process).await;
        assert!(said.contains(says), "{number}: {said}\nand not: {says}");
    }
}
