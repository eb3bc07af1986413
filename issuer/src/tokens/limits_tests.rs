//! A permanent token's own limits bind what it makes, and what it makes of itself.

use super::{
    Change, NewToken,
    sibling_tests::{anna, both_proofs, in_hours, make, middling, record, texts},
};
use crate::{
    failure::Failure,
    testing::{Issuer, new_token},
};

/// For no longer than an access token, by which it may be made as well.
fn child(issuer: &Issuer) -> NewToken {
    let expires_at = in_hours(issuer, 1);
    NewToken { audiences: Vec::new(), allowed_cidrs: Vec::new(), expires_at, ..middling(issuer) }
}

#[tokio::test]
async fn a_token_makes_none_for_other_audiences_or_wider_networks() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (_, plain) = make(&issuer, &owner, middling(&issuer)).await;
    for caller in both_proofs(&issuer, &plain).await {
        let wanted = NewToken { audiences: texts(&["cdn", "billing"]), ..child(&issuer) };
        let refusal = issuer.core.create_token(&caller, wanted).await.err().unwrap();
        assert!(matches!(refusal, Failure::BeyondCaller("audiences")), "{refusal}");
        for cidr in ["0.0.0.0/0", "10.0.0.0/7", "::/0", "203.0.113.1"] {
            let allowed_cidrs = texts(&["10.0.0.0/9", cidr]);
            let wanted = NewToken { allowed_cidrs, ..child(&issuer) };
            let refusal = issuer.core.create_token(&caller, wanted).await.err().unwrap();
            assert!(matches!(refusal, Failure::BeyondCaller("allowed_cidrs")), "{cidr}: {refusal}");
        }
        let within = NewToken {
            audiences: texts(&["dns"]),
            allowed_cidrs: texts(&["10.2.0.0/16"]),
            ..child(&issuer)
        };
        let (id, _) = make(&issuer, &caller, within).await;
        issuer.core.revoke_token(&caller, id).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_hands_its_audiences_and_networks_down() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (own, plain) = make(&issuer, &owner, middling(&issuer)).await;
    let own = record(&issuer, own).await;
    for caller in both_proofs(&issuer, &plain).await {
        let (id, _) = make(&issuer, &caller, child(&issuer)).await;
        let made = record(&issuer, id).await;
        assert_eq!((&made.audiences, &made.allowed_cidrs), (&own.audiences, &own.allowed_cidrs));
        issuer.core.revoke_token(&owner, id).await.unwrap();
    }
    let (_, plain) = make(&issuer, &owner, new_token("limited to the default")).await;
    let caller = issuer.caller_here(&plain).await;
    let (id, _) = make(&issuer, &caller, new_token("as its maker")).await;
    let made = record(&issuer, id).await;
    assert_eq!((made.audiences, made.allowed_cidrs), (texts(&["cdn"]), Vec::new()));
}

#[tokio::test]
async fn a_token_narrows_itself_and_never_widens() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (id, plain) = make(&issuer, &owner, middling(&issuer)).await;
    let masked = |field: &str| Some(prost_types::FieldMask { paths: texts(&[field]) });
    let wider = [
        Change { audiences: texts(&["cdn", "dns", "billing"]), ..Change::default() },
        Change { allowed_cidrs: texts(&["0.0.0.0/0"]), ..Change::default() },
        Change { mask: masked("allowed_cidrs"), ..Change::default() },
        Change { mask: masked("expires_at"), ..Change::default() },
        Change { role: "Users".to_owned(), ..Change::default() },
    ];
    let before = record(&issuer, id).await;
    for caller in both_proofs(&issuer, &plain).await {
        for change in &wider {
            let refusal = issuer.core.update_token(&caller, id, change).await.err().unwrap();
            let code = tonic::Status::from(refusal).code();
            assert_eq!(code, tonic::Code::PermissionDenied);
        }
    }
    assert!(record(&issuer, id).await == before, "nothing was written");
    let caller = issuer.caller_here(&plain).await;
    let narrower = Change {
        audiences: texts(&["cdn"]),
        allowed_cidrs: texts(&["192.0.2.0/25"]),
        role: "Purge and Prefetch only (API)".to_owned(),
        ..Change::default()
    };
    issuer.core.update_token(&caller, id, &narrower).await.unwrap();
    // This caller was examined before the token was narrowed.
    for change in [
        Change { audiences: texts(&["cdn", "dns"]), ..Change::default() },
        Change { allowed_cidrs: texts(&["192.0.2.0/24"]), ..Change::default() },
        Change { role: "Engineers".to_owned(), ..Change::default() },
    ] {
        assert!(issuer.core.update_token(&caller, id, &change).await.is_err());
    }
    let widened = Change { mask: masked("allowed_cidrs"), ..Change::default() };
    issuer.core.update_token(&owner, id, &widened).await.expect("its owner may");
}

#[tokio::test]
async fn a_token_widens_no_sibling_beyond_itself() {
    let issuer = Issuer::start().await;
    let owner = anna(&issuer).await;
    let (_, plain) = make(&issuer, &owner, middling(&issuer)).await;
    let within = NewToken { audiences: texts(&["cdn"]), ..middling(&issuer) };
    let (id, _) = make(&issuer, &owner, within).await;
    for caller in both_proofs(&issuer, &plain).await {
        let change = Change { audiences: texts(&["cdn", "billing"]), ..Change::default() };
        let refusal = issuer.core.update_token(&caller, id, &change).await;
        assert!(matches!(refusal, Err(Failure::BeyondCaller("audiences"))));
        let change = Change { allowed_cidrs: texts(&["::/0"]), ..Change::default() };
        let refusal = issuer.core.update_token(&caller, id, &change).await;
        assert!(matches!(refusal, Err(Failure::BeyondCaller("allowed_cidrs"))));
        let change = Change { audiences: texts(&["cdn", "dns"]), ..Change::default() };
        issuer.core.update_token(&caller, id, &change).await.expect("as far as it goes itself");
    }
}
