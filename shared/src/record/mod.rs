//! The records that the store keeps, one value under one key each.
//!
//! They are protobuf messages of their own, apart from the contract: compact, and
//! a newer version can add a field that an older one passes over. Times are
//! milliseconds since the epoch, 0 for absent. Tags are for ever.

mod people;
mod revocations;
mod tokens;

pub use self::{
    people::{Account, Password, Session, User, Username},
    revocations::{RevocationBucket, RevocationEntry},
    tokens::{Foreign, Imports, OlderSecret, PermanentToken, Secret, UsageNote, UsageReport},
};

/// A `Debug` that shows whose record it is, and nothing of a secret in it.
macro_rules! redacted {
    ($($name:ident: $id:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut debug = f.debug_struct(stringify!($name));
                debug.field(stringify!($id), &self.$id).finish_non_exhaustive()
            }
        }
    )*};
}
use redacted;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_shows_whose_it_is_and_no_hash() {
        let hash = "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".to_owned();
        let shown = format!("{:?}", Password { user: 7, hash, provisional: false });
        assert_eq!(shown, "Password { user: 7, .. }");
    }
}
