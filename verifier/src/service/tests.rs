use prost::Message as _;
use tessera_proto::v1::{
    BatchVerifyRequest, DenialReason, PrincipalKind, VerifyRequest, VerifyResponse,
    verify_response::Verdict,
};
use tessera_shared::{
    clock::Timestamp,
    store::{Key, StoreError},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RpcStatusExt as _, StatusExt as _};

use super::{
    LARGEST_BATCH, LARGEST_MESSAGE,
    failure::{Failure, Violation},
};
use crate::testing::{INTERNALS, NOW, Running, asking};

async fn verify(running: &Running, request: VerifyRequest) -> Result<VerifyResponse, Status> {
    running.client.clone().verify(request).await.map(tonic::Response::into_inner)
}

async fn batch(
    running: &Running,
    requests: Vec<VerifyRequest>,
) -> Result<Vec<VerifyResponse>, Status> {
    let answer = running.client.clone().batch_verify(BatchVerifyRequest { requests }).await?;
    Ok(answer.into_inner().responses)
}

fn denial(response: &VerifyResponse) -> DenialReason {
    match &response.verdict {
        Some(Verdict::Denial(denial)) => denial.reason(),
        other => panic!("no denial: {other:?}"),
    }
}

fn granted_name(response: &VerifyResponse) -> &str {
    match &response.verdict {
        Some(Verdict::Principal(principal)) => &principal.name,
        other => panic!("no grant: {other:?}"),
    }
}

fn wrong_fields(details: &ErrorDetails) -> Vec<String> {
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FIELD", "tessera.v1"));
    let violations = &details.bad_request().unwrap().field_violations;
    violations.iter().map(|violation| violation.field.clone()).collect()
}

fn assert_outage(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable);
    let info = status.get_details_error_info().unwrap();
    let told = (info.reason.as_str(), info.domain.as_str());
    assert_eq!(told, ("STORE_UNAVAILABLE", "tessera.v1"));
    assert!(!format!("{status:?}").contains(INTERNALS));
}

fn seconds(seconds: i64, nanos: i32) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos }
}

#[tokio::test]
async fn a_good_token_is_granted_with_its_principal() {
    let running = Running::start(&[]).await;
    let token = running.store.put_token(7, |token| token.expires_at = NOW.millis() + 1);
    let response = verify(&running, asking(&token)).await.unwrap();
    let as_of = response.as_of.unwrap();
    assert_eq!((as_of.seconds, as_of.nanos), (NOW.seconds(), 250_000_000));
    let Some(Verdict::Principal(principal)) = response.verdict else { panic!("no grant") };
    assert_eq!(principal.kind(), PrincipalKind::PermanentToken);
    assert_eq!((principal.token_id, principal.session_id), (7, 0));
    assert_eq!((principal.account_id, principal.user_id), (1, 1));
    assert_eq!(principal.role, "Purge and Prefetch only (API)");
    assert_eq!(principal.scopes, ["cdn:prefetch", "cdn:purge"]);
    assert_eq!((principal.audiences, principal.name), (vec!["cdn".to_owned()], "token 7".into()));
    assert_eq!(principal.issued_at.unwrap().seconds, NOW.seconds() - 1);
    assert_eq!(principal.expires_at.unwrap().nanos, 251_000_000);
}

