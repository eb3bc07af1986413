//! Foreign programs that check access tokens by the JWKS, across a rotation of the
//! signing key with the publication delay that holds where nobody sets one.

use std::time::Duration;

use tessera_proto::v1::{ListSigningKeysRequest, RotateSigningKeyRequest, SigningKeyState};
use tessera_tests::{
    reader::Reader,
    system::{Backend, System},
    tools::{node, venv},
    watch::within,
};

/// The publication delay is 40 s.
const ROTATION: Duration = Duration::from_secs(120);

async fn foreign_libraries_follow_a_rotation(from: &str, to: &str) {
    let system = Backend::Embedded.start_with(&["--signing-algorithm", from]).await;
    let issuer = format!("http://{}", system.issuer_place().http);
    let arguments = [issuer.as_str(), "cdn"];
    let mut python = venv("python");
    python.arg("reader.py").args(arguments);
    let mut jose = node("reader.mjs");
    jose.args(arguments);
    let mut readers = [Reader::start(python), Reader::start(jose)];

    let before = system.admin_session().await.access_token;
    good_everywhere(&mut readers, &before).await;
    let made = rotate(&system, to).await;
    let readers = tokio::sync::Mutex::new(&mut readers);
    within(ROTATION, "a token of the new key, good at each reader", || async {
        let token = system.admin_session().await.access_token;
        good_everywhere(&mut readers.lock().await[..], &token).await;
        (token.split('.').next() != before.split('.').next()).then_some(())
    })
    .await;
    good_everywhere(&mut readers.lock().await[..], &before).await;
    let mut administration = system.administration(&system.admin().await);
    let keys =
        administration.list_signing_keys(ListSigningKeysRequest {}).await.unwrap().into_inner();
    let newest = keys.signing_keys.first().unwrap();
    assert_eq!((&newest.kid, newest.state()), (&made, SigningKeyState::Signing));
}

async fn good_everywhere(readers: &mut [Reader], token: &str) {
    for reader in readers {
        assert_eq!(reader.says_of(token).await, "good");
    }
}

async fn rotate(system: &System, algorithm: &str) -> String {
    let mut administration = system.administration(&system.admin().await);
    let request = RotateSigningKeyRequest { algorithm: algorithm.to_owned() };
    let made = administration.rotate_signing_key(request).await.unwrap().into_inner();
    made.signing_key.unwrap().kid
}

#[tokio::test]
async fn pyjwt_and_jose_follow_a_rotation() {
    foreign_libraries_follow_a_rotation("ES256", "ES256").await;
}

#[tokio::test]
async fn pyjwt_and_jose_follow_a_change_of_algorithm() {
    foreign_libraries_follow_a_rotation("RS256", "EdDSA").await;
}
