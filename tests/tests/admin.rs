//! Accounts and users, and what becomes of their tokens.

use tessera_proto::v1::{
    CreateAccountRequest, CreateUserRequest, DenialReason, EndUserSessionsRequest, ErrorReason,
    GetAccountRequest, GetUserRequest, ListAccountsRequest, ListPermanentTokensRequest,
    ListRolesRequest, ListUsersRequest, LoginRequest, RefreshRequest, SetUserPasswordRequest,
    UpdateAccountRequest, UpdateUserRequest,
};
use tessera_tests::{
    ask::{ask, ask_cached},
    client::Credentials,
    on_every_backend,
    refused::{assert_refused, assert_wrong_field},
    system::{Backend, System, named},
};
use tonic::Code;

on_every_backend!(
    a_disabled_users_tokens_of_every_kind_are_denied_until_enabled,
    a_disabled_accounts_tokens_of_every_kind_are_denied,
    a_changed_role_denies_the_access_tokens_made_before,
    a_password_set_by_an_administrator_ends_the_sessions,
    ended_sessions_leave_permanent_tokens_alone,
    an_accounts_administrator_stays_inside_the_account,
    administration_needs_an_administrator,
    a_username_is_taken_once_whatever_its_letter_case,
    nobody_disables_themselves_or_their_own_account,
    the_role_catalogue_is_the_default_one,
    users_and_accounts_are_listed_page_by_page,
);

/// Makes an account with one administrator, who is logged in.
async fn tenant(system: &System, name: &str) -> (i64, tessera_tests::system::User) {
    let mut administration = system.administration(&system.admin().await);
    let made = administration.create_account(CreateAccountRequest { name: name.into() }).await;
    let id = made.expect("an account").into_inner().account.unwrap().id;
    (id, system.user_of(id, "Administrators").await)
}

fn disable(id: i64, disabled: bool) -> UpdateUserRequest {
    UpdateUserRequest { id, disabled: Some(disabled), ..UpdateUserRequest::default() }
}

async fn a_disabled_users_tokens_of_every_kind_are_denied_until_enabled(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let permanent = system.permanent(&user.credentials, named("of the user")).await.token;
    for token in [&user.session.access_token, &permanent] {
        system.verdict(ask_cached(token)).await.expect("good, and now in the cache");
    }
    let mut administration = system.administration(&system.admin().await);
    administration.update_user(disable(user.id, true)).await.unwrap();
    let denied = system.verdict(ask(&permanent)).await;
    assert_eq!(denied, Err(DenialReason::PrincipalDisabled));
    let denied = system.verdict(ask(&user.session.access_token)).await;
    let expected = [Err(DenialReason::PrincipalDisabled), Err(DenialReason::Revoked)];
    assert!(expected.contains(&denied), "{denied:?}");
    let mut issuer = system.issuer(&Credentials::none());
    let request = LoginRequest { username: user.username.clone(), password: user.password.clone() };
    let refused = issuer.login(request).await;
    assert_refused(refused, Code::Unauthenticated, ErrorReason::LoginFailed);
    let request = RefreshRequest { refresh_token: user.session.refresh_token.clone() };
    let refused = issuer.refresh(request).await;
    assert_refused(refused, Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);

    administration.update_user(disable(user.id, false)).await.unwrap();
    system.verdict(ask(&permanent)).await.expect("the permanent token works again");
    let denied = system.verdict(ask(&user.session.access_token)).await;
    assert_eq!(denied, Err(DenialReason::Revoked), "made before the change");
    system.login(&user.username, &user.password).await;
}

async fn a_disabled_accounts_tokens_of_every_kind_are_denied(backend: Backend) {
    let system = backend.start().await;
    let (id, user) = tenant(&system, "Acme").await;
    let permanent = system.permanent(&user.credentials, named("of the account")).await.token;
    for token in [&user.session.access_token, &permanent] {
        let principal = system.verdict(ask_cached(token)).await.unwrap();
        assert_eq!(principal.account_id, id);
    }
    let mut administration = system.administration(&system.admin().await);
    let mut set = async |disabled| {
        let disabled = Some(disabled);
        let request = UpdateAccountRequest { id, disabled, ..UpdateAccountRequest::default() };
        administration.update_account(request).await.unwrap();
    };
    set(true).await;
    let denied = system.verdict(ask(&permanent)).await;
    assert_eq!(denied, Err(DenialReason::PrincipalDisabled));
    system.verdict(ask(&user.session.access_token)).await.expect_err("an access token as well");
    set(false).await;
    system.verdict(ask(&permanent)).await.expect("the permanent token works again");
}

