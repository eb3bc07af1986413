use ring::rand::SystemRandom;

use super::*;
use crate::{
    clock::Timestamp,
    id::{AccountId, SessionId, TokenId, UserId},
    keys::{Algorithm, KeyEntry, KeySet, KeyState, PrivateKey},
    principal::Proof,
};

pub(super) const ISSUER: &str = "https://tessera.example";
pub(super) const ISSUED_AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(super) const EXPIRES_AT: Timestamp = Timestamp::from_millis(1_800_003_600_000);

pub(super) fn key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::generate(algorithm, &SystemRandom::new()).unwrap()
}

pub(super) fn verifying(keys: &[&PrivateKey]) -> VerifyingKeys {
    let entry =
        |key: &&PrivateKey| KeyEntry::new(key.public().clone(), KeyState::Retired, ISSUED_AT);
    let keys = keys.iter().map(entry).collect();
    VerifyingKeys::from(&KeySet { issuer: ISSUER.to_owned(), keys })
}

pub(super) fn claims() -> AccessClaims {
    AccessClaims {
        issuer: ISSUER.to_owned(),
        user: UserId::try_from(7).unwrap(),
        account: AccountId::FIRST,
        proof: Proof::Session(SessionId::try_from(9_007_199_254_740_991).unwrap()),
        user_version: 3,
        token_version: None,
        secret_version: None,
        audiences: vec!["cdn".to_owned()],
        issued_at: ISSUED_AT,
        expires_at: EXPIRES_AT,
        not_before: None,
        jti: "0123456789abcdef".to_owned(),
        role: "Engineers".to_owned(),
        scope: "cdn:read cdn:purge".to_owned(),
        name: "ada".to_owned(),
        allowed_cidrs: Vec::new(),
    }
}

pub(super) fn exchanged() -> AccessClaims {
    AccessClaims {
        proof: Proof::PermanentToken(TokenId::try_from(42).unwrap()),
        token_version: Some(0),
        secret_version: Some(2),
        not_before: Some(ISSUED_AT),
        allowed_cidrs: vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()],
        ..claims()
    }
}

/// What becomes of `claims`, signed, at `now`.
fn verdict(claims: &AccessClaims, now: Timestamp) -> Result<VerifiedClaims, Rejection> {
    let key = key(Algorithm::EdDsa);
    let keys = verifying(&[&key]);
    verify(&AccessSigner::new(key).sign(claims).unwrap(), &keys, now)
}

fn at(offset_millis: i64) -> Timestamp {
    Timestamp::from_millis(ISSUED_AT.millis() + offset_millis)
}

#[test]
fn each_algorithm_reads_back_what_was_signed() {
    let all = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256].map(key);
    let keys = verifying(&all.iter().collect::<Vec<_>>());
    for key in all {
        let kid = key.public().kid().to_owned();
        let signer = AccessSigner::new(key);
        assert_eq!(signer.kid(), kid);
        for claims in [claims(), exchanged()] {
            let token = signer.sign(&claims).unwrap();
            assert!(looks_like_jwt(&token));
            let verified = verify(&token, &keys, ISSUED_AT).unwrap();
            assert_eq!(verified.claims(), &claims);
        }
    }
}

#[test]
fn the_ids_come_out_typed() {
    let session = verdict(&claims(), ISSUED_AT).unwrap();
    assert_eq!((session.user().get(), session.account().get()), (7, 1));
    assert_eq!(session.session(), SessionId::try_from(9_007_199_254_740_991).ok());
    assert_eq!(session.token(), None);
    assert_eq!(session.expires_at(), EXPIRES_AT);
    let exchanged = verdict(&exchanged(), ISSUED_AT).unwrap();
    assert_eq!(exchanged.session(), None);
    assert_eq!(exchanged.token(), TokenId::try_from(42).ok());
}

