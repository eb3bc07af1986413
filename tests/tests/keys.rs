//! Signing keys, as seen from outside.

use std::collections::HashSet;

use serde_json::Value;
use tessera_proto::v1::{ListSigningKeysRequest, RetireSigningKeyRequest, SigningKeyState};
use tessera_tests::{
    ask::ask,
    http::fetch,
    on_every_backend,
    system::{Backend, System},
};

on_every_backend!(the_key_set_holds_public_keys_alone, the_only_signing_key_does_not_retire,);

async fn key_ids(system: &System) -> HashSet<String> {
    let answer = fetch(system.issuer_place().http, "/.well-known/jwks.json").await;
    let set: Value = serde_json::from_str(&answer.body).unwrap();
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn the_key_set_holds_public_keys_alone(backend: Backend) {
    let system = backend.start().await;
    let places = std::iter::once(system.issuer_place()).chain(system.verifier_places().to_vec());
    let mut sets = Vec::new();
    for place in places {
        let answer = fetch(place.http, "/.well-known/jwks.json").await;
        assert_eq!(answer.status, 200);
        let set: Value = serde_json::from_str(&answer.body).unwrap();
        for key in set["keys"].as_array().unwrap() {
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(key.get(private).is_none(), "{private} in a public key");
            }
            let named = (key["alg"].as_str(), key["use"].as_str(), key["crv"].as_str());
            assert_eq!(named, (Some("ES256"), Some("sig"), Some("P-256")));
        }
        sets.push(set);
    }
    assert!(sets.iter().all(|set| *set == sets[0]), "the verifiers serve the same set");

    let mut administration = system.administration(&system.admin().await);
    let keys = administration.list_signing_keys(ListSigningKeysRequest {}).await.unwrap();
    let keys = keys.into_inner().signing_keys;
    let listed: HashSet<_> = keys.iter().map(|key| key.kid.clone()).collect();
    assert_eq!(listed, key_ids(&system).await);
    let signing = keys.iter().filter(|key| key.state() == SigningKeyState::Signing).count();
    assert_eq!(signing, 1);
}

/// A new access token, and before it its header, which names the key.
async fn header_and_token(system: &System) -> (String, String) {
    let token = system.admin_session().await.access_token;
    let header = token.split('.').next().unwrap().to_owned();
    (header, token)
}

async fn the_only_signing_key_does_not_retire(backend: Backend) {
    let system = backend.start().await;
    let mut administration = system.administration(&system.admin().await);
    let keys = administration.list_signing_keys(ListSigningKeysRequest {}).await.unwrap();
    let only = keys.into_inner().signing_keys.remove(0);
    // With no other key to sign with, there would be a gap.
    let request = RetireSigningKeyRequest { kid: only.kid, now: false };
    administration.retire_signing_key(request).await.expect_err("the only key");
    let (_, token) = header_and_token(&system).await;
    system.verdict(ask(&token)).await.expect("tokens are made as before");
}