async fn a_changed_role_denies_the_access_tokens_made_before(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Administrators").await;
    let permanent = system.permanent(&user.credentials, named("of an administrator")).await.token;
    let before = system.verdict(ask_cached(&permanent)).await.unwrap();
    let mut administration = system.administration(&system.admin().await);
    let request =
        UpdateUserRequest { id: user.id, role: "Users".into(), ..UpdateUserRequest::default() };
    administration.update_user(request).await.unwrap();

    let denied = system.verdict(ask(&user.session.access_token)).await;
    assert_eq!(denied, Err(DenialReason::Revoked));
    // The token's role is what it was, and it may do only what its owner may.
    let after = system.verdict(ask(&permanent)).await.unwrap();
    assert!(before.scopes.contains(&"tessera:admin".to_owned()));
    assert!(!after.scopes.contains(&"tessera:admin".to_owned()));
    let request = RefreshRequest { refresh_token: user.session.refresh_token };
    let fresh = system.issuer(&Credentials::none()).refresh(request).await.unwrap();
    let principal = system.verdict(ask(&fresh.into_inner().access_token)).await.unwrap();
    assert_eq!(principal.role, "Users");
}

async fn a_password_set_by_an_administrator_ends_the_sessions(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let mut administration = system.administration(&system.admin().await);
    let password = "a passphrase that the administrator chose".to_owned();
    let request = SetUserPasswordRequest { id: user.id, password: password.clone() };
    administration.set_user_password(request).await.unwrap();
    let denied = system.verdict(ask(&user.session.access_token)).await;
    assert_eq!(denied, Err(DenialReason::Revoked));
    system.login(&user.username, &password).await;
    let request = SetUserPasswordRequest { id: user.id, password: "too short".into() };
    assert_wrong_field(administration.set_user_password(request).await, "password");
}

async fn ended_sessions_leave_permanent_tokens_alone(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Users").await;
    let permanent = system.permanent(&user.credentials, named("stays")).await.token;
    let mut administration = system.administration(&system.admin().await);
    administration.end_user_sessions(EndUserSessionsRequest { id: user.id }).await.unwrap();
    let denied = system.verdict(ask(&user.session.access_token)).await;
    assert_eq!(denied, Err(DenialReason::Revoked));
    system.verdict(ask(&permanent)).await.expect("a permanent token is no session");
}

async fn an_accounts_administrator_stays_inside_the_account(backend: Backend) {
    let system = backend.start().await;
    let (id, tenant) = tenant(&system, "Acme").await;
    let outside = system.user("Users").await;
    let mut administration = system.administration(&tenant.credentials);
    let own = administration.get_account(GetAccountRequest { id: 0 }).await.unwrap();
    assert_eq!(own.into_inner().account.unwrap().id, id);
    let seen = administration.list_accounts(ListAccountsRequest::default()).await.unwrap();
    let ids: Vec<_> = seen.into_inner().accounts.iter().map(|account| account.id).collect();
    assert_eq!(ids, [id]);

    let refused = administration.create_account(CreateAccountRequest { name: "New".into() }).await;
    assert_refused(refused, Code::PermissionDenied, ErrorReason::NotPermitted);
    let refused = administration.get_user(GetUserRequest { id: outside.id }).await;
    assert_refused(refused, Code::NotFound, ErrorReason::NotFound);
    let refused = administration.update_user(disable(outside.id, true)).await;
    assert_refused(refused, Code::NotFound, ErrorReason::NotFound);
    let users = ListUsersRequest { account_id: 1, ..ListUsersRequest::default() };
    administration.list_users(users).await.expect_err("another account's users");
    let tokens = ListPermanentTokensRequest { account_id: 1, ..Default::default() };
    let mut issuer = system.issuer(&tenant.credentials);
    issuer.list_permanent_tokens(tokens).await.expect_err("another account's tokens");
    let user = system.user_of(id, "Users").await;
    administration.update_user(disable(user.id, true)).await.expect("inside, it may");
}

