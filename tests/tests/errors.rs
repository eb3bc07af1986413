//! What an error says: the field that is wrong, and a reason of the contract.

use prost_types::{FieldMask, Timestamp};
use tessera_proto::v1::{
    ChangePasswordRequest, CreateAccountRequest, CreatePermanentTokenRequest, CreateUserRequest,
    ErrorReason, GetPermanentTokenRequest, GetUserRequest, LoginRequest, LogoutRequest,
    UpdatePermanentTokenRequest,
};
use tessera_shared::clock::{Clock, SystemClock};
use tessera_tests::{
    client::Credentials,
    on_every_backend, raw,
    refused::{assert_refused, assert_wrong_field},
    system::{Backend, named},
};
use tonic::Code;

on_every_backend!(
    a_wrong_field_of_a_new_token_is_named,
    a_wrong_field_of_a_change_is_named,
    a_wrong_field_of_administration_is_named,
    the_limits_themselves_are_allowed,
    what_needs_a_session_refuses_a_permanent_token,
    what_is_not_there_is_not_found,
    a_message_that_can_not_be_read_is_its_callers_fault,
);

fn in_seconds(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: SystemClock.now().seconds() + seconds, nanos: 0 })
}

fn broken(nanos: i32) -> Option<Timestamp> {
    Some(Timestamp { nanos, ..in_seconds(600).unwrap() })
}

async fn a_wrong_field_of_a_new_token_is_named(backend: Backend) {
    let system = backend.start().await;
    let mut issuer = system.issuer(&system.admin().await);
    let valid = named("valid");
    let audiences =
        |audiences: Vec<String>| CreatePermanentTokenRequest { audiences, ..valid.clone() };
    let networks =
        |allowed_cidrs: Vec<String>| CreatePermanentTokenRequest { allowed_cidrs, ..valid.clone() };
    let times = |not_before, expires_at| CreatePermanentTokenRequest {
        not_before,
        expires_at,
        ..valid.clone()
    };
    let description = "d".repeat(1025);
    let cases = [
        (named(""), "name"),
        (named(&"n".repeat(129)), "name"),
        (named("a\nb"), "name"),
        (CreatePermanentTokenRequest { description, ..valid.clone() }, "description"),
        (CreatePermanentTokenRequest { role: "nobody's".into(), ..valid.clone() }, "role"),
        (audiences(vec!["cdn".into(); 17]), "audiences"),
        (audiences(vec!["cdn".into(), String::new()]), "audiences"),
        (audiences(vec!["a".repeat(256)]), "audiences"),
        (audiences(vec!["white space".into()]), "audiences"),
        (networks(vec!["192.0.2.0/33".into()]), "allowed_cidrs"),
        (networks(vec!["everywhere".into()]), "allowed_cidrs"),
        (networks((0..33).map(|n| format!("192.0.2.{n}/32")).collect()), "allowed_cidrs"),
        (times(None, in_seconds(-1)), "expires_at"),
        (times(None, broken(-1)), "expires_at"),
        (times(None, broken(1_000_000_000)), "expires_at"),
        (times(in_seconds(900), in_seconds(600)), "not_before"),
    ];
    for (request, field) in cases {
        assert_wrong_field(issuer.create_permanent_token(request).await, field);
    }
}

async fn a_wrong_field_of_a_change_is_named(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let mut issuer = system.issuer(&admin);
    let id = system.permanent(&admin, named("valid")).await.permanent_token.unwrap().id;
    let valid = UpdatePermanentTokenRequest { id, ..UpdatePermanentTokenRequest::default() };
    let mask = |path: &str| Some(FieldMask { paths: vec![path.into()] });
    let masked =
        |path: &str| UpdatePermanentTokenRequest { update_mask: mask(path), ..valid.clone() };
    let cases = [
        (masked("id"), "update_mask"),
        (masked("secret_version"), "update_mask"),
        (masked("no_such_field"), "update_mask"),
        (masked("name"), "name"),
        (UpdatePermanentTokenRequest { name: "a\u{7}".into(), ..valid.clone() }, "name"),
        (UpdatePermanentTokenRequest { role: "nobody's".into(), ..valid.clone() }, "role"),
        (UpdatePermanentTokenRequest { id: -1, name: "n".into(), ..Default::default() }, "id"),
        (UpdatePermanentTokenRequest { name: "no id".into(), ..Default::default() }, "id"),
    ];
    for (request, field) in cases {
        assert_wrong_field(issuer.update_permanent_token(request).await, field);
    }
}

