use ring::rand::SystemRandom;

use super::*;
use crate::keys::PrivateKey;

/// The example of RFC 7638 section 3.1, without its `kid`.
fn rfc_7638_example() -> Value {
    json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
    })
}

/// The example of RFC 8037 appendix A.3.
fn rfc_8037_example() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn es256_jwk() -> Value {
    PrivateKey::generate(Algorithm::Es256, &SystemRandom::new()).unwrap().public().jwk()
}

fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

#[test]
fn the_kid_is_the_thumbprint_of_rfc_7638_and_of_rfc_8037() {
    let rsa = PublicKey::from_jwk(&rfc_7638_example()).unwrap();
    assert_eq!(rsa.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let ed25519 = PublicKey::from_jwk(&rfc_8037_example()).unwrap();
    assert_eq!(ed25519.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn the_signature_of_rfc_8037_verifies_and_a_changed_one_does_not() {
    let key = PublicKey::from_jwk(&rfc_8037_example()).unwrap();
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let mut signature = URL_SAFE_NO_PAD
        .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
        .unwrap();
    assert!(key.verifies(message, &signature));
    signature[0] ^= 1;
    assert!(!key.verifies(message, &signature));
}

#[test]
fn a_jwk_reads_back_as_the_same_key() {
    for jwk in [rfc_7638_example(), rfc_8037_example(), es256_jwk()] {
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(key.jwk()["use"], "sig");
        assert_eq!(key.jwk()["kid"], key.kid());
        assert_eq!(PublicKey::from_jwk(&key.jwk()).unwrap(), key);
    }
}

#[test]
fn what_is_no_public_key_for_us_is_refused() {
    let (rsa, ed25519, es256) = (rfc_7638_example(), rfc_8037_example(), es256_jwk());
    let short = URL_SAFE_NO_PAD.encode([4; 31]);
    let long = URL_SAFE_NO_PAD.encode([4; 33]);
    let refused = [
        json!(null),
        json!({}),
        json!({"kty": "oct", "k": "AAAA"}),
        with(rsa.clone(), "d", "AQAB"),
        with(rsa.clone(), "kid", "2011-04-29"),
        with(rsa.clone(), "alg", "HS256"),
        with(rsa.clone(), "alg", "PS256"),
        with(rsa.clone(), "use", "enc"),
        with(rsa.clone(), "e", "AAEAAQ"),
        with(rsa.clone(), "e", "AQAB="),
        with(rsa.clone(), "e", ""),
        with(rsa.clone(), "n", ""),
        with(rsa, "kty", "EC"),
        with(ed25519.clone(), "crv", "X25519"),
        with(ed25519.clone(), "x", short.as_str()),
        with(ed25519.clone(), "x", long.as_str()),
        with(ed25519, "x", 7),
        with(es256.clone(), "crv", "P-384"),
        with(es256.clone(), "x", short.as_str()),
        with(es256.clone(), "y", long.as_str()),
        // 65 bytes in all, and cut in the wrong place.
        with(with(es256, "x", short), "y", long),
    ];
    for jwk in refused {
        let refusal = PublicKey::from_jwk(&jwk);
        assert!(matches!(refusal, Err(KeyError::NotAPublicKey(_))), "{jwk}: {refusal:?}");
    }
}

#[test]
fn weak_keys_are_refused() {
    let rsa = rfc_7638_example();
    let mut bits_2047 = [0xff; 256];
    bits_2047[0] = 0x7f;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = [
        with(rsa.clone(), "n", encode(&bits_2047)),
        with(rsa.clone(), "n", encode(&[0xff; 513])),
        with(rsa.clone(), "n", encode(&[0xfe; 256])),
        with(rsa.clone(), "e", encode(&[3])),
        with(rsa.clone(), "e", encode(&[1])),
        with(rsa.clone(), "e", encode(&[1, 0, 2])),
        with(rsa, "e", encode(&[1; 6])),
        with(rfc_8037_example(), "x", encode(&identity)),
        with(rfc_8037_example(), "x", encode(&[0; 32])),
    ];
    for jwk in weak {
        let refusal = PublicKey::from_jwk(&jwk);
        assert!(matches!(refusal, Err(KeyError::Weak(_))), "{jwk}: {refusal:?}");
    }
}

#[test]
fn an_ec_key_off_the_curve_verifies_nothing() {
    let jwk = with(es256_jwk(), "y", URL_SAFE_NO_PAD.encode([9; 32]));
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"]});
    let key = PublicKey::from_jwk(&jwk).unwrap();
    assert!(!key.verifies(b"message", &[1; 64]));
}
