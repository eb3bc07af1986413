//! `tessera.v1.AdminService`.

use std::sync::Arc;

use tessera_proto::v1::{self, admin_service_server::AdminService};
use tessera_shared::{
    id::{AccountId, UserId},
    keys::{Algorithm, KeyEntry, KeyState},
    record,
};
use tonic::{Request, Response, Status};

use super::convert;
use crate::{
    admin::{AccountChange, NewUser, UserChange},
    audit::{self, Target},
    caller::Caller,
    core::Core,
    failure::Failure,
    fields,
};

/// The service over the core.
pub(crate) struct AdminApi(pub(crate) Arc<Core>);

impl AdminApi {
    /// The caller, who must administer something, and the message.
    async fn admin<T>(&self, request: Request<T>) -> Result<(Caller, T), Failure> {
        let (metadata, extensions, message) = request.into_parts();
        let caller = self.0.caller(&metadata, &extensions).await?;
        if caller.is_admin() { Ok((caller, message)) } else { Err(Failure::NotPermitted) }
    }

    fn user(&self, user: record::User) -> v1::User {
        v1::User {
            id: user.id,
            account_id: user.account,
            username: user.username,
            role: self.0.role_name(user.role),
            disabled: user.disabled,
            created_at: convert::optional(user.created_at),
        }
    }
}

fn audit_account(action: &'static str, caller: &Caller, account: &record::Account) {
    let disabled = Some(account.disabled);
    let target = Target { account: Some(account.id), disabled, ..Target::default() };
    audit::changed(action, caller, target);
}

fn audit_user(action: &'static str, caller: &Caller, user: &v1::User) {
    let target = Target {
        account: Some(user.account_id),
        user: Some(user.id),
        username: Some(&user.username),
        role: Some(&user.role),
        disabled: Some(user.disabled),
        ..Target::default()
    };
    audit::changed(action, caller, target);
}

/// What is answered without the user's record.
fn audit_user_id(action: &'static str, caller: &Caller, id: UserId) {
    audit::changed(action, caller, Target { user: Some(id.get()), ..Target::default() });
}

fn audit_key(action: &'static str, caller: &Caller, key: &KeyEntry) {
    audit::changed(action, caller, Target { kid: Some(key.public.kid()), ..Target::default() });
}

fn account(account: record::Account) -> v1::Account {
    v1::Account {
        id: account.id,
        name: account.name,
        disabled: account.disabled,
        created_at: convert::optional(account.created_at),
    }
}

/// The account that a request names; 0 stands for the caller's.
fn account_id(caller: &Caller, field: &'static str, id: i64) -> Result<AccountId, Failure> {
    if id == 0 { Ok(caller.account()) } else { fields::id(field, id) }
}

fn signing_key(entry: &KeyEntry) -> v1::SigningKey {
    let state = match entry.state {
        KeyState::Published => v1::SigningKeyState::Published,
        KeyState::Signing => v1::SigningKeyState::Signing,
        KeyState::Retired => v1::SigningKeyState::Retired,
    };
    v1::SigningKey {
        kid: entry.public.kid().to_owned(),
        algorithm: entry.public.algorithm().to_string(),
        state: state.into(),
        created_at: Some(convert::timestamp(entry.created_at)),
        public_jwk: entry.public.jwk().to_string(),
        signs_at: Some(convert::timestamp(entry.signs_at)),
        retired_at: entry.retired_at.map(convert::timestamp),
        verifies_until: entry.verifies_until().map(convert::timestamp),
        imported: entry.imported,
    }
}

