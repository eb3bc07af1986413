//! Ends, changes and beginnings.

use super::*;

const REVOKE: Act = Act::Revoke { token: TOKEN };
const DEMOTE: Act = Act::UserRole { user: USER, role: READER };

const fn user(disabled: bool) -> Act {
    Act::UserState { user: USER, disabled }
}

#[test]
fn a_grant_later_than_the_bound_after_an_acknowledged_revoke_is_found() {
    let told = Told::of(PERMANENT).act(5_000, 5_100, REVOKE);
    assert_eq!(told.grants(6_100, 6_110, None), Some(Rule::LateGrant));
    // The question was sent within the bound: it may have been answered within it.
    assert_eq!(told.grants(6_099, 9_000, None), None);
    assert_eq!(told.grants(4_000, 4_010, None), None);
}

#[test]
fn a_grant_from_a_forced_read_after_an_acknowledged_revoke_is_found() {
    let told = Told::of(PERMANENT).act(5_000, 5_100, REVOKE);
    assert_eq!(told.grants(5_100, 5_110, NOTHING), Some(Rule::LateGrant));
    assert_eq!(told.grants(5_099, 5_110, NOTHING), None);
    let tenth = Some(Duration::from_millis(100));
    assert_eq!(told.grants(5_200, 5_210, tenth), Some(Rule::LateGrant));
    assert_eq!(told.grants(5_199, 5_210, tenth), None);
}

#[test]
fn a_longer_staleness_than_the_bound_is_not_allowed_by_asking_for_it() {
    let told = Told::of(PERMANENT).act(5_000, 5_100, REVOKE);
    let grant = told.grant("Admin", ALL, 5_200);
    assert_eq!(told.says(6_100, 6_110, Some(BOUND * 20), grant), Some(Rule::LateGrant));
}

#[test]
fn a_revoke_that_nobody_acknowledged_may_be_done_or_not() {
    let told = Told::of(PERMANENT).operation(5_000, Outcome::Unknown, REVOKE);
    assert_eq!(told.grants(9_000, 9_010, NOTHING), None);
    assert_eq!(told.denies(9_000, 9_010, NOTHING, DenialReason::Revoked), None);
    let told = Told::of(PERMANENT).operation(5_000, Outcome::Refused, REVOKE);
    let denied = told.denies(9_000, 9_010, NOTHING, DenialReason::Revoked);
    assert_eq!(denied, Some(Rule::WrongDenial));
}

#[test]
fn a_denial_of_what_was_good_all_along_is_found() {
    let told = Told::of(PERMANENT).act(5_000, 5_100, REVOKE);
    for reason in [DenialReason::Revoked, DenialReason::Unknown, DenialReason::Malformed] {
        assert_eq!(told.denies(4_900, 4_999, None, reason), Some(Rule::WrongDenial));
    }
    assert_eq!(told.denies(4_900, 5_000, None, DenialReason::Revoked), None);
    // Revoked it is by now, but never was it unknown.
    assert_eq!(told.denies(8_000, 8_010, None, DenialReason::Unknown), Some(Rule::WrongDenial));
    assert_eq!(told.denies(8_000, 8_010, None, DenialReason::Revoked), None);
}

#[test]
fn a_new_token_is_unknown_for_no_longer_than_the_bound() {
    let told = Told::of(PERMANENT);
    assert_eq!(told.denies(1_199, 1_210, None, DenialReason::Unknown), None);
    assert_eq!(told.denies(1_200, 1_210, None, DenialReason::Unknown), Some(Rule::WrongDenial));
    assert_eq!(told.denies(200, 210, NOTHING, DenialReason::Unknown), Some(Rule::WrongDenial));
}

#[test]
fn a_string_that_was_never_issued_is_unknown_and_nothing_else() {
    let told = Told::of(Kind::Bogus);
    assert_eq!(told.grants(5_000, 5_010, None), Some(Rule::LateGrant));
    assert_eq!(told.denies(5_000, 5_010, None, DenialReason::Unknown), None);
    assert_eq!(told.denies(5_000, 5_010, None, DenialReason::Revoked), Some(Rule::WrongDenial));
}