async fn a_wrong_field_of_administration_is_named(backend: Backend) {
    let system = backend.start().await;
    let mut administration = system.administration(&system.admin().await);
    let valid = CreateUserRequest {
        account_id: 0,
        username: "ann".into(),
        password: "a passphrase of good length".into(),
        role: "Users".into(),
    };
    let cases = [
        (CreateUserRequest { username: String::new(), ..valid.clone() }, "username"),
        (CreateUserRequest { username: "a".repeat(129), ..valid.clone() }, "username"),
        (CreateUserRequest { username: "ann/bob".into(), ..valid.clone() }, "username"),
        (CreateUserRequest { password: "fourteen chars".into(), ..valid.clone() }, "password"),
        (CreateUserRequest { password: "p".repeat(1025), ..valid.clone() }, "password"),
        (CreateUserRequest { role: String::new(), ..valid.clone() }, "role"),
        (CreateUserRequest { role: "nobody's".into(), ..valid.clone() }, "role"),
        (CreateUserRequest { account_id: -1, ..valid.clone() }, "account_id"),
    ];
    for (request, field) in cases {
        assert_wrong_field(administration.create_user(request).await, field);
    }
    for name in [String::new(), "n".repeat(129), "a\tb".into()] {
        let refused = administration.create_account(CreateAccountRequest { name }).await;
        assert_wrong_field(refused, "name");
    }
    let mut issuer = system.issuer(&Credentials::none());
    let username = "a".repeat(129);
    let request = LoginRequest { username, password: "p".into() };
    assert_wrong_field(issuer.login(request).await, "username");
    let request = LoginRequest { username: "admin".into(), password: "p".repeat(1025) };
    assert_wrong_field(issuer.login(request).await, "password");
}

async fn the_limits_themselves_are_allowed(backend: Backend) {
    let system = backend.start().await;
    let request = CreatePermanentTokenRequest {
        description: "é".repeat(1024),
        audiences: (10..26).map(|n| format!("{n}{}", "a".repeat(253))).collect(),
        allowed_cidrs: (0..32).map(|n| format!("192.0.2.{n}/32")).collect(),
        ..named(&"é".repeat(128))
    };
    let made = system.permanent(&system.admin().await, request.clone()).await;
    let record = made.permanent_token.unwrap();
    assert_eq!((record.name, record.description), (request.name, request.description));
    assert_eq!(record.audiences, request.audiences);
    assert_eq!(record.allowed_cidrs, request.allowed_cidrs);
}

async fn what_needs_a_session_refuses_a_permanent_token(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let token = system.permanent(&user.credentials, named("no session")).await.token;
    let mut issuer = system.issuer(&Credentials::api_key(&token));
    let request = ChangePasswordRequest {
        current_password: user.password,
        new_password: "another passphrase of good length".into(),
    };
    let refused = issuer.change_password(request).await;
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::SessionRequired);
    let refused = issuer.logout(LogoutRequest::default()).await;
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::SessionRequired);
}

async fn what_is_not_there_is_not_found(backend: Backend) {
    let system = backend.start().await;
    let admin = system.admin().await;
    let id = 123_456_789;
    let token = system.issuer(&admin).get_permanent_token(GetPermanentTokenRequest { id }).await;
    assert_refused(token, Code::NotFound, ErrorReason::NotFound);
    let user = system.administration(&admin).get_user(GetUserRequest { id }).await;
    assert_refused(user, Code::NotFound, ErrorReason::NotFound);
}

/// By whatever library it is read.
async fn a_message_that_can_not_be_read_is_its_callers_fault(backend: Backend) {
    let system = backend.start().await;
    let (issuer, verifier) = (system.issuer_place(), system.verifier_places()[0]);
    for (place, path) in [
        (issuer, "/tessera.v1.IssuerService/Login"),
        (issuer, "/tessera.v1.AdminService/CreateUser"),
        (verifier, "/tessera.v1.VerifierService/Verify"),
        (verifier, "/tessera.v1.VerifierService/BatchVerify"),
        (verifier, "/envoy.service.auth.v3.Authorization/Check"),
    ] {
        let code = raw::call(place.grpc, path, &[], &[0xff; 9]).await;
        assert_eq!(code, Code::InvalidArgument, "{path}");
    }
}
