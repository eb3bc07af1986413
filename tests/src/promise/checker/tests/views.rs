//! `as_of`, errors, and who is granted.

use super::*;

#[test]
fn a_view_older_than_allowed_is_found() {
    let told = Told::of(PERMANENT);
    let seen = |allowed, view| told.says(5_000, 5_010, allowed, told.grant("Admin", ALL, view));
    assert_eq!(seen(None, 4_000), None);
    assert_eq!(seen(None, 3_900), Some(Rule::OldView));
    assert_eq!(seen(Some(BOUND * 20), 3_900), Some(Rule::OldView));
    assert_eq!(seen(NOTHING, 5_000), None);
    assert_eq!(seen(NOTHING, 4_900), Some(Rule::OldView));
}

#[test]
fn a_view_from_the_future_is_found() {
    let told = Told::of(PERMANENT);
    let seen = |view| told.says(5_000, 5_010, None, told.grant("Admin", ALL, view));
    assert_eq!(seen(5_010), None);
    assert_eq!(seen(5_100), Some(Rule::FutureView));
}

#[test]
fn a_verdict_that_was_no_longer_true_at_as_of_is_found_within_the_bound_too() {
    let told = Told::of(PERMANENT).act(5_000, 5_100, Act::Revoke { token: TOKEN });
    let seen = |view| told.says(5_500, 5_510, None, told.grant("Admin", ALL, view));
    assert_eq!(seen(5_050), None);
    assert_eq!(seen(5_200), Some(Rule::UntrueView));
    let unknown = |view| {
        let said = Said::Denied { reason: DenialReason::Unknown, as_of: WALL + view };
        Told::of(PERMANENT).says(1_000, 1_010, None, said)
    };
    assert_eq!(unknown(150), None);
    assert_eq!(unknown(500), Some(Rule::UntrueView));
}

#[test]
fn a_grant_for_somebody_else_is_found() {
    let told = Told::of(PERMANENT);
    let Said::Granted { principal, as_of } = told.grant("Admin", ALL, 5_000) else {
        unreachable!()
    };
    let wrong = [
        Principal { token_id: TOKEN + 1, ..(*principal).clone() },
        Principal { user_id: USER + 1, ..(*principal).clone() },
        Principal { account_id: ACCOUNT + 1, ..(*principal).clone() },
        Principal { kind: PrincipalKind::Session.into(), ..(*principal).clone() },
    ];
    for principal in wrong {
        let said = Said::Granted { principal: Box::new(principal), as_of };
        assert_eq!(told.says(5_000, 5_010, None, said), Some(Rule::WrongPrincipal));
    }
}

#[test]
fn an_outage_passes_and_any_other_error_is_found() {
    let failed = |code, is_lost| {
        let failure = Failure { code, is_lost, message: String::new() };
        Told::of(PERMANENT).says(5_000, 5_010, None, Said::Failed(failure))
    };
    for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled] {
        assert_eq!(failed(code, false), None, "{code:?}");
    }
    for code in [Code::Internal, Code::Unknown, Code::NotFound, Code::ResourceExhausted] {
        assert_eq!(failed(code, false), Some(Rule::WrongError), "{code:?}");
    }
    // A verifier that was killed in the middle of an answer.
    assert_eq!(failed(Code::Unknown, true), None);
}

#[test]
fn several_answers_are_told_each_with_its_own_rule() {
    let told = Told::of(PERMANENT);
    let answer = |view| Answer {
        verifier: 0,
        credential: 0,
        max_staleness: None,
        required_scope: None,
        start: moment(5_000),
        end: moment(5_010),
        said: told.grant("Admin", ALL, view),
    };
    let answers = vec![answer(5_000), answer(1_000), answer(9_000)];
    let history = History { answers, ..told.0.clone() };
    let found = violations(&history, BOUND);
    let rules: Vec<_> = found.iter().map(|found| (found.answer, found.rule)).collect();
    assert_eq!(rules, [(1, Rule::OldView), (2, Rule::FutureView)]);
    let text = crate::promise::report::tell(&history, &found);
    assert!(text.contains("1 × OldView") && text.contains("1 × FutureView"), "{text}");
}
