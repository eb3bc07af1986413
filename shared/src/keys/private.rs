//! Private keys. Only the issuer holds one.

use std::fmt;

use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use zeroize::Zeroizing;

use super::{Algorithm, KeyError, PublicKey, rsa_generation};

/// A private signing key: PKCS#8 in memory that is wiped when it is dropped.
///
/// It has no `Clone`, no `PartialEq` and no serialisation, and its `Debug` shows
/// the `kid` alone. The one way out is [`PrivateKey::pkcs8_der`].
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl PrivateKey {
    /// A new key. RS256 takes a second of CPU time and more: not for an async thread.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`]; [`KeyError::NotAPrivateKey`] if what was made
    /// can't be read back.
    pub fn generate(algorithm: Algorithm, rng: &dyn SecureRandom) -> Result<Self, KeyError> {
        let pkcs8 = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, rng)
                .map(|document| Zeroizing::new(document.as_ref().to_vec()))
                .map_err(|_| KeyError::NoRandomness)?,
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(rng)
                .map(|document| Zeroizing::new(document.as_ref().to_vec()))
                .map_err(|_| KeyError::NoRandomness)?,
            Algorithm::Rs256 => rsa_generation::generate_pkcs8(rng)?,
        };
        Self::parse(pkcs8)
    }

    /// Reads PKCS#8 (RFC 5958) in DER; the key inside tells the algorithm. An EC key
    /// must hold its public half, as OpenSSL writes it.
    ///
    /// # Errors
    /// [`KeyError::NotAPrivateKey`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::parse(Zeroizing::new(der.to_vec()))
    }

    fn parse(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let public = public_half(&pkcs8)?;
        Ok(Self { pkcs8, public })
    }

    /// The secret itself, PKCS#8 in DER: for sealing it, and for the signer. Copies
    /// are the caller's to wipe.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }
}

/// ring tells the three kinds apart by the identifier in the document, and checks
/// that private and public halves belong together.
fn public_half(pkcs8: &[u8]) -> Result<PublicKey, KeyError> {
    // Used only to blind the check of the two halves.
    let rng = SystemRandom::new();
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &rng) {
        return PublicKey::es256(pair.public_key().as_ref());
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
        return PublicKey::eddsa(pair.public_key().as_ref());
    }
    let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::NotAPrivateKey)?;
    let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public().into();
    PublicKey::rs256(n, e)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("kid", &self.public.kid()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_reads_back_as_itself() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            let key = PrivateKey::generate(algorithm, &SystemRandom::new()).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let again = PrivateKey::from_pkcs8_der(key.pkcs8_der()).unwrap();
            assert_eq!(again.public(), key.public());
        }
    }

    #[test]
    fn two_generated_keys_differ() {
        let rng = SystemRandom::new();
        let [one, two] = [0, 1].map(|_| PrivateKey::generate(Algorithm::Rs256, &rng).unwrap());
        assert_ne!(one.public().kid(), two.public().kid());
    }

    #[test]
    fn junk_is_no_private_key() {
        let key = PrivateKey::generate(Algorithm::Es256, &SystemRandom::new()).unwrap();
        let truncated = &key.pkcs8_der()[..key.pkcs8_der().len() - 1];
        for junk in [b"".as_slice(), b"\x30\x00", b"junk", truncated] {
            assert_eq!(PrivateKey::from_pkcs8_der(junk).unwrap_err(), KeyError::NotAPrivateKey);
        }
    }

    #[test]
    fn debug_shows_the_kid_alone() {
        let key = PrivateKey::generate(Algorithm::EdDsa, &SystemRandom::new()).unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("PrivateKey {{ kid: {:?}, .. }}", key.public().kid()));
    }
}
