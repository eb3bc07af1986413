//! The audit trail: each change is told of once, by ids, with no secret in it.

use std::collections::BTreeSet;

use serde_json::Value;
use tessera_proto::v1::{
    ChangePasswordRequest, CreateAccountRequest, CreateUserRequest, EndUserSessionsRequest,
    ExchangeTokenRequest, LoginRequest, LoginResponse, LogoutRequest, RefreshRequest,
    RetireSigningKeyRequest, RevokePermanentTokenRequest, RotatePermanentTokenRequest,
    RotateSigningKeyRequest, SetUserPasswordRequest, UpdateAccountRequest,
    UpdatePermanentTokenRequest, UpdateUserRequest,
};
use tessera_tests::{
    client::Credentials,
    contract::methods,
    service::ADMIN_PASSWORD,
    system::{Backend, System, named},
};

/// What changes nothing that anybody asks after, or too often: `Verify` is another service's.
const NOT_TOLD: [&str; 4] = ["ExchangeToken", "WhoAmI", "Verify", "BatchVerify"];
/// As people may type it by mistake.
const TYPED_AS_NAME: &str = "a.password.typed.as.a.name";

fn lines(system: &System) -> Vec<Value> {
    let text = std::fs::read_to_string(system.dir().join("issuer.log")).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "tessera_issuer::audit").collect()
}

/// What was told of `action`, which is one line.
fn one<'a>(lines: &'a [Value], action: &str) -> &'a Value {
    let mut told = lines.iter().filter(|line| line["action"] == action);
    let line = told.next().unwrap_or_else(|| panic!("nothing of {action} in {lines:#?}"));
    assert!(told.next().is_none(), "{action} twice");
    assert_eq!((&line["message"], &line["level"]), (&"audit".into(), &"INFO".into()));
    assert!(line["span"]["request.id"].is_string(), "{line}");
    line
}

/// Two who change things, and the secrets of that.
struct Lives<'a> {
    system: &'a System,
    secrets: Vec<String>,
}

const SET: &str = "a passphrase set for anna";
const CHOSEN: &str = "a passphrase that anna chose";

impl Lives<'_> {
    async fn session(&mut self, username: &str, password: &str) -> LoginResponse {
        let session = self.system.login(username, password).await;
        let secrets = [&session.access_token, &session.refresh_token].map(String::clone);
        self.secrets.extend(secrets);
        self.secrets.push(password.to_owned());
        session
    }

    /// Everything of `AdminService` once; answers the id of `anna`.
    async fn administer(&mut self) -> i64 {
        let session = self.session("admin", ADMIN_PASSWORD).await;
        let mut admin = self.system.administration(&Credentials::bearer(&session.access_token));
        let request = CreateAccountRequest { name: "Acme".into() };
        let made = admin.create_account(request).await.unwrap().into_inner();
        let account = made.account.unwrap().id;
        let name = "Acme Inc".into();
        let request = UpdateAccountRequest { id: account, name, ..Default::default() };
        admin.update_account(request).await.unwrap();
        let request = CreateUserRequest {
            account_id: account,
            username: "anna".into(),
            password: "a passphrase of the first day".into(),
            role: "Users".into(),
        };
        self.secrets.push(request.password.clone());
        let id = admin.create_user(request).await.unwrap().into_inner().user.unwrap().id;
        let request = UpdateUserRequest { id, role: "Engineers".into(), ..Default::default() };
        admin.update_user(request).await.unwrap();
        let request = SetUserPasswordRequest { id, password: SET.into() };
        admin.set_user_password(request).await.unwrap();
        admin.end_user_sessions(EndUserSessionsRequest { id }).await.unwrap();
        let request = RotateSigningKeyRequest { algorithm: String::new() };
        let key = admin.rotate_signing_key(request).await.unwrap().into_inner();
        let kid = key.signing_key.unwrap().kid;
        admin.retire_signing_key(RetireSigningKeyRequest { kid, now: false }).await.unwrap();
        id
    }

    /// Everything that `anna` may do once; answers the id of her token.
    async fn use_it(&mut self) -> i64 {
        let session = self.session("anna", SET).await;
        let mut anna = self.system.issuer(&Credentials::bearer(&session.access_token));
        let (current_password, new_password) = (SET.into(), CHOSEN.into());
        let request = ChangePasswordRequest { current_password, new_password };
        anna.change_password(request).await.unwrap();
        let session = self.session("anna", CHOSEN).await;
        let mut anna = self.system.issuer(&Credentials::bearer(&session.access_token));
        let made = anna.create_permanent_token(named("deploy")).await.unwrap().into_inner();
        let id = made.permanent_token.unwrap().id;
        let name = "ship".into();
        let request = UpdatePermanentTokenRequest { id, name, ..Default::default() };
        anna.update_permanent_token(request).await.unwrap();
        let mut itself = self.system.issuer(&Credentials::api_key(&made.token));
        let request = RotatePermanentTokenRequest { id: 0, overlap: None };
        let rotated = itself.rotate_permanent_token(request).await.unwrap().into_inner();
        let request = ExchangeTokenRequest { token: rotated.token.clone() };
        let exchanged = anna.exchange_token(request).await.unwrap().into_inner();
        anna.revoke_permanent_token(RevokePermanentTokenRequest { id }).await.unwrap();
        anna.logout(LogoutRequest { all: false }).await.unwrap();
        self.secrets.extend([made.token, rotated.token, exchanged.access_token]);
        id
    }

    /// Uses a refresh token twice, where there is no grace.
    async fn reuse(&mut self) {
        let session = self.session("anna", CHOSEN).await;
        let mut anybody = self.system.issuer(&Credentials::none());
        let request = RefreshRequest { refresh_token: session.refresh_token };
        let pair = anybody.refresh(request.clone()).await.unwrap().into_inner();
        anybody.refresh(request).await.unwrap_err();
        self.secrets.extend([pair.access_token, pair.refresh_token]);
    }
}

