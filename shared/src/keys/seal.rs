//! Private keys at rest: the record under [`crate::store::Key::PrivateKey`].
//!
//! ```text
//! plain   version 1 | 0 | PKCS#8
//! sealed  version 1 | 1 | id of the encryption key, 8 | nonce, 12 | AES-256-GCM(PKCS#8), tag 16
//! ```
//! The sealed form authenticates the first two bytes and the `kid` besides. Either
//! form opens only as the key that `kid` names, so no one who writes to the store
//! can put another key in its place. The id tells a wrong encryption key, which an
//! operator can mend, from a damaged record, which he can't.

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::SecureRandom,
};
use zeroize::Zeroizing;

use super::PrivateKey;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const SEALED: u8 = 1;
const ID_LEN: usize = 8;

/// Why a private key can't be sealed or opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The record is sealed, and there is no key to open it with.
    #[error("the private key is sealed, and no key-encryption key is configured")]
    KeyMissing,
    /// The record was sealed with another key.
    #[error("the private key is sealed with another key-encryption key")]
    WrongKey,
    /// The record is not what was written, or of another key.
    #[error("the record of the private key is damaged")]
    Damaged,
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    NoRandomness,
}

/// The record of `key`: sealed with `encryption_key`, or plain without one, which is
/// for development alone.
///
/// # Errors
/// [`SealError::NoRandomness`].
pub fn seal(
    key: &PrivateKey,
    encryption_key: Option<&KeyEncryptionKey>,
    rng: &dyn SecureRandom,
) -> Result<Vec<u8>, SealError> {
    let Some(encryption_key) = encryption_key else {
        return Ok([&[VERSION, PLAIN], key.pkcs8_der()].concat());
    };
    let mut nonce = [0; NONCE_LEN];
    rng.fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
    let mut secret = Zeroizing::new(key.pkcs8_der().to_vec());
    let tag = encryption_key
        .cipher()
        .and_then(|cipher| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let aad = bound_to(key.public().kid());
            cipher.seal_in_place_separate_tag(nonce, aad, &mut secret).ok()
        })
        .ok_or(SealError::Damaged)?;
    let id = encryption_key.id();
    Ok([&[VERSION, SEALED], id.as_slice(), &nonce, &secret, tag.as_ref()].concat())
}

/// The private key named `kid`, out of its record. A plain record opens whether or
/// not there is an encryption key; [`is_sealed`] tells which it was.
///
/// # Errors
/// [`SealError`].
pub fn open(
    record: &[u8],
    kid: &str,
    encryption_key: Option<&KeyEncryptionKey>,
) -> Result<PrivateKey, SealError> {
    let key = match record {
        [VERSION, PLAIN, pkcs8 @ ..] => PrivateKey::from_pkcs8_der(pkcs8),
        [VERSION, SEALED, rest @ ..] => {
            let encryption_key = encryption_key.ok_or(SealError::KeyMissing)?;
            PrivateKey::from_pkcs8_der(&unsealed(rest, kid, encryption_key)?)
        }
        _ => return Err(SealError::Damaged),
    };
    key.ok().filter(|key| key.public().kid() == kid).ok_or(SealError::Damaged)
}

/// Whether the record is in the sealed form.
pub fn is_sealed(record: &[u8]) -> bool {
    matches!(record, [VERSION, SEALED, ..])
}

fn unsealed(
    record: &[u8],
    kid: &str,
    encryption_key: &KeyEncryptionKey,
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (id, rest) = record.split_first_chunk::<ID_LEN>().ok_or(SealError::Damaged)?;
    let (nonce, secret) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
    if *id != encryption_key.id() {
        return Err(SealError::WrongKey);
    }
    let cipher = encryption_key.cipher().ok_or(SealError::Damaged)?;
    let mut buffer = Zeroizing::new(secret.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = cipher
        .open_in_place(nonce, bound_to(kid), &mut buffer)
        .map_err(|_| SealError::Damaged)?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

fn bound_to(kid: &str) -> Aad<Vec<u8>> {
    Aad::from([&[VERSION, SEALED], kid.as_bytes()].concat())
}

/// The key that private keys are sealed with. It comes from the configuration, and
/// never gets near the store.
pub struct KeyEncryptionKey(Zeroizing<[u8; 32]>);

/// A text that is no [`KeyEncryptionKey`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key-encryption key is 32 random bytes: 64 hex digits, or base64")]
pub struct NotAKeyEncryptionKey;

impl KeyEncryptionKey {
    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.0.as_ref()).ok().map(LessSafeKey::new)
    }

    /// Names the key, and tells nothing of it: a MAC over a constant, cut short.
    fn id(&self) -> [u8; ID_LEN] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        let tag = hmac::sign(&key, b"tessera key-encryption key id");
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

impl FromStr for KeyEncryptionKey {
    type Err = NotAKeyEncryptionKey;

    /// 64 hex digits, or base64 of either alphabet, padded or not; white space round
    /// it, such as a file's last line feed, is passed over.
    fn from_str(text: &str) -> Result<Self, NotAKeyEncryptionKey> {
        let text = text.trim();
        let bytes = if text.len() == 64 { from_hex(text) } else { from_base64(text) };
        let mut key = Zeroizing::new([0; 32]);
        let bytes = bytes.filter(|bytes| bytes.len() == key.len()).ok_or(NotAKeyEncryptionKey)?;
        key.copy_from_slice(&bytes);
        Ok(Self(key))
    }
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks(2) {
        let [high, low] = pair else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
    }
    Some(bytes)
}

fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    const ANY_PADDING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [&base64::alphabet::STANDARD, &base64::alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, ANY_PADDING).decode(text).ok())
        .map(Zeroizing::new)
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyEncryptionKey(redacted)")
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
