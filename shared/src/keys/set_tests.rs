use ring::rand::SystemRandom;

use super::*;
use crate::keys::PrivateKey;

fn entry(algorithm: Algorithm, state: KeyState) -> KeyEntry {
    let key = PrivateKey::generate(algorithm, &SystemRandom::new()).unwrap();
    let created_at = Timestamp::from_millis(1_800_000_000_123);
    KeyEntry::new(key.public().clone(), state, created_at)
}

fn set(keys: Vec<KeyEntry>) -> KeySet {
    KeySet { issuer: "https://tessera.example".to_owned(), keys }
}

#[test]
fn a_set_reads_back_as_itself() {
    let mut set = set(vec![
        entry(Algorithm::EdDsa, KeyState::Retired),
        entry(Algorithm::Es256, KeyState::Signing),
        entry(Algorithm::Rs256, KeyState::Published),
    ]);
    set.keys[0].retired_at = Some(Timestamp::from_millis(1_800_000_000_999));
    set.keys[0].token_lifetime = Duration::from_mins(5);
    set.keys[2].signs_at = Timestamp::from_millis(1_800_000_040_000);
    set.keys[2].imported = true;
    assert_eq!(KeySet::from_bytes(&set.to_bytes()), Ok(set.clone()));
    assert_eq!(set.signing(), Some(&set.keys[1]));
    assert_eq!(set.by_kid(set.keys[2].public.kid()), Some(&set.keys[2]));
    assert_eq!(set.by_kid(""), None);
}

#[test]
fn a_record_of_the_first_version_reads_as_keys_that_may_sign_at_once() {
    let entry = entry(Algorithm::Es256, KeyState::Signing);
    let old = json!({"issuer": "i", "keys": [{
        "public": entry.public.jwk(), "state": "signing", "created_at": 1_800_000_000_123_i64,
    }]});
    let read = KeySet::from_bytes(old.to_string().as_bytes()).unwrap();
    assert_eq!(read.keys, [entry]);
}

#[test]
fn the_jwks_lists_ed25519_keys_last_and_nothing_but_jwks() {
    let set = set(vec![
        entry(Algorithm::EdDsa, KeyState::Signing),
        entry(Algorithm::Es256, KeyState::Published),
    ]);
    let document: Value = serde_json::from_str(&set.jwks_json()).unwrap();
    let expected = json!({"keys": [set.keys[1].public.jwk(), set.keys[0].public.jwk()]});
    assert_eq!(document, expected);
}

#[test]
fn a_set_with_two_signing_keys_or_one_key_twice_is_damaged() {
    let signing = entry(Algorithm::Es256, KeyState::Signing);
    let other = entry(Algorithm::Es256, KeyState::Signing);
    for keys in [vec![signing.clone(), other], vec![signing.clone(), signing]] {
        assert!(KeySet::from_bytes(&set(keys).to_bytes()).is_err());
    }
}

#[test]
fn junk_weak_keys_and_an_empty_issuer_are_damage() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, identity);
    let weak = json!({"issuer": "i", "keys": [{
        "public": {"kty": "OKP", "crv": "Ed25519", "x": weak},
        "state": "signing", "created_at": 1,
    }]});
    for bytes in ["", "[]", "{}", r#"{"issuer":"","keys":[]}"#, &weak.to_string()] {
        assert!(KeySet::from_bytes(bytes.as_bytes()).is_err(), "{bytes}");
    }
}
