use jsonwebtoken::{
    Header, Validation, decode, encode,
    jwk::{Jwk, ThumbprintHash},
};
use serde_json::{Value, json};

use super::*;
use crate::keys::{self, PrivateKey};

const ALGORITHMS: [(keys::Algorithm, Algorithm); 3] = [
    (keys::Algorithm::Es256, Algorithm::ES256),
    (keys::Algorithm::EdDsa, Algorithm::EdDSA),
    (keys::Algorithm::Rs256, Algorithm::RS256),
];

fn encoding_key(key: &PrivateKey) -> EncodingKey {
    match key.algorithm() {
        keys::Algorithm::Es256 => EncodingKey::from_ec_der(key.pkcs8_der()),
        keys::Algorithm::EdDsa => EncodingKey::from_ed_der(key.pkcs8_der()),
        keys::Algorithm::Rs256 => EncodingKey::from_rsa_der(key.pkcs8_der()),
    }
}

#[test]
fn the_library_reads_what_it_wrote_with_each_algorithm() {
    install();
    install();
    for (ours, theirs) in ALGORITHMS {
        let key = PrivateKey::generate(ours, &SystemRandom::new()).unwrap();
        let claims = json!({"exp": 4_000_000_000_u64});
        let token = encode(&Header::new(theirs), &claims, &encoding_key(&key)).unwrap();
        let jwk: Jwk = serde_json::from_value(key.public().jwk()).unwrap();
        let decoding_key = DecodingKey::from_jwk(&jwk).unwrap();
        let read = decode::<Value>(&token, &decoding_key, &Validation::new(theirs)).unwrap();
        assert_eq!(read.claims, claims);
    }
}

#[test]
fn the_library_finds_the_public_half_and_the_thumbprint_that_we_do() {
    install();
    for (ours, theirs) in ALGORITHMS {
        let key = PrivateKey::generate(ours, &SystemRandom::new()).unwrap();
        let found = Jwk::from_encoding_key(&encoding_key(&key), theirs);
        // The library cuts an Ed25519 seed out of the DER before it asks, which is
        // no key that ring reads: an error, and no panic.
        if let Ok(jwk) = found {
            assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), key.public().kid());
        } else {
            assert_eq!(theirs, Algorithm::EdDSA);
        }
    }
}

#[test]
fn other_algorithms_and_other_keys_are_errors() {
    let secret = EncodingKey::from_secret(b"secret");
    assert!(signer(&Algorithm::HS256, &secret).is_err());
    assert!(signer(&Algorithm::ES256, &secret).is_err());
    assert!(verifier(&Algorithm::HS256, &DecodingKey::from_secret(b"secret")).is_err());
    for (_, algorithm) in ALGORITHMS {
        for junk in [
            EncodingKey::from_ec_der(b"junk"),
            EncodingKey::from_ed_der(b"junk"),
            EncodingKey::from_rsa_der(b"junk"),
        ] {
            assert!(signer(&algorithm, &junk).is_err());
        }
    }
    assert!(rsa_public_of_public(b"junk").is_err());
    assert!(ec_public_of_private(b"junk", Algorithm::ES384).is_err());
    assert!(ed_public_of_private(b"junk", &EllipticCurve::P256).is_err());
}