#[test]
fn times_are_written_in_whole_seconds_rounded_down() {
    let uneven = AccessClaims { expires_at: at(5_999), issued_at: at(999), ..claims() };
    let verified = verdict(&uneven, at(4_999)).unwrap();
    assert_eq!(verified.expires_at(), at(5_000));
    assert_eq!(verified.claims().issued_at, ISSUED_AT);
    assert_eq!(verdict(&uneven, at(5_000)), Err(Rejection::Expired));
}

#[test]
fn a_token_expires_at_the_instant_of_its_exp() {
    let last = Timestamp::from_millis(EXPIRES_AT.millis() - 1);
    assert!(verdict(&claims(), last).is_ok());
    assert_eq!(verdict(&claims(), EXPIRES_AT), Err(Rejection::Expired));
    assert_eq!(verdict(&claims(), Timestamp::NEVER), Err(Rejection::Expired));
}

#[test]
fn a_token_is_good_from_the_instant_of_its_nbf() {
    let later = AccessClaims { not_before: Some(at(10_000)), ..claims() };
    assert_eq!(verdict(&later, at(9_999)), Err(Rejection::NotYetValid));
    assert!(verdict(&later, at(10_000)).is_ok());
}

#[test]
fn an_iat_may_lie_a_minute_ahead_and_no_more() {
    assert!(verdict(&claims(), at(-60_000)).is_ok());
    assert_eq!(verdict(&claims(), at(-60_001)), Err(Rejection::NotYetValid));
}

#[test]
fn the_issuer_is_compared_exactly() {
    for issuer in ["https://tessera.example/", "https://Tessera.example", "", "tessera.example"] {
        let foreign = AccessClaims { issuer: issuer.to_owned(), ..claims() };
        assert_eq!(verdict(&foreign, ISSUED_AT), Err(Rejection::WrongIssuer), "{issuer}");
    }
}

#[test]
fn a_key_that_is_not_held_is_unknown() {
    let token = AccessSigner::new(key(Algorithm::Es256)).sign(&claims()).unwrap();
    let keys = verifying(&[&key(Algorithm::Es256)]);
    assert_eq!(verify(&token, &keys, ISSUED_AT), Err(Rejection::UnknownKey));
    assert_eq!(verify(&token, &verifying(&[]), ISSUED_AT), Err(Rejection::UnknownKey));
}

#[test]
fn a_token_that_no_verifier_would_read_is_not_made() {
    let signer = AccessSigner::new(key(Algorithm::Es256));
    let wide = AccessClaims { audiences: vec!["a".repeat(100); 80], ..claims() };
    assert!(matches!(signer.sign(&wide), Err(SigningError::TooLong)));
    for claims in [
        AccessClaims { expires_at: Timestamp::NEVER, ..claims() },
        AccessClaims { issued_at: at(-ISSUED_AT.millis() - 1), ..claims() },
        AccessClaims { token_version: Some(1), ..claims() },
        AccessClaims { secret_version: Some(1), ..claims() },
        AccessClaims { token_version: None, ..exchanged() },
    ] {
        assert!(matches!(signer.sign(&claims), Err(SigningError::Unreadable)), "{claims:?}");
    }
}

#[test]
fn the_debug_of_a_signer_shows_no_key() {
    let key = key(Algorithm::EdDsa);
    let seed = format!("{:?}", &key.pkcs8_der()[16..48]);
    let shown = format!("{:?}", AccessSigner::new(key));
    assert!(shown.contains("redacted") && !shown.contains(&seed), "{shown}");
}

#[test]
fn a_permanent_token_does_not_look_like_a_jwt() {
    for token in ["", "tessera_42_0aZ9", "a.b", "a.b.c.d"] {
        assert!(!looks_like_jwt(token), "{token}");
    }
    for token in ["a.b.c", "..", "eyJhbGciOiJub25lIn0", "eyJ.a.b.c"] {
        assert!(looks_like_jwt(token), "{token}");
    }
}
