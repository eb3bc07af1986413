//! Signatures that are not the named key's, and one that is in another spelling.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    super::tests::{EXPIRES_AT, ISSUED_AT, verifying},
    Forge, Rejection, verify,
};

#[test]
fn a_signature_that_is_not_the_keys_is_refused() {
    let forge = Forge::new();
    let good = forge.sign(forge.header().as_bytes(), forge.claims().as_bytes());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut flipped = bytes.clone();
    flipped[10] ^= 1;
    let swapped = [&bytes[32..], &bytes[..32]].concat();
    let der = [&[0x30, 0x44, 0x02, 0x20], &bytes[..32], &[0x02, 0x20], &bytes[32..]].concat();
    for signature in [
        vec![],
        vec![0; 64],
        vec![0xff; 64],
        [vec![0; 63], vec![1]].concat(),
        bytes[..63].to_vec(),
        [&bytes[..], &[0]].concat(),
        flipped,
        swapped,
        der,
        vec![0; 4096],
    ] {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        forge.refuses("signature", &token, Rejection::BadSignature);
    }
    let (header, _) = message.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(forge.claims_with("sub", r#""1""#));
    let spliced = format!("{header}.{other}.{signature}");
    forge.refuses("another payload", &spliced, Rejection::BadSignature);
}

#[test]
fn another_key_does_not_sign_for_the_named_one() {
    let (forge, mallory) = (Forge::new(), Forge::new());
    let token = mallory.sign(forge.header().as_bytes(), forge.claims().as_bytes());
    forge.refuses("another key", &token, Rejection::BadSignature);
    // Both keys are held, and the header names the wrong one.
    let keys = verifying(&[&forge.key, &mallory.key]);
    assert_eq!(verify(&token, &keys, ISSUED_AT), Err(Rejection::BadSignature));
}

#[test]
fn nothing_is_told_of_claims_before_the_signature_is_good() {
    let forge = Forge::new();
    for claims in [
        forge.claims_with("exp", "1"),
        forge.claims_with("iss", r#""https://evil.example""#),
        forge.claims_with("nbf", "9000000000"),
        "not even JSON".to_owned(),
    ] {
        let signed = forge.sign(forge.header().as_bytes(), claims.as_bytes());
        let (message, _) = signed.rsplit_once('.').unwrap();
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode([1; 64]));
        forge.refuses(&claims, &token, Rejection::BadSignature);
    }
}

#[test]
fn an_es256_token_has_a_second_spelling_that_says_the_same() {
    // n - s verifies too: why nothing may be keyed by a token's bytes.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let forge = Forge::new();
    let good = forge.sign(forge.header().as_bytes(), forge.claims().as_bytes());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for (order, byte) in ORDER.iter().zip(&mut bytes[32..]).rev() {
        let difference = i16::from(*order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let twin = format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_ne!(twin, good);
    assert_eq!(forge.verdict(&twin), forge.verdict(&good));
    assert_eq!(forge.verdict(&twin).unwrap().expires_at(), EXPIRES_AT);
}
