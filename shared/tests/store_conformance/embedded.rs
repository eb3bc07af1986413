use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use tempfile::TempDir;
use tessera_shared::{
    id::AccountId,
    store::{
        Index, Key, OpenError, StoreOptions, StoreReader, StoreUrl, StoreWriter, Swap,
        conformance::{self, Subject},
        embedded::{self, EmbeddedStore},
        open,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_store_conforms() {
    let dir = TempDir::new().unwrap();
    let store: Subject = Arc::new(EmbeddedStore::open(dir.path()).unwrap());
    conformance::run(&store).await.unwrap();
    // The suite needs no empty store.
    conformance::run(&store).await.unwrap();
}

#[tokio::test]
async fn reopened_store_has_its_data() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("made/anew");
    let index = Index::TokensOf(AccountId::FIRST);
    {
        let store = EmbeddedStore::open(&path).unwrap();
        assert_eq!(store.swap(&Key::Roles, None, Some(b"a"), None).await.unwrap(), Swap::Done);
        store.index_add(index, 7).await.unwrap();
    }
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(store.read(&[Key::Roles]).await.unwrap(), [Some(b"a".to_vec())]);
    assert_eq!(store.index_page(index, 0, 9).await.unwrap(), [7]);
}

#[tokio::test]
async fn clones_share_the_store() {
    let dir = TempDir::new().unwrap();
    let issuer = EmbeddedStore::open(dir.path()).unwrap();
    let verifier: Arc<dyn StoreReader> = Arc::new(issuer.clone());
    issuer.swap(&Key::KeySet, None, Some(b"keys"), None).await.unwrap();
    assert_eq!(verifier.read(&[Key::KeySet]).await.unwrap(), [Some(b"keys".to_vec())]);
    drop(issuer);
    assert_eq!(verifier.read(&[Key::KeySet]).await.unwrap(), [Some(b"keys".to_vec())]);
}

#[test]
fn second_opener_is_told_who_has_the_directory() {
    let dir = TempDir::new().unwrap();
    let first = EmbeddedStore::open(dir.path()).unwrap();
    let error = EmbeddedStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, embedded::OpenError::InUse(_)), "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(first);
    EmbeddedStore::open(dir.path()).unwrap();
}

#[test]
fn files_are_for_their_owner_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("data");
    let _store = EmbeddedStore::open(&path).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("tessera.redb")), 0o600);
}

#[test]
fn file_that_is_no_database_is_reported_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("tessera.redb");
    std::fs::write(&file, "something else").unwrap();
    let error = EmbeddedStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, embedded::OpenError::Damaged(..)), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"something else");
}

#[test]
fn directory_that_is_a_file_is_reported() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let url = StoreUrl::parse(&format!("embedded:{}", file.display())).unwrap();
    let error = open(&url, StoreOptions::default()).err().unwrap();
    assert!(matches!(error, OpenError::Embedded(embedded::OpenError::Io(..))), "{error}");
}
