//! Rotations that are made again, and what becomes of the secrets before.

use std::time::Duration;

use tessera_shared::{examine::Reason, id::TokenId};

use super::sibling_tests::{make, record};
use crate::{
    caller::Caller,
    failure::Failure,
    testing::{Issuer, new_token},
};

/// A token of the administrator's, and its string.
async fn token(issuer: &Issuer) -> (Caller, TokenId, String) {
    let admin = issuer.admin().await;
    let (id, plain) = make(issuer, &admin, new_token("rotated")).await;
    (admin, id, plain)
}

async fn rotate(issuer: &Issuer, caller: &Caller, id: TokenId, seconds: i64) -> String {
    let overlap = Some(prost_types::Duration { seconds, nanos: 0 });
    let rotated = issuer.core.rotate_token(caller, id, overlap).await.unwrap();
    rotated.plain.expose().to_owned()
}

#[tokio::test]
async fn a_rotation_made_again_leaves_the_deployed_secret_its_overlap() {
    let issuer = Issuer::start().await;
    let (admin, id, deployed) = token(&issuer).await;
    // Nobody got to know what the first three answered.
    for _ in 0..3 {
        rotate(&issuer, &admin, id, 60).await;
        issuer.advance(Duration::from_secs(1));
    }
    let known = rotate(&issuer, &admin, id, 60).await;
    for plain in [&deployed, &known] {
        assert_eq!(issuer.refusal(plain).await, None);
    }
    issuer.advance(Duration::from_secs(57) - Duration::from_millis(1));
    assert_eq!(issuer.refusal(&deployed).await, None, "the overlap that it was promised");
    issuer.advance(Duration::from_millis(1));
    assert_eq!(issuer.refusal(&deployed).await, Some(Reason::Replaced(id)), "and no more");
    assert_eq!(issuer.refusal(&known).await, None);
}

#[tokio::test]
async fn an_unconfirmed_rotation_made_again_leaves_the_deployed_secret_its_overlap() {
    let issuer = Issuer::start().await;
    let (admin, id, deployed) = token(&issuer).await;
    issuer.store.die_after(0);
    let overlap = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let cut = issuer.core.rotate_token(&admin, id, overlap).await;
    assert!(matches!(cut, Err(Failure::StoreUnavailable(_))));
    issuer.store.live();
    rotate(&issuer, &admin, id, 60).await;
    rotate(&issuer, &admin, id, 30).await;
    assert_eq!(issuer.refusal(&deployed).await, None);
    issuer.advance(Duration::from_secs(59));
    assert_eq!(issuer.refusal(&deployed).await, None, "not cut by a shorter one after it");
}

#[tokio::test]
async fn a_rotation_with_no_overlap_ends_all_secrets_before() {
    let issuer = Issuer::start().await;
    let (admin, id, first) = token(&issuer).await;
    let second = rotate(&issuer, &admin, id, 60).await;
    let third = rotate(&issuer, &admin, id, 60).await;
    let access = issuer.exchanged(&first).await;
    let present = rotate(&issuer, &admin, id, 0).await;
    for plain in [&first, &second, &third] {
        assert_eq!(issuer.refusal(plain).await, Some(Reason::Replaced(id)));
        assert_eq!(issuer.core.end_presented(plain).await.unwrap(), None);
    }
    assert_eq!(issuer.refusal(&access).await, Some(Reason::Revoked));
    assert_eq!(issuer.refusal(&present).await, None);
    assert!(record(&issuer, id).await.older.is_empty());
}

#[tokio::test]
async fn a_record_has_four_replaced_secrets_and_knows_the_others_again() {
    let issuer = Issuer::start().await;
    let (admin, id, first) = token(&issuer).await;
    let mut secrets = vec![first];
    for _ in 0..6 {
        secrets.push(rotate(&issuer, &admin, id, 60).await);
    }
    for (number, plain) in secrets.iter().enumerate() {
        let expected = (number < 2).then_some(Reason::Replaced(id));
        assert_eq!(issuer.refusal(plain).await, expected, "secret {number}");
    }
    issuer.advance(Duration::from_secs(60));
    rotate(&issuer, &admin, id, 60).await;
    let record = record(&issuer, id).await;
    assert_eq!((record.older.len(), record.retired.len()), (0, 6), "their time is over");
    assert_eq!(issuer.refusal(&secrets[3]).await, Some(Reason::Replaced(id)));
}

#[tokio::test]
async fn any_secret_inside_its_overlap_ends_the_token() {
    let issuer = Issuer::start().await;
    let (admin, id, first) = token(&issuer).await;
    rotate(&issuer, &admin, id, 60).await;
    let present = rotate(&issuer, &admin, id, 60).await;
    assert!(issuer.core.end_presented(&first).await.unwrap().is_some());
    assert_eq!(issuer.refusal(&present).await, Some(Reason::Revoked));
}
