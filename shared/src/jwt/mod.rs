//! Access tokens: JWTs in the profile of RFC 9068, signed by the issuer and read by
//! every verifier.
//!
//! `jsonwebtoken` signs, over the provider of [`provider`]. Reading is our own, since
//! by default that library takes unknown `crit`, duplicate claims, any `typ`, and
//! numbers of any shape. The rules of [`verify`]:
//!
//! - nothing is decoded above [`MAX_TOKEN_BYTES`];
//! - the key alone decides the algorithm, and `kid` only looks up a key we hold;
//! - no claim is read before the signature is verified, and [`VerifiedClaims`] can
//!   be had in no other way;
//! - the same bytes have one reading: no duplicate members, canonical base64url,
//!   integers for times;
//! - a signature has one spelling, so that nobody can spell another's token anew. Still,
//!   **never key anything by the bytes of a token**: the issuer may sign the same claims
//!   twice. Revocation goes by the ids and versions in the claims.
//!
//! What is refused, case by case and each with its source, is in
//! `tests/hostile_jwts.md`.

mod claims;
mod json;
pub mod provider;
mod signer;
mod verify;
mod written;

pub use self::{
    claims::AccessClaims,
    signer::{AccessSigner, SigningError},
    verify::{CLOCK_SKEW, Rejection, VerifiedClaims, VerifyingKeys, verify, verify_signature},
};

/// The longest access token that is made or read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8192;

/// Whether `token` is meant as a JWT rather than as a permanent token, which has no
/// dot. Says nothing of its worth.
pub fn looks_like_jwt(token: &str) -> bool {
    // `eyJ` is how `{"` begins in base64.
    token.starts_with("eyJ") || token.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
mod tests;