async fn administration_needs_an_administrator(backend: Backend) {
    let system = backend.start().await;
    let user = system.user("Engineers").await;
    let mut administration = system.administration(&user.credentials);
    let refused = administration.list_users(ListUsersRequest::default()).await;
    assert_refused(refused, Code::PermissionDenied, ErrorReason::NotPermitted);
    let refused = administration.list_roles(ListRolesRequest {}).await;
    assert_refused(refused, Code::PermissionDenied, ErrorReason::NotPermitted);
    let mut nobody = system.administration(&Credentials::none());
    let refused = nobody.list_users(ListUsersRequest::default()).await;
    assert_refused(refused, Code::Unauthenticated, ErrorReason::CredentialsMissing);
}

async fn a_username_is_taken_once_whatever_its_letter_case(backend: Backend) {
    let system = backend.start().await;
    let mut administration = system.administration(&system.admin().await);
    let request = |username: &str| CreateUserRequest {
        account_id: 0,
        username: username.into(),
        password: "a passphrase of good length".into(),
        role: "Users".into(),
    };
    let made = administration.create_user(request("Ann@example.com")).await.unwrap().into_inner();
    assert_eq!(made.user.unwrap().username, "ann@example.com");
    let taken = administration.create_user(request("ANN@example.com")).await;
    assert_refused(taken, Code::AlreadyExists, ErrorReason::UsernameTaken);
    assert_wrong_field(administration.create_user(request("no space")).await, "username");
}

async fn nobody_disables_themselves_or_their_own_account(backend: Backend) {
    let system = backend.start().await;
    let session = system.admin_session().await;
    let me = system.verdict(ask(&session.access_token)).await.unwrap().user_id;
    let mut administration = system.administration(&Credentials::bearer(&session.access_token));
    let refused = administration.update_user(disable(me, true)).await;
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::SelfDisable);
    let role = "Users".into();
    let request = UpdateUserRequest { id: me, role, ..Default::default() };
    let refused = administration.update_user(request).await;
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::SelfDisable);
    let password = "a passphrase of good length".into();
    let request = SetUserPasswordRequest { id: me, password };
    assert_wrong_field(administration.set_user_password(request).await, "id");
    let request = UpdateAccountRequest { id: 1, disabled: Some(true), ..Default::default() };
    let refused = administration.update_account(request).await;
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::SelfDisable);
}

async fn the_role_catalogue_is_the_default_one(backend: Backend) {
    let system = backend.start().await;
    let mut administration = system.administration(&system.admin().await);
    let roles = administration.list_roles(ListRolesRequest {}).await.unwrap().into_inner().roles;
    let seen: Vec<_> = roles.iter().map(|role| (role.id, role.name.as_str())).collect();
    let expected = [
        (1, "Administrators"),
        (2, "Users"),
        (5, "Engineers"),
        (3009, "Purge and Prefetch only (API+Web)"),
        (3022, "Purge and Prefetch only (API)"),
    ];
    assert_eq!(seen, expected);
    assert!(roles.iter().all(|role| role.scopes.is_sorted() && !role.scopes.is_empty()));
}

async fn users_and_accounts_are_listed_page_by_page(backend: Backend) {
    let system = backend.start().await;
    let mut administration = system.administration(&system.admin().await);
    for number in 0..3 {
        let name = format!("Account {number}");
        administration.create_account(CreateAccountRequest { name }).await.unwrap();
    }
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListAccountsRequest { page_size: 2, page_token };
        let page = administration.list_accounts(request).await.unwrap().into_inner();
        names.extend(page.accounts.into_iter().map(|account| account.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names[1..], ["Account 0", "Account 1", "Account 2"]);
    let user = system.user("Users").await;
    let users = administration.list_users(ListUsersRequest::default()).await.unwrap().into_inner();
    let ids: Vec<_> = users.users.iter().map(|user| user.id).collect();
    assert_eq!((ids.len(), ids[1]), (2, user.id));
}
