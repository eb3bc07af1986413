//! The keys that sign access tokens: private ones, their public halves, the set
//! of them that the store holds, and how a private one is sealed at rest.
//!
//! A key has one algorithm for life, and a `kid` that is computed from it (RFC
//! 7638), so that no name can be put on another key. Nothing here trusts where a
//! key came from: a public key is checked whenever it is read, since some public
//! keys (short RSA, small-order Ed25519) accept signatures that anyone can make.
//!
//! To add an algorithm: a variant of [`Algorithm`], one of the material in
//! `public.rs`, its generation in `private.rs`, and its line in
//! [`crate::jwt::provider`]; the compiler points at each place.

mod encryption_keys;
mod import;
pub mod life;
pub(crate) mod low_s;
mod private;
mod public;
mod rsa_generation;
mod seal;
mod set;
mod small_order;
mod stored_set;

use std::{fmt, str::FromStr};

pub use self::{
    encryption_keys::EncryptionKeys,
    import::ImportError,
    private::PrivateKey,
    public::PublicKey,
    seal::{KeyEncryptionKey, NotAKeyEncryptionKey, SealError, is_sealed, open, seal},
    set::{KeyEntry, KeySet, KeyState, LONGEST_LIFETIME},
    stored_set::DamagedKeySet,
};

/// What a key signs with (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256. The default, since every mesh and library reads it.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits and more.
    Rs256,
}

impl Algorithm {
    /// The JWA name, as in the `alg` of a header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no [`Algorithm`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the algorithm is one of ES256, EdDSA and RS256")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// For settings, where case does not matter; a token's `alg` is compared exactly.
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        [Self::Es256, Self::EdDsa, Self::Rs256]
            .into_iter()
            .find(|algorithm| text.eq_ignore_ascii_case(algorithm.name()))
            .ok_or(UnknownAlgorithm)
    }
}

/// Why there is no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    NoRandomness,
    /// No key that can be used.
    #[error(
        "not a PKCS#8 key for ES256 (P-256, with its public half), EdDSA (Ed25519) or RS256 \
             (2048 to 4096 bits, exponent above 65536)"
    )]
    NotAPrivateKey,
    /// Not a JWK, or not one for us.
    #[error("not a public JWK for ES256, EdDSA or RS256: {0}")]
    NotAPublicKey(&'static str),
    /// A key under which signatures prove nothing.
    #[error("a weak public key: {0}")]
    Weak(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_read_in_any_case_and_written_as_jwa_has_it() {
        for (text, algorithm) in
            [("es256", Algorithm::Es256), ("EDDSA", Algorithm::EdDsa), ("RS256", Algorithm::Rs256)]
        {
            assert_eq!(text.parse(), Ok(algorithm));
        }
        assert_eq!(Algorithm::EdDsa.to_string(), "EdDSA");
        for text in ["none", "HS256", "ES384", ""] {
            assert_eq!(text.parse::<Algorithm>(), Err(UnknownAlgorithm));
        }
    }
}
