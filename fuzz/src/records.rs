//! Records of the store: damage is an error, and what is read is written again alike.

use tessera_shared::{
    keys::KeySet,
    record::{PermanentToken, Session, User},
    revocation::{Bucket, Subject},
    role::Catalogue,
};

/// Reads `data` as each kind of record.
pub fn check(data: &[u8]) {
    if let Ok(set) = KeySet::from_bytes(data) {
        assert_eq!(KeySet::from_bytes(&set.to_bytes()), Ok(set));
    }
    if let Ok(catalogue) = Catalogue::from_bytes(data) {
        let bytes = catalogue.to_bytes();
        assert_eq!(Catalogue::from_bytes(&bytes).map(|again| again.to_bytes()).ok(), Some(bytes));
    }
    if let Ok(bucket) = Bucket::decode(Some(data)) {
        let user = tessera_shared::id::UserId::FIRST;
        let _ = bucket.min_version(Subject::User(user));
    }
    again::<PermanentToken>(data);
    again::<Session>(data);
    again::<User>(data);
}

fn again<M: prost::Message + Default + PartialEq>(data: &[u8]) {
    if let Ok(record) = M::decode(data) {
        assert!(M::decode(&record.encode_to_vec()[..]) == Ok(record));
    }
}
