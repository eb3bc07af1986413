//! Ids: positive, below 2^53 so that JSON and Lua hold them exactly, never reused.
//!
//! An id is 41 bits of milliseconds since 2026-01-01 and 12 random bits. The time
//! makes ids unique across a failover that loses a counter, and puts records in
//! the order of their making; the store refuses the rare second use of one.

use ring::rand::SecureRandom;

use crate::clock::Timestamp;

const EPOCH_MILLIS: i64 = 1_767_225_600_000;
const LIMIT: i64 = 1 << 53;

/// A number that is not an id.
#[derive(Debug, thiserror::Error)]
#[error("an id is between 1 and 2^53 - 1")]
pub struct NotAnId;

/// The system's source of random bytes failed.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes from the operating system")]
pub struct NoRandomness;

/// A new id number made at `now`.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn new_id(now: Timestamp, rng: &dyn SecureRandom) -> Result<i64, NoRandomness> {
    let mut bytes = [0; 2];
    rng.fill(&mut bytes).map_err(|_| NoRandomness)?;
    let random = i64::from(u16::from_le_bytes(bytes) & 0xfff);
    let millis = (now.millis() - EPOCH_MILLIS).max(1);
    Ok(((millis << 12) | random) & (LIMIT - 1))
}

/// When the id `id` was made; ids given by hand (such as 1) read as very old.
pub fn made_at(id: i64) -> Timestamp {
    Timestamp::from_millis((id >> 12) + EPOCH_MILLIS)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// A new id made at `now`.
            ///
            /// # Errors
            /// When the operating system gives no random bytes.
            pub fn new(now: Timestamp, rng: &dyn SecureRandom) -> Result<Self, NoRandomness> {
                new_id(now, rng).map(Self)
            }

            /// The number.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = NotAnId;

            fn try_from(value: i64) -> Result<Self, NotAnId> {
                if (1..LIMIT).contains(&value) { Ok(Self(value)) } else { Err(NotAnId) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids!(
    /// An account's id.
    AccountId,
    /// A user's id.
    UserId,
    /// A session's id: the `sid` claim.
    SessionId,
    /// A permanent token's id.
    TokenId
);

impl AccountId {
    /// The first account, whose administrators administer all.
    pub const FIRST: Self = Self(1);
}

impl UserId {
    /// The first administrator.
    pub const FIRST: Self = Self(1);
}