#[test]
fn a_rotation_ends_the_secrets_before_it_and_not_its_own() {
    let rotate = Act::Rotate { token: TOKEN, up_to: 1 };
    let old = Told::of(PERMANENT).act(5_000, 5_100, rotate);
    assert_eq!(old.grants(6_100, 6_110, None), Some(Rule::LateGrant));
    assert_eq!(old.denies(6_100, 6_110, None, DenialReason::Revoked), None);
    let new = Told::of(Kind::Permanent { token: TOKEN, version: 2 }).act(100, 200, rotate);
    assert_eq!(new.grants(2_000, 2_010, None), None);
    assert_eq!(new.denies(2_000, 2_010, None, DenialReason::Revoked), Some(Rule::WrongDenial));
    let exchanged = Told::of(EXCHANGED).act(5_000, 5_100, rotate);
    assert_eq!(exchanged.grants(6_100, 6_110, None), Some(Rule::LateGrant));
}

#[test]
fn a_disabled_user_is_denied_until_enabled_and_then_granted() {
    let told = Told::of(PERMANENT).act(5_000, 5_100, user(true)).act(8_000, 8_100, user(false));
    let disabled = DenialReason::PrincipalDisabled;
    assert_eq!(told.grants(6_100, 6_110, None), Some(Rule::LateGrant));
    assert_eq!(told.denies(6_100, 6_110, None, disabled), None);
    assert_eq!(told.denies(6_100, 6_110, None, DenialReason::Revoked), Some(Rule::WrongDenial));
    // The view may be one from before it was disabled, or from after it was enabled.
    assert_eq!(told.grants(6_050, 6_060, None), None);
    assert_eq!(told.grants(7_950, 8_000, NOTHING), None);
    assert_eq!(told.denies(9_050, 9_060, None, disabled), None);
    assert_eq!(told.denies(9_100, 9_110, None, disabled), Some(Rule::WrongDenial));
}

#[test]
fn access_tokens_made_before_a_change_of_the_user_stay_ended() {
    for kind in [LOGGED_IN, EXCHANGED] {
        let told = Told::of(kind).act(5_000, 5_100, user(true)).act(6_000, 6_100, user(false));
        assert_eq!(told.grants(9_000, 9_010, None), Some(Rule::LateGrant), "{kind:?}");
        assert_eq!(told.denies(9_000, 9_010, None, DenialReason::Revoked), None, "{kind:?}");
        let told = Told::of(kind).act(5_000, 5_100, DEMOTE);
        assert_eq!(told.grants(9_000, 9_010, None), Some(Rule::LateGrant), "{kind:?}");
    }
}

#[test]
fn a_disabled_user_stays_disabled_whatever_else_is_changed() {
    for kind in [LOGGED_IN, EXCHANGED, PERMANENT] {
        let sessions = Act::EndSessions { user: USER };
        let told = Told::of(kind).act(5_000, 5_100, user(true)).act(6_000, 6_100, sessions);
        let denied = told.denies(9_000, 9_010, NOTHING, DenialReason::PrincipalDisabled);
        assert_eq!(denied, None, "{kind:?}");
    }
}

#[test]
fn access_tokens_made_after_a_change_are_good_and_those_made_during_it_may_be() {
    for kind in [LOGGED_IN, EXCHANGED] {
        let told = Told::of(kind).act(50, 100, user(false));
        assert_eq!(told.grants(9_000, 9_010, None), None, "{kind:?}");
        let denied = told.denies(9_000, 9_010, None, DenialReason::Revoked);
        assert_eq!(denied, Some(Rule::WrongDenial), "{kind:?}");
        let told = Told::of(kind).act(50, 101, user(false));
        assert_eq!(told.grants(9_000, 9_010, None), None, "{kind:?}");
        assert_eq!(told.denies(9_000, 9_010, None, DenialReason::Revoked), None, "{kind:?}");
    }
}

