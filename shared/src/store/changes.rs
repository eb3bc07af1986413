//! What a store tells those who hold copies of its records.

use std::time::Instant;

use super::Key;

/// Told of changes by a store that is followed; see [`super::StoreReader::follow`].
///
/// A store calls these from where it reads its connection or makes a write durable, so
/// none may block. The order of the calls is the promise: a change is told before any
/// instant that covers it is proven.
pub trait Changes: Send + Sync {
    /// The record under `key` is another, or may be.
    fn changed(&self, key: &Key);

    /// Any record may be another: the store was out of sight.
    fn all_changed(&self);

    /// Every change that was acknowledged before `instant` has been told.
    fn proven(&self, instant: Instant);

    /// Every change is told before it is acknowledged, from now on for ever.
    fn always_proven(&self);
}