/// The algorithm that a request names, if it names one.
fn algorithm(name: &str) -> Result<Option<Algorithm>, Failure> {
    let parsed = (!name.is_empty()).then(|| name.parse()).transpose();
    parsed.map_err(|_| Failure::field("algorithm", "ES256, EdDSA or RS256; empty: as configured"))
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn create_account(
        &self,
        request: Request<v1::CreateAccountRequest>,
    ) -> Result<Response<v1::CreateAccountResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let made = self.0.create_account(&caller, &message.name).await?;
        audit_account("CreateAccount", &caller, &made);
        Ok(Response::new(v1::CreateAccountResponse { account: Some(account(made)) }))
    }

    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let found = self.0.account(&caller, account_id(&caller, "id", message.id)?).await?;
        Ok(Response::new(v1::GetAccountResponse { account: Some(account(found)) }))
    }

    async fn list_accounts(
        &self,
        request: Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let page = fields::page(message.page_size, &message.page_token)?;
        let (found, next) = self.0.accounts(&caller, page).await?;
        Ok(Response::new(v1::ListAccountsResponse {
            accounts: found.into_iter().map(account).collect(),
            next_page_token: convert::next_page_token(next),
        }))
    }

    async fn update_account(
        &self,
        request: Request<v1::UpdateAccountRequest>,
    ) -> Result<Response<v1::UpdateAccountResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let id = fields::id("id", message.id)?;
        let (name, disabled, mask) = (message.name, message.disabled, message.update_mask);
        let changed =
            self.0.update_account(&caller, id, &AccountChange { name, disabled, mask }).await?;
        audit_account("UpdateAccount", &caller, &changed);
        Ok(Response::new(v1::UpdateAccountResponse { account: Some(account(changed)) }))
    }

    async fn create_user(
        &self,
        request: Request<v1::CreateUserRequest>,
    ) -> Result<Response<v1::CreateUserResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let account = account_id(&caller, "account_id", message.account_id)?;
        let wanted =
            NewUser { username: message.username, password: message.password, role: message.role };
        let user = self.user(self.0.create_user(&caller, account, wanted).await?);
        audit_user("CreateUser", &caller, &user);
        Ok(Response::new(v1::CreateUserResponse { user: Some(user) }))
    }

    async fn get_user(
        &self,
        request: Request<v1::GetUserRequest>,
    ) -> Result<Response<v1::GetUserResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let user = self.user(self.0.user(&caller, fields::id::<UserId>("id", message.id)?).await?);
        Ok(Response::new(v1::GetUserResponse { user: Some(user) }))
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<v1::ListUsersResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let page = fields::page(message.page_size, &message.page_token)?;
        let account = account_id(&caller, "account_id", message.account_id)?;
        let (found, next) = self.0.users(&caller, account, page).await?;
        Ok(Response::new(v1::ListUsersResponse {
            users: found.into_iter().map(|user| self.user(user)).collect(),
            next_page_token: convert::next_page_token(next),
        }))
    }

    async fn update_user(
        &self,
        request: Request<v1::UpdateUserRequest>,
    ) -> Result<Response<v1::UpdateUserResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let id = fields::id("id", message.id)?;
        let (role, disabled, mask) = (message.role, message.disabled, message.update_mask);
        let change = UserChange { role, disabled, mask };
        let user = self.user(self.0.update_user(&caller, id, &change).await?);
        audit_user("UpdateUser", &caller, &user);
        Ok(Response::new(v1::UpdateUserResponse { user: Some(user) }))
    }

    async fn set_user_password(
        &self,
        request: Request<v1::SetUserPasswordRequest>,
    ) -> Result<Response<v1::SetUserPasswordResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let id = fields::id("id", message.id)?;
        self.0.set_user_password(&caller, id, &message.password).await?;
        audit_user_id("SetUserPassword", &caller, id);
        Ok(Response::new(v1::SetUserPasswordResponse {}))
    }

    async fn end_user_sessions(
        &self,
        request: Request<v1::EndUserSessionsRequest>,
    ) -> Result<Response<v1::EndUserSessionsResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let id = fields::id("id", message.id)?;
        self.0.end_user_sessions(&caller, id).await?;
        audit_user_id("EndUserSessions", &caller, id);
        Ok(Response::new(v1::EndUserSessionsResponse {}))
    }

    async fn list_roles(
        &self,
        request: Request<v1::ListRolesRequest>,
    ) -> Result<Response<v1::ListRolesResponse>, Status> {
        self.admin(request).await?;
        let roles = self.0.catalogue.roles().iter().map(|role| v1::Role {
            id: role.id,
            name: role.name.clone(),
            scopes: role.scopes.iter().map(str::to_owned).collect(),
        });
        Ok(Response::new(v1::ListRolesResponse { roles: roles.collect() }))
    }

    async fn list_signing_keys(
        &self,
        request: Request<v1::ListSigningKeysRequest>,
    ) -> Result<Response<v1::ListSigningKeysResponse>, Status> {
        self.admin(request).await?;
        let (set, _) = self.0.key_set().await?.ok_or(Failure::NotReady)?;
        let signing_keys = set.keys.iter().rev().map(signing_key).collect();
        Ok(Response::new(v1::ListSigningKeysResponse { signing_keys }))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<v1::RotateSigningKeyRequest>,
    ) -> Result<Response<v1::RotateSigningKeyResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let made = self.0.rotate_signing_key(&caller, algorithm(&message.algorithm)?).await?;
        audit_key("RotateSigningKey", &caller, &made);
        Ok(Response::new(v1::RotateSigningKeyResponse { signing_key: Some(signing_key(&made)) }))
    }

    async fn retire_signing_key(
        &self,
        request: Request<v1::RetireSigningKeyRequest>,
    ) -> Result<Response<v1::RetireSigningKeyResponse>, Status> {
        let (caller, message) = self.admin(request).await?;
        let kid = fields::kid("kid", &message.kid)?;
        let retired = self.0.retire_signing_key(&caller, &kid, message.now).await?;
        audit_key("RetireSigningKey", &caller, &retired.entry);
        let mut key = signing_key(&retired.entry);
        if retired.gone {
            key.set_state(v1::SigningKeyState::Gone);
        }
        Ok(Response::new(v1::RetireSigningKeyResponse {
            signing_key: Some(key),
            successor: retired.successor.as_ref().map(signing_key),
        }))
    }
}
