//! RSA key generation, and reading of keys in other forms, for which ring has nothing.
//!
//! The `rsa` crate makes the primes and puts them in order, and does nothing else here: its operations
//! with a private key leak their timing (RUSTSEC-2023-0071), so ring signs.

use ring::{hmac, rand::SecureRandom};
use rsa::{
    BigUint, RsaPrivateKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey},
    rand_core::{self, CryptoRng, RngCore, impls},
    traits::{PrivateKeyParts, PublicKeyParts},
};
use zeroize::Zeroizing;

use super::KeyError;

const BITS: usize = 2048;

/// A new key, as PKCS#8 DER that ring reads.
pub(super) fn generate_pkcs8(rng: &dyn SecureRandom) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut stream = SeededStream::new(rng)?;
    let key = RsaPrivateKey::new(&mut stream, BITS).map_err(|_| KeyError::NotAPrivateKey)?;
    for_ring(&key)
}

/// A key that somebody else made, as PKCS#8 DER that ring reads.
pub(super) fn reordered_pkcs8(der: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    for_ring(&RsaPrivateKey::from_pkcs8_der(der).map_err(|_| KeyError::NotAPrivateKey)?)
}

/// The same, from the numbers of RFC 8017, section 3.2, big endian.
pub(super) fn pkcs8_of(
    n: &[u8],
    e: &[u8],
    d: &[u8],
    p: &[u8],
    q: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let [n, e, d, p, q] = [n, e, d, p, q].map(BigUint::from_bytes_be);
    let key = RsaPrivateKey::from_components(n, e, d, vec![p, q]);
    for_ring(&key.map_err(|_| KeyError::NotAPrivateKey)?)
}

fn for_ring(key: &RsaPrivateKey) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let ordered = larger_prime_first(key)?;
    let der = ordered.to_pkcs8_der().map_err(|_| KeyError::NotAPrivateKey)?;
    Ok(Zeroizing::new(der.as_bytes().to_vec()))
}

/// ring wants p > q; the `rsa` crate leaves the order to chance.
fn larger_prime_first(key: &RsaPrivateKey) -> Result<RsaPrivateKey, KeyError> {
    let mut primes = key.primes().to_vec();
    primes.sort_by(|a, b| b.cmp(a));
    RsaPrivateKey::from_components(key.n().clone(), key.e().clone(), key.d().clone(), primes)
        .map_err(|_| KeyError::NotAPrivateKey)
}

/// Random bytes that cannot fail half-way, which `rsa` asks for: 256 bits from the
/// system, stretched by HMAC-SHA-256 over a counter.
struct SeededStream {
    seed: hmac::Key,
    counter: u64,
}

impl SeededStream {
    fn new(rng: &dyn SecureRandom) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill(seed.as_mut()).map_err(|_| KeyError::NoRandomness)?;
        Ok(Self { seed: hmac::Key::new(hmac::HMAC_SHA256, seed.as_ref()), counter: 0 })
    }
}

impl RngCore for SeededStream {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for chunk in dest.chunks_mut(32) {
            let block = hmac::sign(&self.seed, &self.counter.to_le_bytes());
            self.counter += 1;
            for (to, from) in chunk.iter_mut().zip(block.as_ref()) {
                *to = *from;
            }
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for SeededStream {}
