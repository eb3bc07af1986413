//! Typed records over the store's opaque ones: read, create, change.

use prost::Message;

use super::{Key, StoreError, StoreReader, StoreWriter, Swap};
use crate::{
    clock::Timestamp,
    id::{AccountId, SessionId, TokenId, UserId},
    record::{Account, Foreign, Imports, Password, PermanentToken, Session, User, Username},
    revocation::{Revocation, Subject},
};

/// How often a change is tried again when others change the same record.
const ATTEMPTS: usize = 128;
/// How long a record is kept after its end, so that its owner can still see it.
const RETENTION: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// A kind of record.
pub trait Record: Message + Default + Clone {
    /// What it is called in an error.
    const WHAT: &'static str;

    /// When the store may forget it.
    fn garbage_at(&self) -> Option<Timestamp> {
        None
    }
}

impl Record for Account {
    const WHAT: &'static str = "an account";
}

impl Record for User {
    const WHAT: &'static str = "a user";
}

impl Record for Password {
    const WHAT: &'static str = "a password";
}

impl Record for Username {
    const WHAT: &'static str = "a username";
}

impl Record for Foreign {
    const WHAT: &'static str = "the way to an imported token";

    fn garbage_at(&self) -> Option<Timestamp> {
        (self.forget_at != 0).then(|| Timestamp::from_millis(self.forget_at))
    }
}

impl Record for Imports {
    const WHAT: &'static str = "the record of imports";
}

impl Record for Session {
    const WHAT: &'static str = "a session";

    fn garbage_at(&self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(self.expires_at))
    }
}

impl Record for PermanentToken {
    const WHAT: &'static str = "a permanent token";

    fn garbage_at(&self) -> Option<Timestamp> {
        let ended = [self.revoked_at, self.expires_at].into_iter().filter(|at| *at > 0).min();
        ended.map(|at| Timestamp::from_millis(at).after(RETENTION))
    }
}

/// Reads a record's bytes.
///
/// # Errors
/// [`StoreError::Damaged`].
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T, StoreError> {
    T::decode(bytes).map_err(|_| StoreError::Damaged(T::WHAT))
}

/// The record under `key`.
///
/// # Errors
/// Those of the store; absence is `Ok(None)`.
pub async fn load<T: Record>(store: &dyn StoreReader, key: Key) -> Result<Option<T>, StoreError> {
    Ok(load_all(store, &[key]).await?.pop().flatten())
}

/// The records under `keys`, in their order.
///
/// # Errors
/// Those of the store.
pub async fn load_all<T: Record>(
    store: &dyn StoreReader,
    keys: &[Key],
) -> Result<Vec<Option<T>>, StoreError> {
    let values = store.read(keys).await?;
    values.iter().map(|value| value.as_deref().map(decode).transpose()).collect()
}

/// Writes a record that must not exist yet.
///
/// # Errors
/// Those of the store; `Ok(Swap::Conflict)`: it exists.
pub async fn create<T: Record>(
    store: &dyn StoreWriter,
    key: Key,
    record: &T,
) -> Result<Swap, StoreError> {
    store.swap(&key, None, Some(&record.encode_to_vec()), record.garbage_at()).await
}

/// Changes the record under `key` with `change`, which may be called again on a newer
/// value, and answers what was written; `Ok(None)`: there is no such record.
/// A change that changes nothing writes nothing, and makes sure of what is there.
///
/// # Errors
/// Those of `change` and of the store; [`StoreError::Contended`] when others kept
/// changing it.
pub async fn update<T: Record, E: From<StoreError>>(
    store: &dyn StoreWriter,
    key: Key,
    mut change: impl FnMut(&mut T) -> Result<(), E> + Send,
) -> Result<Option<T>, E> {
    for _ in 0..ATTEMPTS {
        let Some(old) = store.read(std::slice::from_ref(&key)).await?.pop().flatten() else {
            return Ok(None);
        };
        let mut record: T = decode(&old)?;
        change(&mut record)?;
        let new = record.encode_to_vec();
        if new == old {
            store.confirm(&key).await?;
            return Ok(Some(record));
        }
        if store.swap(&key, Some(&old), Some(&new), record.garbage_at()).await? == Swap::Done {
            return Ok(Some(record));
        }
    }
    Err(StoreError::Contended.into())
}

/// Removes the record under `key`, whatever it is; no change if there is none.
///
/// # Errors
/// Those of the store.
pub async fn remove(store: &dyn StoreWriter, key: Key) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        let Some(old) = store.read(std::slice::from_ref(&key)).await?.pop().flatten() else {
            return store.confirm(&key).await;
        };
        if store.swap(&key, Some(&old), None, None).await? == Swap::Done {
            return Ok(());
        }
    }
    Err(StoreError::Contended)
}

/// Records a revocation for access tokens; see [`crate::revocation`].
///
/// # Errors
/// Those of the store.
pub async fn revoke(
    store: &dyn StoreWriter,
    subject: Subject,
    revocation: Revocation,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = subject.key();
    for _ in 0..ATTEMPTS {
        let old = store.read(std::slice::from_ref(&key)).await?.pop().flatten();
        let new = subject.revoke(old.as_deref(), revocation, now)?;
        if old.as_deref() == Some(&new) {
            return store.confirm(&key).await;
        }
        if store.swap(&key, old.as_deref(), Some(&new), None).await? == Swap::Done {
            return Ok(());
        }
    }
    Err(StoreError::Contended)
}

macro_rules! keys {
    ($($id:ident => $key:ident),*) => {$(
        impl From<$id> for Key {
            fn from(id: $id) -> Self {
                Self::$key(id)
            }
        }
    )*};
}
keys!(AccountId => Account, UserId => User, SessionId => Session, TokenId => Token);
