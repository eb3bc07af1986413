//! The string of a token, and its hash, which are two types: where one is wanted the other
//! does not fit.

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The string that a token's holder presents. It is shown once, by [`PlainToken::expose`].
pub struct PlainToken(pub(super) Zeroizing<String>);

impl PlainToken {
    /// The string, to hand it to its owner. There is no other way out.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the store keeps of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl std::fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainToken(..)")
    }
}

/// SHA-256 of a plain token. 256 random bits need no slow hash.
#[derive(Clone, Copy, Debug)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of the string that a holder presents.
    pub fn of(plain: &str) -> Self {
        Self::of_bytes(plain.as_bytes())
    }

    /// As [`Self::of`], for a string that nobody has read yet.
    pub fn of_bytes(plain: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, plain).as_ref());
        Self(hash)
    }

    /// The bytes, for a record.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 8 bytes: enough to know a retired secret again.
    pub fn prefix(&self) -> &[u8] {
        self.0.first_chunk::<8>().map_or(&[], |p| p.as_slice())
    }

    /// Whether `stored` is this hash, in constant time. An empty one never is.
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.0.ct_eq(stored).into()
    }
}
