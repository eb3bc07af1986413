//! Opaque tokens: permanent tokens and refresh tokens.
//!
//! A permanent token is `tessera_<id>_<secret><checksum>`: a configurable prefix,
//! the record's id, 256 random bits in base62 (43 digits) and the CRC-32 of all
//! before it in base62 (6 digits). A refresh token is `tesserar_<session
//! id>_<family><secret><checksum>`; the family part (128 bits, 22 digits) is the
//! same in all refresh tokens of a session, so that one used twice is told from
//! one that never was, with no list of old ones.
//!
//! The checksum catches a typing error with no look-up; it proves nothing.

mod digits;
mod plain;
#[cfg(test)]
mod tests;

use ring::{hmac, rand::SecureRandom};
use zeroize::Zeroizing;

use self::digits::{base62, base62_of, random_digits};
pub use self::{
    digits::random_password,
    plain::{PlainToken, TokenHash},
};
use crate::id::{NoRandomness, SessionId, TokenId};

/// No longer token is looked at, of any kind, in bytes.
pub const LONGEST_TOKEN: usize = 8192;

const SECRET_DIGITS: usize = 43;
const FAMILY_DIGITS: usize = 22;
const CHECKSUM_DIGITS: usize = 6;

/// A permanent token's string that is of the right form; whether it exists is not known.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The record that it claims to be of.
    pub id: TokenId,
    /// What a record must hold for the claim to be true.
    pub hash: TokenHash,
}

/// A refresh token's string that is of the right form; whether it exists is not known.
#[derive(Debug)]
pub struct PresentedRefresh {
    /// The session that it claims to be of.
    pub session: SessionId,
    /// The hash of the whole.
    pub hash: TokenHash,
    /// The hash of the family part.
    pub family_hash: TokenHash,
    plain: Zeroizing<String>,
}

/// Which opaque token a string has the form of.
#[derive(Debug)]
pub enum Form {
    /// A permanent token.
    Permanent(Presented),
    /// A refresh token.
    Refresh(PresentedRefresh),
}

/// Makes and reads opaque tokens of one installation.
#[derive(Clone, Debug)]
pub struct Opaque {
    prefix: String,
}

impl Opaque {
    /// For tokens that begin with `prefix`.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// A new secret for the permanent token `id`.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn permanent(
        &self,
        id: TokenId,
        rng: &dyn SecureRandom,
    ) -> Result<PlainToken, NoRandomness> {
        let secret = random_digits::<32>(rng, SECRET_DIGITS)?;
        Ok(finish(format!("{}_{id}_{}", self.prefix, *secret)))
    }

    /// The first refresh token of `session`, and the hash of its family part.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn first_refresh(
        &self,
        session: SessionId,
        rng: &dyn SecureRandom,
    ) -> Result<(PlainToken, TokenHash), NoRandomness> {
        let family = random_digits::<16>(rng, FAMILY_DIGITS)?;
        let secret = random_digits::<32>(rng, SECRET_DIGITS)?;
        let plain = finish(format!("{}r_{session}_{}{}", self.prefix, *family, *secret));
        Ok((plain, TokenHash::of(&family)))
    }

    /// The successor of `presented` under `nonce`: HMAC-SHA256 keyed with the plain
    /// string. Who has both gets the same one again, and the store, which has
    /// the nonce alone, can't make it.
    pub fn successor(&self, presented: &PresentedRefresh, nonce: &[u8]) -> PlainToken {
        let key = hmac::Key::new(hmac::HMAC_SHA256, presented.plain.as_bytes());
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(hmac::sign(&key, nonce).as_ref());
        let secret = Zeroizing::new(base62(bytes.as_slice(), SECRET_DIGITS));
        let start = self.prefix.len() + 2;
        let family_end = presented.plain.len() - SECRET_DIGITS - CHECKSUM_DIGITS;
        let body = presented.plain.get(start..family_end).unwrap_or_default();
        finish(format!("{}r_{body}{}", self.prefix, *secret))
    }

    /// What `plain` has the form of; `None`: it is no opaque token of this
    /// installation, or was mistyped.
    pub fn parse(&self, plain: &str) -> Option<Form> {
        self.parse_hashed(plain, || TokenHash::of(plain))
    }

    /// As [`Self::parse`], for who may have the string's hash already.
    pub fn parse_hashed(&self, plain: &str, hash: impl FnOnce() -> TokenHash) -> Option<Form> {
        if plain.len() > LONGEST_TOKEN {
            return None;
        }
        let rest = plain.strip_prefix(self.prefix.as_str())?;
        let (refresh, rest) = match rest.strip_prefix("r_") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix('_')?),
        };
        let (id, body) = rest.split_once('_')?;
        let family_digits = if refresh { FAMILY_DIGITS } else { 0 };
        if body.len() != family_digits + SECRET_DIGITS + CHECKSUM_DIGITS
            || !body.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return None;
        }
        let (covered, checksum) = plain.split_at_checked(plain.len() - CHECKSUM_DIGITS)?;
        if checksum.as_bytes() != checksum_of(covered) {
            return None;
        }
        let id = parse_id(id)?;
        let hash = hash();
        Some(if refresh {
            Form::Refresh(PresentedRefresh {
                session: id.try_into().ok()?,
                hash,
                family_hash: TokenHash::of(body.get(..FAMILY_DIGITS)?),
                plain: Zeroizing::new(plain.to_owned()),
            })
        } else {
            Form::Permanent(Presented { id: id.try_into().ok()?, hash })
        })
    }
}

/// The fewest and the most bytes of a token of another system.
const FOREIGN_LENGTH: std::ops::RangeInclusive<usize> = 16..=1024;

impl Opaque {
    /// The hash of what may be a token of another system: visible ASCII, and not of a form of
    /// ours, so that one of ours that was mistyped is refused with no look-up.
    pub fn foreign(&self, plain: &str) -> Option<TokenHash> {
        let is_ours = plain
            .strip_prefix(self.prefix.as_str())
            .is_some_and(|rest| rest.starts_with('_') || rest.starts_with("r_"));
        let fits = FOREIGN_LENGTH.contains(&plain.len())
            && plain.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && !is_ours).then(|| TokenHash::of(plain))
    }
}

/// Decimal digits with no sign and no leading zero, so that a token has one spelling.
fn parse_id(digits: &str) -> Option<i64> {
    let canonical = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if canonical { digits.parse().ok() } else { None }
}

fn finish(covered: String) -> PlainToken {
    let mut plain = Zeroizing::new(String::with_capacity(covered.len() + CHECKSUM_DIGITS));
    let covered = Zeroizing::new(covered);
    plain.push_str(&covered);
    plain.extend(checksum_of(&covered).map(char::from));
    PlainToken(plain)
}

/// Every token is read through this, so it takes no memory.
fn checksum_of(covered: &str) -> [u8; CHECKSUM_DIGITS] {
    base62_of(crc32fast::hash(covered.as_bytes()))
}
