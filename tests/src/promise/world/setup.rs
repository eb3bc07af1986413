//! The people, and a few tokens that stay good, before anything fails.

use std::{net::SocketAddr, sync::Arc};

use tessera_proto::v1::{
    CreateAccountRequest, CreateUserRequest, ListRolesRequest, LoginRequest,
    admin_service_client::AdminServiceClient, issuer_service_client::IssuerServiceClient,
};
use tokio::sync::Mutex;
use tonic::transport::Channel;

use super::{
    super::{
        history::{Credential, History, Role, Span},
        recorder::Recorder,
    },
    changes::{exchange, login, make_token},
    people::{Account, Held, Population, User},
};
use crate::{
    client::{self, Admin, Credentials},
    service::ADMIN_PASSWORD,
    system::named,
};

/// Accounts whose people are changed, and their roles.
const ACCOUNTS: usize = 2;
const ROLES: [&str; 3] = ["Administrators", "Users", "Engineers"];
/// Permanent tokens that nobody changes.
const STEADY: usize = 4;

/// Makes everybody, and a recorder that knows them.
pub(super) async fn people(issuer: SocketAddr) -> (Recorder, Population) {
    let channel = client::channel(issuer);
    let admin = root(&channel, "admin", ADMIN_PASSWORD).await;
    let administration = AdminServiceClient::with_interceptor(channel.clone(), admin.clone());
    let listed = administration.clone().list_roles(ListRolesRequest {}).await.unwrap();
    let roles = listed.into_inner().roles.into_iter();
    let roles = roles.map(|role| Role { name: role.name, scopes: role.scopes }).collect();
    let recorder = Recorder::new(History { roles, ..History::default() });
    let maker = Maker { recorder: &recorder, channel: &channel, administration };

    let (mut accounts, mut users) = (Vec::new(), Vec::new());
    for number in 0..ACCOUNTS {
        let account = maker.account(&format!("Account {number}")).await;
        for role in ROLES {
            users.push(maker.user(&account, role, &format!("user-{number}-{role}")).await);
        }
        accounts.push(account);
    }
    let account = maker.account("Steady").await;
    let owner = maker.user(&account, "Users", "steady").await;
    let steady = maker.steady(&owner).await;
    let population = Population::new(channel, admin, accounts, users, steady);
    (recorder, population)
}

struct Maker<'a> {
    recorder: &'a Recorder,
    channel: &'a Channel,
    administration: Admin,
}

impl Maker<'_> {
    async fn account(&self, name: &str) -> Arc<Account> {
        let request = CreateAccountRequest { name: name.into() };
        let made = self.administration.clone().create_account(request).await.unwrap();
        let id = made.into_inner().account.unwrap().id;
        Arc::new(Account { id, lock: Mutex::default() })
    }

    async fn user(&self, account: &Arc<Account>, role: &str, username: &str) -> Arc<User> {
        let username = username.to_lowercase();
        let password = format!("the passphrase of {username}");
        let request = CreateUserRequest {
            account_id: account.id,
            username: username.clone(),
            password: password.clone(),
            role: role.into(),
        };
        let made = self.administration.clone().create_user(request).await.unwrap();
        let id = made.into_inner().user.unwrap().id;
        let role = self.recorder.role(role);
        self.recorder.user(id, role);
        let root = root(self.channel, &username, &password).await;
        let (account, role) = (account.clone(), Mutex::new(role));
        Arc::new(User { id, account, username, password, root, role })
    }

    async fn steady(&self, owner: &Arc<User>) -> Vec<Arc<Held>> {
        let mut steady = Vec::new();
        for number in 0..STEADY {
            let request = named(&format!("steady {number}"));
            let made = make_token(self.recorder, self.channel, owner, request).await;
            steady.push(made.expect("a permanent token"));
        }
        let exchanged = exchange(self.recorder, self.channel, &steady[0]).await;
        steady.push(exchanged.expect("an access token"));
        steady.push(login(self.recorder, self.channel, owner).await.expect("a session"));
        steady.into_iter().map(Arc::new).collect()
    }
}

/// A permanent token of the user that never ends, as credentials.
async fn root(channel: &Channel, username: &str, password: &str) -> Credentials {
    let issuer = |credentials: Credentials| {
        IssuerServiceClient::with_interceptor(channel.clone(), credentials)
    };
    let request = LoginRequest { username: username.into(), password: password.into() };
    let session = issuer(Credentials::none()).login(request).await.unwrap().into_inner();
    let mut issuer = issuer(Credentials::bearer(&session.access_token));
    let made = issuer.create_permanent_token(named("root")).await.unwrap();
    Credentials::api_key(&made.into_inner().token)
}

impl User {
    /// A credential of this user.
    pub(super) fn credential(
        &self,
        kind: super::super::history::Kind,
        made: Span,
        expires_at: Option<i64>,
    ) -> Credential {
        Credential { kind, user: self.id, account: self.account.id, made, expires_at }
    }
}
