//! What a verifier denies and why, and what it says to a wrong question.

use prost_types::Duration;
use tessera_proto::v1::{
    BatchVerifyRequest, DenialReason, RevokePermanentTokenRequest, VerifyRequest,
    verify_response::Verdict,
};
use tessera_tests::{
    ask::{ask, ask_cached, verdict},
    on_every_backend,
    refused::assert_wrong_field,
    system::{Backend, System, named},
};
use tonic::Code;

on_every_backend!(
    what_is_no_token_is_malformed,
    a_token_of_another_installation_is_unknown,
    a_forged_signature_is_denied,
    a_refresh_token_is_of_the_wrong_type,
    the_access_token_of_another_issuer_is_denied,
    a_wrong_question_is_an_error_that_names_the_field,
    a_batch_is_answered_in_order_and_a_bad_entry_spoils_no_other,
    a_batch_holds_one_to_a_thousand_entries,
);

async fn what_is_no_token_is_malformed(backend: Backend) {
    let system = backend.start().await;
    let session = system.admin_session().await;
    let good = system.permanent(&system.admin().await, named("good")).await.token;
    let mut mistyped = good.clone().into_bytes();
    let place = mistyped.len() - 10;
    mistyped[place] = if mistyped[place] == b'x' { b'y' } else { b'x' };
    let cases = [
        String::new(),
        " ".into(),
        "tessera_".into(),
        "tessera_1_".into(),
        String::from_utf8(mistyped).unwrap(),
        good[..good.len() - 1].into(),
        format!("{good}0"),
        format!(" {good}"),
        format!("Bearer {good}"),
        good.replace("tessera_", "tesserA_"),
        "a.b.c".into(),
        "..".into(),
        format!("{}.", session.access_token),
        session.access_token.rsplit_once('.').unwrap().0.into(),
        "\u{0}".into(),
        "é".repeat(40),
        "x".repeat(8192),
        "x".repeat(8193),
        format!("{}{}", session.access_token, "A".repeat(8193)),
    ];
    for token in cases {
        let denied = system.verdict(ask(&token)).await;
        assert_eq!(denied, Err(DenialReason::Malformed), "{} bytes: {token:.80}", token.len());
    }
}

async fn a_token_of_another_installation_is_unknown(backend: Backend) {
    let (here, elsewhere) = (backend.start().await, Backend::Embedded.start().await);
    let token = elsewhere.permanent(&elsewhere.admin().await, named("elsewhere")).await.token;
    assert_eq!(here.verdict(ask(&token)).await, Err(DenialReason::Unknown));
    assert_eq!(here.verdict(ask_cached(&token)).await, Err(DenialReason::Unknown));
    let foreign = elsewhere.admin_session().await.access_token;
    assert_eq!(here.verdict(ask(&foreign)).await, Err(DenialReason::BadSignature));
}

async fn a_forged_signature_is_denied(backend: Backend) {
    let system = backend.start().await;
    let token = system.admin_session().await.access_token;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.as_bytes()[20] == b'A' { 'B' } else { 'A' };
    let forged = format!("{signed}.{}{other}{}", &signature[..20], &signature[21..]);
    assert_eq!(system.verdict(ask(&forged)).await, Err(DenialReason::BadSignature));
    // The claims of one token under the signature of another.
    let second = system.admin_session().await.access_token;
    let (other_signed, _) = second.rsplit_once('.').unwrap();
    let mixed = format!("{other_signed}.{signature}");
    assert_eq!(system.verdict(ask(&mixed)).await, Err(DenialReason::BadSignature));
}

async fn a_refresh_token_is_of_the_wrong_type(backend: Backend) {
    let system = backend.start().await;
    let token = system.admin_session().await.refresh_token;
    assert_eq!(system.verdict(ask(&token)).await, Err(DenialReason::WrongType));
}

