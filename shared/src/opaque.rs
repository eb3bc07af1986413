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

use ring::{
    digest::{SHA256, digest},
    hmac,
    rand::SecureRandom,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::id::{NoRandomness, SessionId, TokenId};

/// No longer token is looked at, of any kind, in bytes.
pub const LONGEST_TOKEN: usize = 8192;

const SECRET_DIGITS: usize = 43;
const FAMILY_DIGITS: usize = 22;
const CHECKSUM_DIGITS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The string that a token's holder presents. It is shown once, by [`PlainToken::expose`].
pub struct PlainToken(Zeroizing<String>);

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

/// CRC-32 in base62, most significant digit first. Every token is read through this, so it
/// takes no memory.
fn checksum_of(covered: &str) -> [u8; CHECKSUM_DIGITS] {
    let mut rest = crc32fast::hash(covered.as_bytes());
    let mut digits = [b'0'; CHECKSUM_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

/// A password to hand to somebody: 128 random bits in base62, so that it begins with
/// no hyphen, survives a shell, and one double-click selects it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn random_password(rng: &dyn SecureRandom) -> Result<Zeroizing<String>, NoRandomness> {
    random_digits::<16>(rng, 22)
}

fn random_digits<const BYTES: usize>(
    rng: &dyn SecureRandom,
    digits: usize,
) -> Result<Zeroizing<String>, NoRandomness> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    rng.fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
    Ok(Zeroizing::new(base62(bytes.as_slice(), digits)))
}

/// The big-endian number `bytes` in `digits` base62 digits, most significant first.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number = Zeroizing::new(bytes.to_vec());
    let mut out: Vec<u8> = (0..digits)
        .map(|_| {
            let mut remainder = 0_u32;
            for byte in number.iter_mut() {
                let value = (remainder << 8) | u32::from(*byte);
                *byte = u8::try_from(value / 62).unwrap_or_default();
                remainder = value % 62;
            }
            ALPHABET.get(remainder as usize).copied().unwrap_or(b'0')
        })
        .collect();
    out.reverse();
    out.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    fn permanent(opaque: &Opaque, plain: &str) -> Option<Presented> {
        match opaque.parse(plain)? {
            Form::Permanent(presented) => Some(presented),
            Form::Refresh(_) => None,
        }
    }

    #[test]
    fn a_permanent_token_reads_back_and_has_one_form() {
        let opaque = Opaque::new("tessera");
        let id = TokenId::try_from(42).unwrap();
        let token = opaque.permanent(id, &SystemRandom::new()).unwrap();
        let plain = token.expose();
        assert_eq!(plain.len(), "tessera_42_".len() + 49);
        let presented = permanent(&opaque, plain).unwrap();
        assert_eq!(presented.id, id);
        assert!(presented.hash.matches(token.hash().as_bytes()));
        assert!(!presented.hash.matches(&[]));
        assert_eq!(format!("{token:?}"), "PlainToken(..)");
    }

    #[test]
    fn every_single_character_mistake_is_caught() {
        let opaque = Opaque::new("tessera");
        let token = opaque.permanent(TokenId::try_from(42).unwrap(), &SystemRandom::new()).unwrap();
        for at in 0..token.expose().len() {
            for other in ALPHABET.iter().chain(b"_ $") {
                let mut wrong = token.expose().as_bytes().to_vec();
                if wrong[at] != *other {
                    wrong[at] = *other;
                    assert!(opaque.parse(&String::from_utf8(wrong).unwrap()).is_none());
                }
            }
        }
    }

    #[test]
    fn other_spellings_of_an_id_are_no_token() {
        let opaque = Opaque::new("tessera");
        let secret = "0".repeat(SECRET_DIGITS);
        for id in ["0", "042", "+42", "-1", "", "9007199254740992", "99999999999999999999"] {
            let plain = finish(format!("tessera_{id}_{secret}"));
            assert!(opaque.parse(plain.expose()).is_none(), "{id}");
        }
    }

    #[test]
    fn a_successor_is_the_same_again_and_keeps_the_family() {
        let opaque = Opaque::new("acme");
        let session = SessionId::try_from(7).unwrap();
        let (first, family) = opaque.first_refresh(session, &SystemRandom::new()).unwrap();
        let Some(Form::Refresh(presented)) = opaque.parse(first.expose()) else { panic!() };
        let next = opaque.successor(&presented, b"nonce");
        assert_eq!(next.expose(), opaque.successor(&presented, b"nonce").expose());
        assert_ne!(next.expose(), opaque.successor(&presented, b"other").expose());
        let Some(Form::Refresh(next)) = opaque.parse(next.expose()) else { panic!() };
        assert_eq!(next.session, session);
        assert!(next.family_hash.matches(family.as_bytes()));
        assert!(permanent(&opaque, first.expose()).is_none());
    }

    #[test]
    fn base62_counts_as_it_should() {
        assert_eq!(base62(&[0], 3), "000");
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[62], 2), "10");
        assert_eq!(base62(&u32::MAX.to_be_bytes(), 6), "4gfFC3");
    }
}