#[tokio::test]
async fn a_token_is_refused_for_what_is_wrong_with_it_or_asked_of_it() {
    let running = Running::start(&[]).await;
    let store = &running.store;
    let good = store.put_token(1, |_| {});
    let expired = store.put_token(2, |token| token.expires_at = NOW.millis());
    let early = store.put_token(3, |token| token.not_before = NOW.millis() + 1);
    let revoked = store.put_token(4, |token| token.revoked_at = NOW.millis());
    let bound = store.put_token(5, |token| token.allowed_cidrs = vec!["192.0.2.0/24".into()]);
    let unknown = store.put_token(6, |token| token.hash.clear());
    let orphan = store.put_token(8, |token| token.user = 99);
    let elsewhere = VerifyRequest { audience: "dns".into(), ..asking(&good) };
    let greedy = VerifyRequest { required_scopes: vec!["cdn:write".into()], ..asking(&good) };
    let far = VerifyRequest { client_address: "198.51.100.1".into(), ..asking(&bound) };
    for (request, reason) in [
        (asking(""), DenialReason::Malformed),
        (asking("hunter2"), DenialReason::Malformed),
        (asking(&expired), DenialReason::Expired),
        (asking(&early), DenialReason::NotYetValid),
        (asking(&revoked), DenialReason::Revoked),
        (asking(&unknown), DenialReason::Unknown),
        (asking(&orphan), DenialReason::PrincipalDisabled),
        (elsewhere, DenialReason::WrongAudience),
        (greedy, DenialReason::InsufficientScope),
        (asking(&bound), DenialReason::AddressNotAllowed),
        (far, DenialReason::AddressNotAllowed),
    ] {
        assert_eq!(denial(&verify(&running, request).await.unwrap()), reason);
    }
    for near in ["192.0.2.9", "::ffff:192.0.2.9"] {
        let near = VerifyRequest { client_address: near.into(), ..asking(&bound) };
        assert_eq!(granted_name(&verify(&running, near).await.unwrap()), "token 5");
    }
}