#[tokio::test]
async fn each_change_is_told_of_once_with_who_did_it_and_no_secret() {
    let flags = ["--log-format", "json", "--refresh-grace", "0s"];
    let system = Backend::Redis.start_with(&flags).await;
    let mut lives = Lives { system: &system, secrets: Vec::new() };
    let anna = lives.administer().await;
    let token = lives.use_it().await;
    lives.reuse().await;
    let (username, password) = (TYPED_AS_NAME.to_owned(), "a wrong passphrase".to_owned());
    let mut anybody = system.issuer(&Credentials::none());
    anybody.login(LoginRequest { username, password }).await.unwrap_err();

    let all = lines(&system);
    let reads = |name: &str| ["Get", "List"].iter().any(|verb| name.starts_with(verb));
    let methods = methods();
    let names = methods.iter().map(|path| path.rsplit('/').next().unwrap());
    let expected: BTreeSet<_> =
        names.filter(|name| !reads(name) && !NOT_TOLD.contains(name)).collect();
    let told: BTreeSet<_> = all.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(told, expected);
    assert_eq!(all.iter().filter(|line| line["action"] == "Login").count(), 4);

    let role = one(&all, "UpdateUser");
    assert_eq!((&role["actor.user"], &role["account"]), (&1.into(), &1.into()));
    assert!(role["actor.session"].is_i64() && role["actor.token"].is_null(), "{role}");
    assert_eq!((&role["target.user"], &role["target.role"]), (&anna.into(), &"Engineers".into()));
    assert_eq!(role["target.username"], "anna");
    let rotated = one(&all, "RotatePermanentToken");
    assert_eq!((&rotated["actor.user"], &rotated["actor.token"]), (&anna.into(), &token.into()));
    assert_eq!(
        (&rotated["target.token"], &rotated["actor.session"]),
        (&token.into(), &Value::Null)
    );
    let reuse = one(&all, "Refresh");
    assert_eq!((&reuse["reuse"], &reuse["target.user"]), (&true.into(), &anna.into()));

    let text = serde_json::to_string(&all).unwrap();
    for secret in lives.secrets.iter().map(String::as_str).chain([TYPED_AS_NAME]) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn the_audit_trail_is_left_out_where_a_filter_says_so() {
    let flags = ["--log-format", "json", "--log", "info,tessera_issuer::audit=off"];
    let system = Backend::Redis.start_with(&flags).await;
    system.admin_session().await;
    assert_eq!(lines(&system), Vec::<Value>::new());
}
