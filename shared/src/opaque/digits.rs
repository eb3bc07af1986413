//! Random bits as base62 digits: a shell passes them on, and one double-click selects them.

use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::id::NoRandomness;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A password to hand to somebody: 128 random bits in base62, so that it begins with
/// no hyphen, survives a shell, and one double-click selects it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn random_password(rng: &dyn SecureRandom) -> Result<Zeroizing<String>, NoRandomness> {
    random_digits::<16>(rng, 22)
}

pub(super) fn random_digits<const BYTES: usize>(
    rng: &dyn SecureRandom,
    digits: usize,
) -> Result<Zeroizing<String>, NoRandomness> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    rng.fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
    Ok(Zeroizing::new(base62(bytes.as_slice(), digits)))
}

/// The big-endian number `bytes` in `digits` base62 digits, most significant first.
pub(super) fn base62(bytes: &[u8], digits: usize) -> String {
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

/// `number` in as many base62 digits, most significant first.
pub(super) fn base62_of<const DIGITS: usize>(mut number: u32) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET.get((number % 62) as usize).copied().unwrap_or(b'0');
        number /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base62_counts_as_it_should() {
        assert_eq!(base62(&[0], 3), "000");
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[62], 2), "10");
        assert_eq!(base62(&u32::MAX.to_be_bytes(), 6), "4gfFC3");
        assert_eq!(base62_of(u32::MAX), *b"4gfFC3");
        assert_eq!(base62_of(62), *b"10");
    }
}
