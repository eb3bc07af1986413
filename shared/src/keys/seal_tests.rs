use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;

use super::*;
use crate::keys::Algorithm;

fn private_key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::generate(algorithm, &SystemRandom::new()).unwrap()
}

fn encryption_key(byte: u8) -> KeyEncryptionKey {
    KeyEncryptionKey(Zeroizing::new([byte; 32]))
}

#[test]
fn a_sealed_key_opens_with_its_encryption_key_alone() {
    let rng = SystemRandom::new();
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let key = private_key(algorithm);
        let kid = key.public().kid();
        let record = seal(&key, Some(&encryption_key(1)), &rng).unwrap();
        assert!(is_sealed(&record));
        let opened = open(&record, kid, Some(&encryption_key(1))).unwrap();
        assert_eq!(opened.pkcs8_der(), key.pkcs8_der());
        assert_eq!(open(&record, kid, None).unwrap_err(), SealError::KeyMissing);
        let wrong = open(&record, kid, Some(&encryption_key(2)));
        assert_eq!(wrong.unwrap_err(), SealError::WrongKey);
    }
}

#[test]
fn a_plain_record_opens_with_and_without_an_encryption_key() {
    let key = private_key(Algorithm::Es256);
    let record = seal(&key, None, &SystemRandom::new()).unwrap();
    assert!(!is_sealed(&record));
    for encryption_key in [None, Some(&encryption_key(1))] {
        assert!(open(&record, key.public().kid(), encryption_key).is_ok());
    }
}

#[test]
fn a_record_opens_only_under_the_kid_it_was_made_for() {
    let (key, other) = (private_key(Algorithm::EdDsa), private_key(Algorithm::EdDsa));
    for encryption_key in [None, Some(&encryption_key(1))] {
        let record = seal(&key, encryption_key, &SystemRandom::new()).unwrap();
        let opened = open(&record, other.public().kid(), encryption_key);
        assert_eq!(opened.unwrap_err(), SealError::Damaged);
    }
}

#[test]
fn no_byte_of_a_sealed_record_can_be_changed_or_cut() {
    let key = private_key(Algorithm::Es256);
    let kid = key.public().kid();
    let sealed = seal(&key, Some(&encryption_key(1)), &SystemRandom::new()).unwrap();
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 1;
        assert!(open(&changed, kid, Some(&encryption_key(1))).is_err(), "byte {position}");
        let cut = &sealed[..position];
        assert!(open(cut, kid, Some(&encryption_key(1))).is_err(), "cut at {position}");
    }
}

#[test]
fn a_sealed_record_does_not_contain_the_secret_and_no_two_are_alike() {
    let key = private_key(Algorithm::EdDsa);
    let rng = SystemRandom::new();
    let [one, two] = [0, 1].map(|_| seal(&key, Some(&encryption_key(1)), &rng).unwrap());
    assert_ne!(one, two);
    let seed = &key.pkcs8_der()[16..48];
    assert!(!one.windows(seed.len()).any(|window| window == seed));
}

#[test]
fn an_encryption_key_is_read_from_hex_and_from_every_base64() {
    let bytes = [0xfb; 32];
    let texts = [
        "fb".repeat(32),
        "FB".repeat(32) + "\n",
        STANDARD.encode(bytes),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
    ];
    for text in texts {
        let key: KeyEncryptionKey = text.parse().unwrap();
        assert_eq!(*key.0, bytes, "{text}");
        assert_eq!(format!("{key:?}"), "KeyEncryptionKey(redacted)");
    }
}

#[test]
fn what_is_not_32_bytes_is_no_encryption_key() {
    let texts =
        [String::new(), "fb".repeat(31), "xy".repeat(32), "é".repeat(32), STANDARD.encode([1; 31])];
    for text in texts {
        assert_eq!(text.parse::<KeyEncryptionKey>().unwrap_err(), NotAKeyEncryptionKey, "{text}");
    }
}
