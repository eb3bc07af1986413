//! Signing keys that an operator brings, and the keys that seal them.

use std::{fs, process::Command};

use tempfile::TempDir;
use tessera_proto::v1::{
    DenialReason, ListSigningKeysRequest, RefreshRequest, SigningKey, SigningKeyState,
};
use tessera_tests::{
    ask::ask,
    cli::Cli,
    client::{self, Credentials},
    on_every_backend,
    service::{self, Place},
    system::{Backend, System, named},
    tools::succeed,
    watch::eventually,
};

on_every_backend!(
    an_operators_key_is_published_and_then_signs,
    a_key_encryption_key_is_replaced,
    another_key_encryption_key_is_refused_and_what_to_do_is_told,
    an_installation_goes_on_without_its_key_encryption_key,
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

/// An operator at a shell, who is let into the store.
fn operator(system: &mut System, backend: Backend) -> Cli {
    let cli = Cli::of(system);
    if backend == Backend::Embedded {
        return cli.and("TESSERA_STORE", &format!("embedded:{}", system.data().display()));
    }
    cli.and("TESSERA_STORE", &system.redis().url_as("issuer"))
}

async fn an_installation_goes_on_without_its_key_encryption_key(backend: Backend) {
    const LINE: &str = "admin drop-signing-keys --output json";
    let flags = ["--issuer-url", "https://issuer.test", "--key-encryption-key-command"];
    let with = |key| [&flags[..], &[key]].concat();
    let mut system = backend.start_with(&with("printf %064d 1")).await;
    let permanent = system.permanent(&system.admin().await, named("kept")).await.token;
    let user = system.user("Users").await;
    system.end().await;
    let operator = operator(&mut system, backend);
    operator.run(LINE).fails(2, "--yes");

    let (dir, place) = (TempDir::new().unwrap(), Place::free());
    let mut beside = (backend == Backend::Redis).then(|| {
        let url = system.redis().url_as("verifier");
        service::verifier("beside", &url, place, &[], dir.path())
    });
    if let Some(beside) = &mut beside {
        service::serving(beside, place.grpc).await;
    }
    let dropped = operator.run(&format!("{LINE} --yes")).json();
    assert_eq!(dropped["issuer_url"], "https://issuer.test", "{dropped}");
    assert_eq!(dropped["dropped"], 1, "{dropped}");
    operator.run(&format!("{LINE} --yes")).fails(64, "holds no signing keys");
    if beside.is_some() {
        let mut verifier = client::verifier(place.grpc);
        verifier.verify(ask(&permanent)).await.expect("no signing key is asked for it");
        eventually("no answer about access tokens", || {
            let (mut verifier, question) = (verifier.clone(), ask(&user.session.access_token));
            async move {
                let outage = verifier.verify(question).await.err()?;
                (outage.code() == tonic::Code::Unavailable).then_some(())
            }
        })
        .await;
    }

    system.set_issuer_flags(&with("printf %064d 2"));
    system.begin().await;
    system.verdict(ask(&permanent)).await.expect("a good token");
    let denial = system.verdict(ask(&user.session.access_token)).await.unwrap_err();
    assert_eq!(denial, DenialReason::BadSignature);
    let request = RefreshRequest { refresh_token: user.session.refresh_token };
    let session = system.issuer(&Credentials::none()).refresh(request).await.expect("a pair");
    system.verdict(ask(&session.into_inner().access_token)).await.expect("a good token");
    a_token_is_good(&system).await;
}
