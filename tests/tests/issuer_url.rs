//! The name in which access tokens are issued: one for all issuers over a store, and
//! replaced on purpose alone.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tessera_tests::{
    ask::ask,
    http::fetch,
    on_every_backend,
    process::Process,
    service::{self, Place},
    system::{Backend, System},
    watch::eventually,
};

on_every_backend!(
    another_issuer_url_is_refused,
    without_one_the_url_in_the_store_stands,
    an_issuer_url_is_replaced_by_who_names_the_former_one,
);

const URL: [&str; 2] = ["--issuer-url", "https://tessera.example"];

/// One more issuer over the same store; over an embedded one, the next.
async fn next(system: &mut System, flags: &[&str], dir: &Path) -> (Process, Place) {
    let place = Place::free();
    let owned: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    if system.verifier_places().len() > 1 {
        return (service::issuer(&system.redis().url(), place, &owned, dir), place);
    }
    system.end().await;
    (service::up(&system.data(), place, Place::free(), &owned, dir), place)
}

/// The `iss` of the access tokens, as others are told it.
async fn issuer_of(place: Place) -> Value {
    let page = fetch(place.http, "/.well-known/openid-configuration").await;
    serde_json::from_str::<Value>(&page.body).unwrap()["issuer"].clone()
}

async fn another_issuer_url_is_refused(backend: Backend) {
    let mut system = backend.start_with(&URL).await;
    let dir = TempDir::new().unwrap();
    for former in [&[][..], &["--former-issuer-url", "https://neither.example"]] {
        let flags = [&["--issuer-url", "https://other.example"], former].concat();
        let (mut other, _) = next(&mut system, &flags, dir.path()).await;
        assert_eq!(other.exit().await.code(), Some(64), "{}", other.log());
        let said = other.log();
        for part in [
            "--issuer-url: the access tokens of this store are issued in the name of https://tessera.example",
            "not of https://other.example",
            "--former-issuer-url https://tessera.example",
        ] {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
        if backend == Backend::Embedded {
            system.begin().await;
        }
    }
    assert_eq!(issuer_of(system.issuer_place()).await, "https://tessera.example");
}

async fn without_one_the_url_in_the_store_stands(backend: Backend) {
    let mut system = backend.start_with(&URL).await;
    let token = system.admin_session().await.access_token;
    let dir = TempDir::new().unwrap();
    let (mut other, place) = next(&mut system, &[], dir.path()).await;
    service::serving(&mut other, place.grpc).await;
    assert_eq!(issuer_of(place).await, "https://tessera.example");
    drop(other);
    if backend == Backend::Embedded {
        system.begin().await;
    }
    system.verdict(ask(&token)).await.expect("a token in the name that stands");
}

async fn an_issuer_url_is_replaced_by_who_names_the_former_one(backend: Backend) {
    let mut system = backend.start_with(&URL).await;
    let dir = TempDir::new().unwrap();
    let flags = ["--issuer-url", "https://new.example", "--former-issuer-url", URL[1]];
    // Twice: the setting may stay, and does nothing more.
    for _ in 0..2 {
        let (mut other, place) = next(&mut system, &flags, dir.path()).await;
        service::serving(&mut other, place.grpc).await;
        assert_eq!(issuer_of(place).await, "https://new.example");
        drop(other);
        system.set_issuer_flags(&flags);
        if backend == Backend::Embedded {
            system.begin().await;
        }
    }
    // An issuer that was running takes the new name within a second.
    eventually("a token in the new name", || async {
        let token = system.admin_session().await.access_token;
        system.verdict(ask(&token)).await.ok().map(drop)
    })
    .await;
}
