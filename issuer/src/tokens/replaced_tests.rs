//! What a secret that a rotation replaced may do inside its overlap.

use std::time::Duration;

use super::{
    NewToken,
    sibling_tests::{Ask, anna, ask, both_proofs, in_hours, make, record},
};
use crate::{
    caller::Caller,
    failure::Failure,
    testing::{Issuer, new_token},
};

const OVERLAP: prost_types::Duration = prost_types::Duration { seconds: 7_200, nanos: 0 };

/// What a caller may make: a token that lasts for so many hours.
async fn makes(issuer: &Issuer, caller: &Caller, hours: u64) -> Result<(), Failure> {
    let wanted = NewToken { expires_at: in_hours(issuer, hours), ..new_token("made") };
    let made = issuer.core.create_token(caller, wanted).await?;
    issuer.core.revoke_token(caller, made.token.id.try_into().unwrap()).await.map(drop)
}

/// So many hours, but of an access token, which makes nothing that outlives it, one.
fn at_most(caller: &Caller, hours: u64) -> u64 {
    let limits = caller.limits.as_ref().unwrap();
    if limits.exchanged_until.is_some() { 1 } else { hours }
}

#[tokio::test]
async fn a_replaced_secret_rotates_and_changes_nothing_and_ends_its_token() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (id, first) = make(&issuer, &owner, new_token("rotated")).await;
    let wanted = NewToken { expires_at: in_hours(&issuer, 1), ..new_token("a sibling") };
    let (sibling, _) = make(&issuer, &owner, wanted).await;
    let before = issuer.exchanged(&first).await;
    let rotated = issuer.core.rotate_token(&owner, id, Some(OVERLAP)).await.unwrap();
    let stored = record(&issuer, id).await;
    let [plain, after] = both_proofs(&issuer, &first).await;
    for caller in [&issuer.caller_here(&before).await, &plain, &after] {
        for (id, what) in [id, sibling]
            .into_iter()
            .flat_map(|id| [Ask::Rotate, Ask::Describe].map(|what| (id, what)))
        {
            let refusal = ask(&issuer, caller, id, what).await.unwrap_err();
            assert!(matches!(refusal, Failure::SecretReplaced), "{what:?}: {refusal}");
        }
    }
    assert!(record(&issuer, id).await == stored, "nothing was written");
    for caller in both_proofs(&issuer, rotated.plain.expose()).await {
        ask(&issuer, &caller, sibling, Ask::Describe).await.expect("the present secret");
    }
    ask(&issuer, &plain, id, Ask::Revoke).await.expect("its own end");
}

#[tokio::test]
async fn what_a_replaced_secret_makes_ends_with_its_overlap() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (id, first) = make(&issuer, &owner, new_token("rotated")).await;
    let rotated = issuer.core.rotate_token(&owner, id, Some(OVERLAP)).await.unwrap();
    let before = both_proofs(&issuer, &first).await;
    // Made again, for a shorter time, which is not that of the first.
    let hour = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let again = issuer.core.rotate_token(&owner, id, hour).await.unwrap();
    let after = both_proofs(&issuer, &first).await;
    for caller in before.iter().chain(&after) {
        assert!(matches!(makes(&issuer, caller, 3).await, Err(Failure::OutlivesCaller)));
        makes(&issuer, caller, at_most(caller, 2)).await.unwrap();
    }
    for caller in both_proofs(&issuer, rotated.plain.expose()).await {
        assert!(matches!(makes(&issuer, &caller, 2).await, Err(Failure::OutlivesCaller)));
        makes(&issuer, &caller, 1).await.unwrap();
    }
    for caller in both_proofs(&issuer, again.plain.expose()).await {
        makes(&issuer, &caller, at_most(&caller, 100)).await.expect("the present secret");
    }
}

#[tokio::test]
async fn an_access_token_of_a_secret_whose_overlap_is_over_makes_nothing() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (id, first) = make(&issuer, &owner, new_token("rotated")).await;
    let access = issuer.exchanged(&first).await;
    let minute = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    issuer.core.rotate_token(&owner, id, minute).await.unwrap();
    issuer.advance(Duration::from_mins(1));
    let caller = issuer.caller_here(&access).await;
    assert!(matches!(makes(&issuer, &caller, 1).await, Err(Failure::OutlivesCaller)));
}

#[tokio::test]
async fn of_two_rotations_by_one_secret_at_a_time_one_gets_the_new_secret() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (id, plain) = make(&issuer, &owner, new_token("rotated")).await;
    let [first, second] = both_proofs(&issuer, &plain).await;
    issuer.core.rotate_token(&first, id, Some(OVERLAP)).await.unwrap();
    let refusal = issuer.core.rotate_token(&second, id, Some(OVERLAP)).await;
    assert!(matches!(refusal, Err(Failure::SecretReplaced)), "examined before the first");
    let refusal = ask(&issuer, &second, id, Ask::Describe).await;
    assert!(matches!(refusal, Err(Failure::SecretReplaced)));
}