#[test]
fn a_disabled_account_is_denied_with_all_kinds_of_tokens() {
    let disable = Act::AccountState { account: ACCOUNT, disabled: true };
    for kind in [PERMANENT, LOGGED_IN, EXCHANGED] {
        let told = Told::of(kind).act(5_000, 5_100, disable);
        assert_eq!(told.grants(6_100, 6_110, None), Some(Rule::LateGrant), "{kind:?}");
        let denied = told.denies(6_100, 6_110, None, DenialReason::PrincipalDisabled);
        assert_eq!(denied, None, "{kind:?}");
    }
}

#[test]
fn a_session_ends_with_its_logout_and_with_all_of_the_users() {
    let all = [
        Act::Logout { session: SESSION },
        Act::LogoutAll { user: USER },
        Act::EndSessions { user: USER },
    ];
    for act in all {
        let told = Told::of(LOGGED_IN).act(5_000, 5_100, act);
        assert_eq!(told.grants(6_100, 6_110, None), Some(Rule::LateGrant), "{act:?}");
        let told = Told::of(PERMANENT).act(5_000, 5_100, act);
        let denied = told.denies(6_100, 6_110, None, DenialReason::Revoked);
        assert_eq!(denied, Some(Rule::WrongDenial), "{act:?}");
    }
}

#[test]
fn an_exchanged_token_dies_with_its_permanent_token_whenever_it_was_made() {
    let told = Told::of(EXCHANGED).act(150, 300, REVOKE);
    assert_eq!(told.grants(1_300, 1_310, None), Some(Rule::LateGrant));
    let narrow = Act::TokenRole { token: TOKEN, role: READER };
    let told = Told::of(EXCHANGED).act(5_000, 5_100, narrow);
    assert_eq!(told.grants(6_100, 6_110, None), Some(Rule::LateGrant));
}

#[test]
fn a_scope_that_a_role_change_took_away_is_found() {
    for act in [DEMOTE, Act::TokenRole { token: TOKEN, role: READER }] {
        let told = Told::of(PERMANENT).act(5_000, 5_100, act);
        assert_eq!(told.grants(6_099, 6_110, None), None, "{act:?}");
        assert_eq!(told.grants(6_100, 6_110, None), Some(Rule::LateGrant), "{act:?}");
    }
    let told = Told::of(PERMANENT).act(5_000, 5_100, DEMOTE);
    let narrowed = |view| told.grant("Admin", &["a:read"], view);
    assert_eq!(told.says(6_100, 6_110, None, narrowed(6_000)), None);
    assert_eq!(told.says(4_000, 4_010, None, narrowed(4_000)), Some(Rule::LateGrant), "too early");
}

#[test]
fn a_missing_scope_is_a_ground_only_where_it_was_missing() {
    let told = Told::of(PERMANENT).act(5_000, 5_100, DEMOTE);
    let lacks = |start: i64, scope| {
        let (reason, as_of) = (DenialReason::InsufficientScope, WALL + start);
        told.answers(start, start + 10, None, scope, Said::Denied { reason, as_of })
    };
    assert_eq!(lacks(6_100, Some("a:write")), None);
    assert_eq!(lacks(4_000, Some("a:write")), Some(Rule::WrongDenial));
    assert_eq!(lacks(6_100, Some("a:read")), Some(Rule::WrongDenial));
    assert_eq!(lacks(6_100, None), Some(Rule::WrongDenial));
    let grant = told.grant("Admin", &["a:read"], 6_200);
    let granted = told.answers(6_200, 6_210, None, Some("a:write"), grant);
    assert_eq!(granted, Some(Rule::LateGrant), "a required scope is not held");
}

#[test]
fn expiry_needs_no_news_and_no_bound() {
    for kind in [PERMANENT, LOGGED_IN, EXCHANGED] {
        let told = Told::of(kind).expiring(5_000);
        assert_eq!(told.grants(4_995, 5_010, None), None, "{kind:?}");
        assert_eq!(told.grants(5_010, 5_020, None), Some(Rule::LateGrant), "{kind:?}");
        assert_eq!(told.denies(5_010, 5_020, None, DenialReason::Expired), None, "{kind:?}");
        let early = told.denies(4_900, 4_950, None, DenialReason::Expired);
        assert_eq!(early, Some(Rule::WrongDenial), "{kind:?}");
    }
}
