//! The way back in: a password set on the store itself.

use serde_json::Value;
use tessera_proto::v1::{
    DenialReason, ErrorReason, ListUsersRequest, LoginRequest, RefreshRequest, UpdateUserRequest,
};
use tessera_tests::{
    ask::ask,
    cli::Cli,
    client::Credentials,
    on_every_backend,
    refused::assert_refused,
    service::ADMIN_PASSWORD,
    system::{Backend, System},
};
use tonic::Code;

on_every_backend!(
    an_operator_at_the_store_gets_back_in,
    what_can_not_be_reset_is_said_and_nothing_changes,
);

const NEW_PASSWORD: &str = "a passphrase nobody forgets";

/// An operator at a shell, who is let into the store. An embedded one is at rest from here on.
async fn operator(system: &mut System, backend: Backend) -> Cli {
    let cli = Cli::of(system);
    match backend {
        Backend::Embedded => {
            let cli = cli.and("TESSERA_STORE", &format!("embedded:{}", system.data().display()));
            let line = "admin reset-password admin --generate";
            cli.run(line).fails(64, "in use by another process");
            system.end().await;
            cli
        }
        Backend::Redis => {
            let redis = system.redis();
            cli.and("TESSERA_STORE", &format!("redis://issuer@{}/0", redis.address()))
                .and("TESSERA_STORE_PASSWORD", &redis.users().password("issuer"))
        }
    }
}

/// What is to come after the operator was at the store.
async fn go_on(system: &mut System, backend: Backend) {
    if backend == Backend::Embedded {
        system.begin().await;
    }
}

async fn assert_no_login(system: &System, username: &str, password: &str) {
    let request = LoginRequest { username: username.into(), password: password.into() };
    let refused = system.issuer(&Credentials::none()).login(request).await;
    assert_refused(refused, Code::Unauthenticated, ErrorReason::LoginFailed);
}

async fn an_operator_at_the_store_gets_back_in(backend: Backend) {
    let mut system = backend.start().await;
    let admin = system.admin_session().await;
    let user = system.user("Users").await;
    let mut administration = system.administration(&Credentials::bearer(&admin.access_token));
    let disable = UpdateUserRequest { id: user.id, disabled: Some(true), ..Default::default() };
    administration.update_user(disable).await.unwrap();

    let operator = operator(&mut system, backend).await;
    let line = format!(
        "--output json admin reset-password {} --role Administrators --generate",
        user.username.to_uppercase()
    );
    let made = operator.run(&line).json();
    assert_eq!(made["user"]["id"], Value::from(user.id));
    assert_eq!(made["user"]["role"], "Administrators");
    let new = made["password"].as_str().unwrap().to_owned();
    let line = "admin reset-password admin --password-stdin";
    let shown = operator.pipe(&format!("{NEW_PASSWORD}\n"), line).ok();
    assert!(!shown.contains(NEW_PASSWORD), "{shown}");
    go_on(&mut system, backend).await;

    for token in [&admin.access_token, &user.session.access_token] {
        assert_eq!(system.verdict(ask(token)).await, Err(DenialReason::Revoked));
    }
    for session in [&admin, &user.session] {
        let request = RefreshRequest { refresh_token: session.refresh_token.clone() };
        let ended = system.issuer(&Credentials::none()).refresh(request).await;
        assert_refused(ended, Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);
    }
    assert_no_login(&system, "admin", ADMIN_PASSWORD).await;
    assert_no_login(&system, &user.username, &user.password).await;
    system.login("admin", NEW_PASSWORD).await;
    let back = system.login(&user.username, &new).await;
    let mut administration = system.administration(&Credentials::bearer(&back.access_token));
    administration.list_users(ListUsersRequest::default()).await.expect("an administrator");
}

async fn what_can_not_be_reset_is_said_and_nothing_changes(backend: Backend) {
    let mut system = backend.start().await;
    let operator = operator(&mut system, backend).await;
    let line = |rest: &str| format!("admin reset-password {rest}");
    operator.run(&line("nobody --generate")).fails(64, "no such user");
    operator.run(&line("admin --generate --role Kings")).fails(64, "no such role");
    operator.pipe("short\n", &line("admin --password-stdin")).fails(64, "password: 15 characters");
    operator.run(&line("admin")).fails(2, "TESSERA_NEW_PASSWORD");
    let empty = format!("embedded:{}", operator.home().join("empty").display());
    let nowhere = [("TESSERA_STORE", empty.as_str())];
    let refused = operator.run_with(&line("admin --generate"), "", &nowhere);
    refused.fails(64, "holds no store");
    assert!(!operator.home().join("empty").exists(), "one is made by none but an issuer");
    go_on(&mut system, backend).await;
    system.login("admin", ADMIN_PASSWORD).await;
}