#[tokio::test]
async fn a_wrong_field_is_named_and_not_repeated() {
    let running = Running::start(&[]).await;
    let scopes = |wrong: &str| vec!["a:b".into(), "a:b".into(), "a:b".into(), wrong.to_owned()];
    let with = VerifyRequest::default;
    for (request, field) in [
        (VerifyRequest { audience: "a".repeat(256), ..with() }, "audience"),
        (VerifyRequest { required_scopes: scopes("s3cret"), ..with() }, "required_scopes[3]"),
        (VerifyRequest { required_scopes: scopes(""), ..with() }, "required_scopes[3]"),
        (VerifyRequest { required_scopes: vec!["a:b".into(); 65], ..with() }, "required_scopes"),
        (VerifyRequest { client_address: "s3cret".into(), ..with() }, "client_address"),
        (VerifyRequest { client_address: "192.0.2.1:80".into(), ..with() }, "client_address"),
        (VerifyRequest { client_address: "192.0.2.0/24".into(), ..with() }, "client_address"),
        (VerifyRequest { max_staleness: Some(seconds(-1, 0)), ..with() }, "max_staleness"),
        (VerifyRequest { max_staleness: Some(seconds(0, -1)), ..with() }, "max_staleness"),
        (VerifyRequest { max_staleness: Some(seconds(1, -1)), ..with() }, "max_staleness"),
        (VerifyRequest { max_staleness: Some(seconds(0, i32::MAX)), ..with() }, "max_staleness"),
        (VerifyRequest { max_staleness: Some(seconds(i64::MAX, 0)), ..with() }, "max_staleness"),
    ] {
        let status = verify(&running, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(wrong_fields(&status.get_error_details()), [field]);
        assert!(!format!("{status:?}").contains("s3cret"));
    }
    // Of a token that is held too, though it has each of these scopes.
    let held = running.store.put_token(7, |_| {});
    verify(&running, asking(&held)).await.unwrap();
    let held = |scopes| VerifyRequest { required_scopes: scopes, ..asking(&held) };
    assert!(verify(&running, held(vec!["cdn:purge".into(); 64])).await.is_ok());
    let status = verify(&running, held(vec!["cdn:purge".into(); 65])).await.unwrap_err();
    assert_eq!(wrong_fields(&status.get_error_details()), ["required_scopes"]);
    let both = VerifyRequest { client_address: "x".into(), audience: "a".repeat(256), ..with() };
    let status = verify(&running, both).await.unwrap_err();
    assert_eq!(wrong_fields(&status.get_error_details()), ["audience", "client_address"]);
}

#[tokio::test]
async fn a_question_at_every_limit_is_answered() {
    let running = Running::start(&[]).await;
    let audience = "a".repeat(255);
    let scopes = vec![format!("s:{}", "a".repeat(126)); 64];
    for staleness in [seconds(0, 0), seconds(315_576_000_000, 999_999_999)] {
        let request = VerifyRequest {
            token: running.store.put_token(1, |token| token.audiences = vec![audience.clone()]),
            audience: audience.clone(),
            required_scopes: scopes.clone(),
            client_address: "2001:db8::1".into(),
            max_staleness: Some(staleness),
        };
        let response = verify(&running, request).await.unwrap();
        assert_eq!(denial(&response), DenialReason::InsufficientScope);
    }
}

#[tokio::test]
async fn a_token_over_8_kib_is_malformed_without_a_look_at_the_store() {
    let running = Running::start(&[]).await;
    running.store.cut();
    for length in [8193, 100_000] {
        let token = format!("eyJ{}", "a".repeat(length - 3));
        let response = verify(&running, asking(&token)).await.unwrap();
        assert_eq!(denial(&response), DenialReason::Malformed);
    }
}

#[tokio::test]
async fn an_audience_is_required_only_where_the_verifier_says_so() {
    let strict = Running::start(&["--require-audience"]).await;
    let token = strict.store.put_token(1, |_| {});
    let status = verify(&strict, asking(&token)).await.unwrap_err();
    assert_eq!(wrong_fields(&status.get_error_details()), ["audience"]);
    let named = VerifyRequest { audience: "cdn".into(), ..asking(&token) };
    assert_eq!(granted_name(&verify(&strict, named).await.unwrap()), "token 1");
}

#[tokio::test]
async fn an_outage_is_unavailable_and_over_when_the_store_is_back() {
    let running = Running::start(&[]).await;
    let token = running.store.put_token(1, |_| {});
    let bogus = asking("bogus");
    running.store.cut();
    assert_outage(&verify(&running, asking(&token)).await.unwrap_err());
    assert_outage(&batch(&running, vec![bogus.clone(), asking(&token)]).await.unwrap_err());
    running.store.cut_at(|key| matches!(key, Key::User(_)));
    assert_outage(&verify(&running, asking(&token)).await.unwrap_err());
    assert_outage(&batch(&running, vec![bogus, asking(&token)]).await.unwrap_err());
    running.store.mend();
    assert_eq!(granted_name(&verify(&running, asking(&token)).await.unwrap()), "token 1");
}

#[tokio::test]
async fn one_look_up_out_of_reach_fails_the_whole_batch() {
    let running = Running::start(&[]).await;
    let tokens: Vec<String> = (1..=3).map(|id| running.store.put_token(id, |_| {})).collect();
    running.store.cut_at(|key| matches!(key, Key::Token(id) if id.get() == 2));
    let requests = tokens.iter().map(|token| asking(token)).collect();
    assert_outage(&batch(&running, requests).await.unwrap_err());
}

#[tokio::test]
async fn a_damaged_record_is_an_internal_fault_and_no_verdict() {
    let running = Running::start(&[]).await;
    let token = running.store.put_token(1, |_| {});
    running.store.put(Key::Roles, b"not a catalogue".to_vec());
    let status = verify(&running, asking(&token)).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
    assert!(!status.message().contains("catalogue"));
}

#[tokio::test]
async fn as_of_is_the_instant_before_the_store_was_read() {
    let running = Running::start(&[]).await;
    let token = running.store.put_token(1, |_| {});
    let clock = running.clock.clone();
    running.store.meanwhile(move || clock.set(Timestamp::from_millis(NOW.millis() + 60_000)));
    let response = verify(&running, asking(&token)).await.unwrap();
    assert_eq!(response.as_of.unwrap().seconds, NOW.seconds());
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_a_wrong_entry_spoils_no_other() {
    let running = Running::start(&[]).await;
    let mut requests: Vec<VerifyRequest> =
        (1..=600).map(|id| asking(&running.store.put_token(id, |_| {}))).collect();
    requests[7] = VerifyRequest {
        audience: "a".repeat(256),
        required_scopes: vec!["a:b".into(), "wrong".into()],
        ..requests[7].clone()
    };
    requests[8] = asking("bogus");
    let responses = batch(&running, requests).await.unwrap();
    assert_eq!(responses.len(), 600);
    for (place, response) in responses.iter().enumerate() {
        match place {
            7 => {
                let Some(Verdict::Error(error)) = &response.verdict else { panic!("no error") };
                assert_eq!(error.code, i32::from(Code::InvalidArgument));
                let fields = wrong_fields(&error.get_error_details());
                assert_eq!(fields, ["requests[7].audience", "requests[7].required_scopes[1]"]);
            }
            8 => assert_eq!(denial(response), DenialReason::Malformed),
            _ => assert_eq!(granted_name(response), format!("token {}", place + 1)),
        }
    }
}

#[tokio::test]
async fn a_batch_holds_1_to_1000_questions() {
    let running = Running::start(&[]).await;
    for count in [0, LARGEST_BATCH + 1] {
        let status = batch(&running, vec![asking("x"); count]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(wrong_fields(&status.get_error_details()), ["requests"]);
    }
    let responses = batch(&running, vec![asking("x"); LARGEST_BATCH]).await.unwrap();
    assert_eq!(responses.len(), LARGEST_BATCH);
}

/// With every field at the limit that the contract documents.
fn largest_question() -> VerifyRequest {
    VerifyRequest {
        token: "a".repeat(8192),
        audience: "a".repeat(255),
        required_scopes: vec![format!("a:{}", "b".repeat(126)); 64],
        client_address: "0000:0000:0000:0000:0000:ffff:255.255.255.255".into(),
        max_staleness: Some(seconds(315_576_000_000, 999_999_999)),
    }
}

#[tokio::test]
async fn the_largest_batch_of_the_contract_is_answered_and_a_larger_message_is_not_read() {
    let running = Running::start(&[]).await;
    let largest = vec![largest_question(); LARGEST_BATCH];
    let responses = batch(&running, largest.clone()).await.unwrap();
    assert_eq!(responses.len(), LARGEST_BATCH);
    for response in &responses {
        assert_eq!(denial(response), DenialReason::Malformed);
    }
    let padding = vec![asking(&"a".repeat(LARGEST_MESSAGE))];
    let status = batch(&running, padding).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
}

#[test]
fn the_limit_of_a_message_is_little_above_the_largest_batch() {
    let largest = BatchVerifyRequest { requests: vec![largest_question(); LARGEST_BATCH] };
    let bytes = largest.encoded_len();
    assert!((bytes..bytes + bytes / 100).contains(&LARGEST_MESSAGE), "{bytes}");
}

#[tokio::test]
async fn a_batch_that_memory_may_not_answer_reads_together() {
    let running = Running::start(&[]).await;
    let requests = (1..=100).map(|id| asking(&running.store.put_token(id, |_| {}))).collect();
    running.store.reads();
    assert_eq!(batch(&running, requests).await.unwrap().len(), 100);
    assert_eq!(running.store.reads(), 2, "the tokens, and then their owners");
}

#[test]
fn a_failure_shows_nothing_of_the_store() {
    for error in [
        StoreError::Unavailable(INTERNALS.into()),
        StoreError::Contended,
        StoreError::Damaged(INTERNALS),
    ] {
        assert!(!format!("{:?}", Status::from(Failure::from(error))).contains(INTERNALS));
    }
}

#[test]
fn a_failure_within_an_answer_keeps_its_details() {
    let failure = Failure::from(Violation::new("audience", "at most 255 bytes"));
    let status = failure.into_rpc_status();
    assert_eq!(status.message, "audience: at most 255 bytes");
    assert_eq!(status.details.len(), 2);
}