async fn the_access_token_of_another_issuer_is_denied(backend: Backend) {
    let mut system = backend.start_with(&["--issuer-url", "https://before.example"]).await;
    let token = system.admin_session().await.access_token;
    system.verdict(ask(&token)).await.expect("good");
    system.end().await;
    let (after, former) = ("https://after.example", "https://before.example");
    system.set_issuer_flags(&["--issuer-url", after, "--former-issuer-url", former]);
    system.begin().await;
    assert_eq!(system.verdict(ask(&token)).await, Err(DenialReason::WrongIssuer));
    let token = system.admin_session().await.access_token;
    system.verdict(ask(&token)).await.expect("good");
}

async fn a_wrong_question_is_an_error_that_names_the_field(backend: Backend) {
    let system = backend.start().await;
    let token = system.permanent(&system.admin().await, named("good")).await.token;
    let question = ask(&token);
    let too_many = vec!["cdn:purge".to_owned(); 65];
    let negative = Some(Duration { seconds: -1, nanos: 0 });
    let cases = [
        (VerifyRequest { audience: "a".repeat(256), ..question.clone() }, "audience"),
        (VerifyRequest { required_scopes: too_many, ..question.clone() }, "required_scopes"),
        (VerifyRequest { client_address: "nowhere".into(), ..question.clone() }, "client_address"),
        (
            VerifyRequest { client_address: "1.2.3.4:5".into(), ..question.clone() },
            "client_address",
        ),
        (VerifyRequest { max_staleness: negative, ..question.clone() }, "max_staleness"),
    ];
    for mut verifier in system.verifiers() {
        for (question, field) in &cases {
            assert_wrong_field(verifier.verify(question.clone()).await, field);
        }
    }
}

async fn a_batch_is_answered_in_order_and_a_bad_entry_spoils_no_other(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let good = system.permanent(&admin, named("good")).await.token;
    let revoked = revoked(&system).await;
    let session = system.admin_session().await.access_token;
    let wrong = VerifyRequest { client_address: "nowhere".into(), ..ask(&good) };
    let requests =
        vec![ask(&good), ask("nonsense"), wrong, ask(&revoked), ask(&session), ask(&good)];
    for mut verifier in system.verifiers() {
        let request = BatchVerifyRequest { requests: requests.clone() };
        let mut answers = verifier.batch_verify(request).await.unwrap().into_inner().responses;
        assert_eq!(answers.len(), 6);
        let spoiled = answers.remove(2);
        let Some(Verdict::Error(status)) = spoiled.verdict else { panic!("{spoiled:?}") };
        assert_eq!(status.code, Code::InvalidArgument as i32);
        let verdicts: Vec<_> = answers.into_iter().map(verdict).collect();
        assert_eq!(verdicts[0].as_ref().unwrap().name, "good");
        assert_eq!(verdicts[1], Err(DenialReason::Malformed));
        assert_eq!(verdicts[2], Err(DenialReason::Revoked));
        assert_eq!(verdicts[3].as_ref().unwrap().name, "admin");
        assert_eq!(verdicts[4], verdicts[0]);
    }
}

async fn revoked(system: &System) -> String {
    let admin = system.admin().await;
    let made = system.permanent(&admin, named("revoked")).await;
    let id = made.permanent_token.unwrap().id;
    let request = RevokePermanentTokenRequest { id };
    system.issuer(&admin).revoke_permanent_token(request).await.unwrap();
    made.token
}

async fn a_batch_holds_one_to_a_thousand_entries(backend: Backend) {
    let system = backend.start().await;
    let token = system.permanent(&system.admin().await, named("good")).await.token;
    let batch = |count| BatchVerifyRequest { requests: vec![ask_cached(&token); count] };
    for mut verifier in system.verifiers() {
        let answers = verifier.batch_verify(batch(1000)).await.unwrap().into_inner().responses;
        assert_eq!(answers.len(), 1000);
        assert!(answers.into_iter().all(|answer| verdict(answer).is_ok()));
        for count in [0, 1001] {
            assert_wrong_field(verifier.batch_verify(batch(count)).await, "requests");
        }
    }
}
