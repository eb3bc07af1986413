//! The key-encryption keys of an issuer: the one that seals, and those that open
//! besides while it is being replaced.

use ring::rand::SecureRandom;

use super::{KeyEncryptionKey, PrivateKey, SealError, open, seal};

/// The key that seals, and others whose records are still to be sealed anew.
#[derive(Debug, Default)]
pub struct EncryptionKeys {
    /// Seals, and opens. `None`: private keys lie plain, which is for development.
    pub present: Option<KeyEncryptionKey>,
    /// Open, and never seal.
    pub others: Vec<KeyEncryptionKey>,
}

impl EncryptionKeys {
    /// The record of `key`, under the present key.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    pub fn seal(&self, key: &PrivateKey, rng: &dyn SecureRandom) -> Result<Vec<u8>, SealError> {
        seal(key, self.present.as_ref(), rng)
    }

    /// The private key named `kid`, out of its record.
    ///
    /// # Errors
    /// [`SealError::WrongKey`] when none of the keys is the one it was sealed with.
    pub fn open(&self, record: &[u8], kid: &str) -> Result<PrivateKey, SealError> {
        let mut answer = open(record, kid, self.present.as_ref());
        for other in &self.others {
            if !matches!(answer, Err(SealError::WrongKey | SealError::KeyMissing)) {
                break;
            }
            answer = open(record, kid, Some(other));
        }
        answer
    }

    /// Whether the record is as [`Self::seal`] would write it now. Without a present
    /// key every record is: nothing is unsealed for good.
    pub fn is_current(&self, record: &[u8], kid: &str) -> bool {
        let Some(present) = &self.present else { return true };
        super::is_sealed(record) && open(record, kid, Some(present)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::keys::Algorithm;

    fn key(digit: &str) -> KeyEncryptionKey {
        digit.repeat(64).parse().unwrap()
    }

    #[test]
    fn a_record_of_another_key_opens_and_is_not_current() {
        let rng = SystemRandom::new();
        let private = PrivateKey::generate(Algorithm::EdDsa, &rng).unwrap();
        let kid = private.public().kid();
        let before = EncryptionKeys { present: Some(key("a")), others: Vec::new() };
        let after = EncryptionKeys { present: Some(key("b")), others: vec![key("c"), key("a")] };
        let record = before.seal(&private, &rng).unwrap();
        assert!(before.is_current(&record, kid));
        assert!(after.open(&record, kid).is_ok());
        assert!(!after.is_current(&record, kid));
        let resealed = after.seal(&private, &rng).unwrap();
        assert!(after.is_current(&resealed, kid));
        assert_eq!(before.open(&resealed, kid).unwrap_err(), SealError::WrongKey);
    }

    #[test]
    fn a_plain_record_is_current_where_nothing_seals_alone() {
        let rng = SystemRandom::new();
        let private = PrivateKey::generate(Algorithm::EdDsa, &rng).unwrap();
        let kid = private.public().kid();
        let record = EncryptionKeys::default().seal(&private, &rng).unwrap();
        assert!(EncryptionKeys::default().is_current(&record, kid));
        let sealing = EncryptionKeys { present: Some(key("a")), others: Vec::new() };
        assert!(sealing.open(&record, kid).is_ok());
        assert!(!sealing.is_current(&record, kid));
    }

    #[test]
    fn without_a_present_key_another_still_opens() {
        let rng = SystemRandom::new();
        let private = PrivateKey::generate(Algorithm::EdDsa, &rng).unwrap();
        let kid = private.public().kid();
        let sealing = EncryptionKeys { present: Some(key("a")), others: Vec::new() };
        let record = sealing.seal(&private, &rng).unwrap();
        assert_eq!(
            EncryptionKeys::default().open(&record, kid).unwrap_err(),
            SealError::KeyMissing
        );
        let opening = EncryptionKeys { present: None, others: vec![key("a")] };
        assert!(opening.open(&record, kid).is_ok());
    }
}
