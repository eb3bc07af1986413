//! Passwords: argon2id with the parameters that OWASP gives first (19 MiB, two
//! passes, one lane), kept as a PHC string.
//!
//! A hash takes tens of milliseconds of one core on purpose. [`PasswordHasher`] runs
//! it off the async threads, few at a time, and turns callers away when too many wait.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use ring::rand::SecureRandom;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// No longer password is hashed, in bytes.
pub const LONGEST_PASSWORD: usize = 1024;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// How many may wait for each one that is hashing.
const WAITING: usize = 32;

/// A password could not be hashed; whether it is right is not known.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many are waiting already.
    #[error("too many password checks under way")]
    Busy,
    /// Not a fault of the caller.
    #[error("password hashing failed: {0}")]
    Internal(&'static str),
}

/// Hashes and checks passwords, a bounded number at a time.
#[derive(Clone)]
pub struct PasswordHasher {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    rng: Arc<dyn SecureRandom + Send + Sync>,
    decoy: Arc<str>,
}

impl PasswordHasher {
    /// At most `concurrency` hashes at once.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new(
        concurrency: usize,
        rng: Arc<dyn SecureRandom + Send + Sync>,
    ) -> Result<Self, PasswordError> {
        let decoy = hash_now(b"no user has this password", &*rng)?.into();
        Ok(Self {
            running: Arc::new(Semaphore::new(concurrency)),
            admitted: Arc::new(Semaphore::new(concurrency * (WAITING + 1))),
            rng,
            decoy,
        })
    }

    /// The PHC string of `password`.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] when too many wait.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let (password, rng) = (Zeroizing::new(password.as_bytes().to_vec()), self.rng.clone());
        self.run(move || hash_now(&password, &*rng)).await
    }

    /// Whether `password` is the one of `phc`. `None`, for an unknown user, takes the
    /// same time and is false.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] when too many wait.
    pub async fn check(&self, password: &str, phc: Option<&str>) -> Result<bool, PasswordError> {
        let known = phc.is_some();
        let phc = phc.unwrap_or(&self.decoy).to_owned();
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let same = self.run(move || check_now(&password, &phc)).await?;
        Ok(same & known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.admitted.try_acquire().map_err(|_| PasswordError::Busy)?;
        let permit = Arc::clone(&self.running).acquire_owned().await;
        let permit = permit.map_err(|_| PasswordError::Internal("shutting down"))?;
        // The permit goes with the work: a caller that hangs up does not free the core.
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(|_| PasswordError::Internal("a hash was cut short"))?
    }
}

impl std::fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHasher(..)")
    }
}

fn hash_now(password: &[u8], rng: &dyn SecureRandom) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    rng.fill(&mut salt).map_err(|_| PasswordError::Internal("no random bytes"))?;
    let hash = derive(password, &salt, MEMORY_KIB, PASSES, LANES)?;
    let (salt, hash) = (BASE64.encode(salt), BASE64.encode(hash));
    Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"))
}

fn check_now(password: &[u8], phc: &str) -> Result<bool, PasswordError> {
    let (memory, passes, lanes, salt, hash) =
        parse(phc).ok_or(PasswordError::Internal("a stored password hash is damaged"))?;
    let derived = derive(password, &salt, memory, passes, lanes)?;
    Ok(derived.as_slice().ct_eq(&hash).into())
}

/// Memory in KiB, passes, lanes, salt, hash.
type Parsed = (u32, u32, u32, Vec<u8>, Vec<u8>);

/// Reads the parameters from the string itself, so that they can be raised later.
fn parse(phc: &str) -> Option<Parsed> {
    let rest = phc.strip_prefix("$argon2id$v=19$m=")?;
    let mut parts = rest.split('$');
    let mut numbers = parts.next()?.split(',');
    let memory = numbers.next()?.parse().ok()?;
    let passes = numbers.next()?.strip_prefix("t=")?.parse().ok()?;
    let lanes = numbers.next()?.strip_prefix("p=")?.parse().ok()?;
    let salt = BASE64.decode(parts.next()?).ok()?;
    let hash = BASE64.decode(parts.next()?).ok()?;
    Some((memory, passes, lanes, salt, hash))
}

/// Stretches `password` by argon2id.
///
/// # Errors
/// [`PasswordError::Internal`] for parameters out of range.
pub(crate) fn derive(
    password: &[u8],
    salt: &[u8],
    memory: u32,
    passes: u32,
    lanes: u32,
) -> Result<Zeroizing<[u8; HASH_BYTES]>, PasswordError> {
    let params = Params::new(memory, passes, lanes, Some(HASH_BYTES))
        .map_err(|_| PasswordError::Internal("argon2 parameters out of range"))?;
    let mut out = Zeroizing::new([0; HASH_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, out.as_mut_slice())
        .map_err(|_| PasswordError::Internal("argon2 failed"))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    #[tokio::test]
    async fn the_right_password_alone_is_right_and_an_unknown_user_has_none() {
        let hasher = PasswordHasher::new(1, Arc::new(SystemRandom::new())).unwrap();
        let phc = hasher.hash("correct horse battery").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hasher.check("correct horse battery", Some(&phc)).await.unwrap());
        assert!(!hasher.check("correct horse batterz", Some(&phc)).await.unwrap());
        assert!(!hasher.check("no user has this password", None).await.unwrap());
        assert!(hasher.check("x", Some("$argon2id$nonsense")).await.is_err());
    }

    #[tokio::test]
    async fn too_many_at_once_are_turned_away() {
        let hasher = PasswordHasher::new(1, Arc::new(SystemRandom::new())).unwrap();
        let checks = (0..WAITING + 10).map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.check("x", None).await })
        });
        let mut busy = 0;
        for check in checks.collect::<Vec<_>>() {
            busy += usize::from(matches!(check.await.unwrap(), Err(PasswordError::Busy)));
        }
        assert_eq!(busy, 9);
    }
}
