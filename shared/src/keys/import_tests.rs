use ring::rand::SystemRandom;
use rsa::{
    RsaPrivateKey,
    pkcs8::DecodePrivateKey as _,
    traits::{PrivateKeyParts, PublicKeyParts},
};
use serde_json::json;

use super::*;
use crate::keys::Algorithm;

/// RFC 7517, appendix A.2.
const RFC_7517_EC: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","use":"enc","kid":"1"}"#;
/// RFC 8037, appendix A.1.
const RFC_8037: &str = r#"{"kty":"OKP","crv":"Ed25519",
    "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn pem(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

#[test]
fn pem_of_each_algorithm_is_the_key_itself() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let key = PrivateKey::generate(algorithm, &SystemRandom::new()).unwrap();
        let imported = PrivateKey::import(pem("PRIVATE KEY", key.pkcs8_der()).as_bytes()).unwrap();
        assert_eq!(imported.public(), key.public());
    }
}

#[test]
fn the_keys_of_the_rfcs_are_read_and_named_by_their_thumbprint() {
    let ed25519 = PrivateKey::import(RFC_8037.as_bytes()).unwrap();
    assert_eq!(ed25519.public().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let ec = RFC_7517_EC.replace(r#""use":"enc","#, "");
    let ec = PrivateKey::import(ec.as_bytes()).unwrap();
    assert_eq!(ec.algorithm(), Algorithm::Es256);
    assert_ne!(ec.public().kid(), "1");
    let unusable = PrivateKey::import(RFC_7517_EC.as_bytes()).unwrap_err();
    assert_eq!(unusable, ImportError::NotToSign, "it is to encrypt with");
}

#[test]
fn an_rsa_key_is_read_with_its_primes_in_either_order() {
    let key = PrivateKey::generate(Algorithm::Rs256, &SystemRandom::new()).unwrap();
    let parts = RsaPrivateKey::from_pkcs8_der(key.pkcs8_der()).unwrap();
    let text = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
    let [p, q] = [0, 1].map(|index| text(&parts.primes()[index]));
    for (p, q) in [(&p, &q), (&q, &p)] {
        let jwk = json!({"kty": "RSA", "alg": "RS256", "n": text(parts.n()), "e": text(parts.e()),
            "d": text(parts.d()), "p": p, "q": q});
        let imported = PrivateKey::import(jwk.to_string().as_bytes()).unwrap();
        assert_eq!(imported.public(), key.public());
    }
    let swapped = vec![parts.primes()[1].clone(), parts.primes()[0].clone()];
    let swapped = RsaPrivateKey::from_components(
        parts.n().clone(),
        parts.e().clone(),
        parts.d().clone(),
        swapped,
    )
    .unwrap();
    let der = rsa::pkcs8::EncodePrivateKey::to_pkcs8_der(&swapped).unwrap();
    let imported = PrivateKey::import(pem("PRIVATE KEY", der.as_bytes()).as_bytes()).unwrap();
    assert_eq!(imported.public(), key.public());
}

#[test]
fn a_private_half_of_another_key_is_refused() {
    let other = "AAGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    let wrong = RFC_8037.replace("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", other);
    assert!(matches!(PrivateKey::import(wrong.as_bytes()).unwrap_err(), ImportError::Unusable(_)));
    let ec = RFC_7517_EC.replace(r#""use":"enc","#, "");
    let wrong = ec.replace("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE", other);
    assert!(matches!(PrivateKey::import(wrong.as_bytes()).unwrap_err(), ImportError::Unusable(_)));
}

#[test]
fn a_jwk_that_is_for_something_else_is_refused() {
    let with = |members: &str| RFC_8037.replacen('{', &format!("{{{members},"), 1);
    let fine = [
        r#""use":"sig""#,
        r#""key_ops":["sign","verify"]"#,
        r#""alg":"EdDSA""#,
        r#""alg":"Ed25519""#,
    ];
    for members in fine {
        PrivateKey::import(with(members).as_bytes()).unwrap();
    }
    for members in [r#""use":"enc""#, r#""key_ops":["verify"]"#, r#""key_ops":[]"#, r#""use":1"#] {
        let refused = PrivateKey::import(with(members).as_bytes()).unwrap_err();
        assert_eq!(refused, ImportError::NotToSign, "{members}");
    }
    for other in [r#""alg":"RS256""#, r#""alg":"Ed448""#, r#""alg":"""#] {
        let other = PrivateKey::import(with(other).as_bytes()).unwrap_err();
        assert!(matches!(other, ImportError::Unusable(_)), "{other}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let key = PrivateKey::generate(Algorithm::EdDsa, &SystemRandom::new()).unwrap();
    for text in [pem("PRIVATE KEY", key.pkcs8_der()), RFC_8037.to_owned()] {
        let marked = format!("\u{feff}{text}");
        let imported = PrivateKey::import(marked.as_bytes()).unwrap();
        assert_eq!(imported.public(), PrivateKey::import(text.as_bytes()).unwrap().public());
    }
}

#[test]
fn of_pem_with_more_than_a_key_the_key_is_taken_and_of_two_none() {
    let keys = [0, 1].map(|_| {
        let key = PrivateKey::generate(Algorithm::EdDsa, &SystemRandom::new()).unwrap();
        (key.public().clone(), pem("PRIVATE KEY", key.pkcs8_der()))
    });
    let (certificate, key) = (pem("CERTIFICATE", b"x"), &keys[0].1);
    for text in [
        format!("{certificate}{key}"),
        format!("{key}{certificate}{certificate}"),
        format!("# whose it is\nBag Attributes\n{key}"),
        key.replace('\n', "\r\n"),
    ] {
        let imported = PrivateKey::import(text.as_bytes()).unwrap();
        assert_eq!(*imported.public(), keys[0].0, "{text}");
    }
    let two = format!("{}{}", keys[0].1, keys[1].1);
    assert_eq!(PrivateKey::import(two.as_bytes()).unwrap_err(), ImportError::Several);
}

#[test]
fn what_is_no_key_for_us_says_what_to_do() {
    let public =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    for (text, expected) in [
        ("", ImportError::NotAKey),
        ("hunter2", ImportError::NotAKey),
        ("{\"d\": ", ImportError::NotAKey),
        (public, ImportError::NotAKey),
        (&pem("CERTIFICATE", b"x"), ImportError::NotAKey),
        (&pem("ENCRYPTED PRIVATE KEY", b"x"), ImportError::Encrypted),
        (&pem("EC PRIVATE KEY", b"x"), ImportError::OldForm),
        (&pem("RSA PRIVATE KEY", b"x"), ImportError::OldForm),
        (&pem("PRIVATE KEY", b"x"), ImportError::Unusable(KeyError::NotAPrivateKey)),
    ] {
        assert_eq!(PrivateKey::import(text.as_bytes()).unwrap_err(), expected, "{text}");
    }
    assert_eq!(PrivateKey::import(&[0x30, 0x81]).unwrap_err(), ImportError::Binary);
    let short = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB", "p": "Aw", "q": "Aw"});
    let short = PrivateKey::import(short.to_string().as_bytes()).unwrap_err();
    assert!(matches!(short, ImportError::Unusable(KeyError::Weak(_))), "{short}");
}
