//! Failed logins slow down whoever makes them, and nobody else.

use std::{net::IpAddr, time::Duration};

use tessera_proto::v1::{
    ErrorReason, LoginRequest, LoginResponse, issuer_service_client::IssuerServiceClient,
};
use tessera_tests::{
    cli::Cli,
    on_every_backend,
    refused::{assert_refused, reason_of},
    service::ADMIN_PASSWORD,
    system::{Backend, System},
};
use tonic::{Code, Status, transport::Endpoint};
use tonic_types::StatusExt;

on_every_backend!(who_fails_too_often_must_wait_and_nobody_else);

/// A login from this address of loopback.
async fn login(
    system: &System,
    from: &str,
    username: &str,
    password: &str,
) -> Result<LoginResponse, Status> {
    let endpoint = Endpoint::try_from(format!("http://{}", system.issuer_place().grpc)).unwrap();
    let from: IpAddr = from.parse().unwrap();
    let channel = endpoint.local_address(Some(from)).connect().await.unwrap();
    let request = LoginRequest { username: username.into(), password: password.into() };
    Ok(IssuerServiceClient::new(channel).login(request).await?.into_inner())
}

async fn who_fails_too_often_must_wait_and_nobody_else(backend: Backend) {
    let limits = ["--login-failures", "3", "--login-failures-per-user", "5"];
    let flags = [&limits[..], &["--login-failure-window", "1h"]].concat();
    let system = backend.start_with(&flags).await;
    let user = system.user("Users").await;
    let (name, password) = (user.username.as_str(), user.password.as_str());
    let wrong = "a passphrase that is not the one";
    // A user is known where the user logs in from, as here from 127.0.0.1.
    for _ in 0..3 {
        let failed = login(&system, "127.0.9.1", name, wrong).await;
        assert_refused(failed, Code::Unauthenticated, ErrorReason::LoginFailed);
    }
    // The right password comes too late, from the whole network; how long, is said.
    for from in ["127.0.9.1", "127.0.9.2"] {
        let status = login(&system, from, name, password).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert_eq!(reason_of(&status), ErrorReason::LoginThrottled);
        let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!((Duration::from_mins(19)..=Duration::from_mins(20)).contains(&wait), "{wait:?}");
    }
    login(&system, "127.0.9.1", "admin", ADMIN_PASSWORD).await.expect("another user");
    login(&system, "127.0.0.1", name, password).await.expect("where the user always is");

    // Many networks share what is left of the user's limit, and so does a new one.
    for from in ["127.0.10.1", "127.0.11.1"] {
        let failed = login(&system, from, name, wrong).await;
        assert_refused(failed, Code::Unauthenticated, ErrorReason::LoginFailed);
    }
    let throttled = login(&system, "127.0.12.1", name, password).await;
    assert_refused(throttled, Code::ResourceExhausted, ErrorReason::LoginThrottled);
    login(&system, "127.0.0.1", name, password).await.expect("where the user always is");

    // A name that nobody has is told apart by nothing; and the command line says why.
    let cli = Cli::of(&system);
    let line = "login --username nobody --password-stdin";
    for _ in 0..3 {
        cli.pipe(wrong, line).fails(26, "[LOGIN_FAILED]");
    }
    cli.pipe(wrong, line).fails(18, "too many failed logins with this username; retry in ");
}
