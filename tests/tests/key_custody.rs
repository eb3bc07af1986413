//! Signing keys that an operator brings, and the keys that seal them.

use std::{fs, process::Command};

use tempfile::TempDir;
use tessera_proto::v1::{ListSigningKeysRequest, SigningKey, SigningKeyState};
use tessera_tests::{
    ask::ask,
    on_every_backend,
    service::{self, Place},
    system::{Backend, System},
    tools::succeed,
    watch::eventually,
};

on_every_backend!(
    an_operators_key_is_published_and_then_signs,
    a_key_encryption_key_is_replaced,
    another_key_encryption_key_is_refused_and_what_to_do_is_told,
);

async fn signing_keys(system: &System) -> Vec<SigningKey> {
    let mut administration = system.administration(&system.admin().await);
    let answer = administration.list_signing_keys(ListSigningKeysRequest {}).await.unwrap();
    answer.into_inner().signing_keys
}

async fn a_token_is_good(system: &System) {
    let token = system.admin_session().await.access_token;
    system.verdict(ask(&token)).await.expect("a good token");
}

async fn an_operators_key_is_published_and_then_signs(backend: Backend) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("key.pem");
    let mut openssl = Command::new("openssl");
    let curve = ["-pkeyopt", "ec_paramgen_curve:P-256"];
    succeed(openssl.args(["genpkey", "-algorithm", "EC", "-out"]).arg(&file).args(curve));
    let flags = ["--key-publication-delay", "3s", "--import-signing-key-file"];
    let flags = [&flags[..], &[file.to_str().unwrap()]].concat();
    let mut system = backend.start_with(&flags).await;
    let imported = signing_keys(&system).await.into_iter().find(|key| key.imported).unwrap();
    eventually("the imported key signs", || async {
        let keys = signing_keys(&system).await;
        let key = keys.into_iter().find(|key| key.kid == imported.kid).unwrap();
        (key.state() == SigningKeyState::Signing).then_some(())
    })
    .await;
    a_token_is_good(&system).await;
    system.end().await;
    system.begin().await;
    let keys = signing_keys(&system).await;
    assert_eq!(keys.iter().filter(|key| key.imported).count(), 1, "it is published once");
    a_token_is_good(&system).await;
}

async fn a_key_encryption_key_is_replaced(backend: Backend) {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("tessera.toml");
    fs::write(&config, format!("other-key-encryption-keys = '{:064}'\n", 1)).unwrap();
    let [old, new] = [1, 2].map(|key| format!("printf %064d {key}"));
    let command = "--key-encryption-key-command";
    let mut system = backend.start_with(&[command, &old]).await;
    let kid = signing_keys(&system).await.remove(0).kid;
    for flags in [
        &[command, &new, "--config", config.to_str().unwrap()][..],
        &[command, &new], // The old one is needed no more.
    ] {
        system.end().await;
        system.set_issuer_flags(flags);
        system.begin().await;
        a_token_is_good(&system).await;
        assert_eq!(signing_keys(&system).await.remove(0).kid, kid);
    }
}

async fn another_key_encryption_key_is_refused_and_what_to_do_is_told(backend: Backend) {
    let (dir, place) = (TempDir::new().unwrap(), Place::free());
    let command = "--key-encryption-key-command";
    let mut system = backend.start_with(&[command, "printf %064d 1"]).await;
    let other = [command, "printf %064d 2"].map(str::to_owned);
    for flags in [&other[..], &[]] {
        let mut refused = if backend == Backend::Redis {
            // Beside the one that holds the right key, which minds nothing of it.
            service::issuer(&system.redis().url_as("issuer"), place, flags, dir.path())
        } else {
            system.end().await;
            service::up(&system.data(), place, Place::free(), flags, dir.path())
        };
        assert_eq!(refused.exit().await.code(), Some(64), "{}", refused.log());
        let said = refused.log();
        for part in ["the private key is sealed", "TESSERA_OTHER_KEY_ENCRYPTION_KEYS"] {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
        if backend == Backend::Embedded {
            system.begin().await;
        }
        a_token_is_good(&system).await;
    }
}
