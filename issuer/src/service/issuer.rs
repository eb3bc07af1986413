//! `tessera.v1.IssuerService`.

use std::sync::Arc;

use tessera_proto::v1::{self, issuer_service_server::IssuerService};
use tessera_shared::{
    examine::Question,
    id::{AccountId, UserId},
    record::PermanentToken,
    usage::Usage,
};
use tonic::{Extensions, Request, Response, Status, metadata::MetadataMap};

use super::convert;
use crate::{
    audit::{self, Target},
    caller::{Caller, credentials, peer},
    core::Core,
    failure::Failure,
    fields::{self, Fields},
    sessions::{Client, Pair},
    tokens::{Change, Filter, NewToken},
};

/// The service over the core.
pub(crate) struct IssuerApi(pub(crate) Arc<Core>);

impl IssuerApi {
    async fn authenticated<T>(&self, request: Request<T>) -> Result<(Caller, T), Failure> {
        let (metadata, extensions, message) = request.into_parts();
        Ok((self.0.caller(&metadata, &extensions).await?, message))
    }

    fn audit(&self, action: &'static str, caller: &Caller, token: &PermanentToken) {
        let role = self.0.role_name(token.role);
        let target = Target {
            account: Some(token.account),
            user: Some(token.user),
            role: Some(&role),
            token: Some(token.id),
            ..Target::default()
        };
        audit::changed(action, caller, target);
    }

    fn filter(&self, request: &v1::ListPermanentTokensRequest) -> Result<Filter, Failure> {
        let mut fields = Fields::default();
        let state = v1::PermanentTokenState::try_from(request.state);
        fields.require(state.is_ok(), "state", "a value of PermanentTokenState");
        let before = request.expires_before.as_ref();
        let before = before.map(|at| fields::instant("expires_before", at));
        let expires_before = before.and_then(|at| fields.take(at));
        fields.check()?;
        let created_by = match request.created_by {
            0 => None,
            id => Some(fields::id::<UserId>("created_by", id)?.get()),
        };
        let role = match request.role.as_str() {
            "" => None,
            name => Some(self.0.role_named("role", name)?.id),
        };
        Ok(Filter { created_by, role, state: state.ok().and_then(convert::state), expires_before })
    }
}

fn client(metadata: &MetadataMap, extensions: &Extensions) -> Client {
    let agent = metadata.get("user-agent").and_then(|value| value.to_str().ok());
    Client {
        address: peer(extensions).map(|peer| peer.ip()),
        user_agent: agent.unwrap_or_default().to_owned(),
    }
}

fn login_response(pair: &Pair) -> v1::LoginResponse {
    v1::LoginResponse {
        access_token: pair.access.clone(),
        refresh_token: pair.refresh.expose().to_owned(),
        access_expires_at: Some(convert::timestamp(pair.access_expires_at)),
        refresh_expires_at: Some(convert::timestamp(pair.refresh_expires_at)),
    }
}

#[tonic::async_trait]
impl IssuerService for IssuerApi {
    async fn login(
        &self,
        request: Request<v1::LoginRequest>,
    ) -> Result<Response<v1::LoginResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let client = client(&metadata, &extensions);
        let address = client.address;
        let pair = self.0.login(&message.username, &message.password, client).await?;
        audit::logged_in(&pair, address);
        Ok(Response::new(login_response(&pair)))
    }

    async fn refresh(
        &self,
        request: Request<v1::RefreshRequest>,
    ) -> Result<Response<v1::RefreshResponse>, Status> {
        let pair = login_response(&self.0.refresh(&request.into_inner().refresh_token).await?);
        Ok(Response::new(v1::RefreshResponse {
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            access_expires_at: pair.access_expires_at,
            refresh_expires_at: pair.refresh_expires_at,
        }))
    }

    async fn logout(
        &self,
        request: Request<v1::LogoutRequest>,
    ) -> Result<Response<v1::LogoutResponse>, Status> {
        let (caller, message) = self.authenticated(request).await?;
        self.0.logout(&caller, message.all).await?;
        let session = caller.session().ok().filter(|_| !message.all).map(|id| id.get());
        let user = Some(caller.user().get());
        audit::changed("Logout", &caller, Target { user, session, ..Target::default() });
        Ok(Response::new(v1::LogoutResponse {}))
    }

    async fn exchange_token(
        &self,
        request: Request<v1::ExchangeTokenRequest>,
    ) -> Result<Response<v1::ExchangeTokenResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let plain = match message.token.as_str() {
            "" => credentials(&metadata)?,
            token => token,
        };
        let question = Question {
            client_address: peer(&extensions).map(|peer| peer.ip()),
            ..Question::default()
        };
        // As at a refresh.
        self.0.check_prepared()?;
        let (access_token, expires_at) = self.0.exchange(plain, &question).await?;
        let access_expires_at = Some(convert::timestamp(expires_at));
        Ok(Response::new(v1::ExchangeTokenResponse { access_token, access_expires_at }))
    }

    async fn create_permanent_token(
        &self,
        request: Request<v1::CreatePermanentTokenRequest>,
    ) -> Result<Response<v1::CreatePermanentTokenResponse>, Status> {
        let (caller, wanted) = self.authenticated(request).await?;
        let wanted = NewToken {
            name: wanted.name,
            description: wanted.description,
            role: wanted.role,
            audiences: wanted.audiences,
            allowed_cidrs: wanted.allowed_cidrs,
            expires_at: wanted.expires_at,
            not_before: wanted.not_before,
        };
        let created = self.0.create_token(&caller, wanted).await?;
        self.audit("CreatePermanentToken", &caller, &created.token);
        Ok(Response::new(v1::CreatePermanentTokenResponse {
            permanent_token: Some(convert::token(&self.0, created.token, Usage::default())),
            token: created.plain.expose().to_owned(),
        }))
    }

    async fn get_permanent_token(
        &self,
        request: Request<v1::GetPermanentTokenRequest>,
    ) -> Result<Response<v1::GetPermanentTokenResponse>, Status> {
        let (caller, message) = self.authenticated(request).await?;
        let id = self.0.token_id(&caller, message.id)?;
        let token = self.0.token(&caller, id).await?;
        let permanent_token = Some(convert::token(&self.0, token, self.0.usage_of_one(id).await?));
        Ok(Response::new(v1::GetPermanentTokenResponse { permanent_token }))
    }

    async fn list_permanent_tokens(
        &self,
        request: Request<v1::ListPermanentTokensRequest>,
    ) -> Result<Response<v1::ListPermanentTokensResponse>, Status> {
        let (caller, message) = self.authenticated(request).await?;
        let filter = self.filter(&message)?;
        let page = fields::page(message.page_size, &message.page_token)?;
        let account = match message.account_id {
            0 => caller.account(),
            id => fields::id::<AccountId>("account_id", id)?,
        };
        let (tokens, next) = self.0.list_tokens(&caller, account, &filter, page).await?;
        let usage = self.0.usage_of(&tokens).await?;
        let tokens = tokens.into_iter().zip(usage);
        Ok(Response::new(v1::ListPermanentTokensResponse {
            permanent_tokens: tokens.map(|(t, usage)| convert::token(&self.0, t, usage)).collect(),
            next_page_token: convert::next_page_token(next),
        }))
    }

    async fn update_permanent_token(
        &self,
        request: Request<v1::UpdatePermanentTokenRequest>,
    ) -> Result<Response<v1::UpdatePermanentTokenResponse>, Status> {
        let (caller, message) = self.authenticated(request).await?;
        let id = self.0.token_id(&caller, message.id)?;
        let change = Change {
            name: message.name,
            description: message.description,
            role: message.role,
            audiences: message.audiences,
            allowed_cidrs: message.allowed_cidrs,
            expires_at: message.expires_at,
            mask: message.update_mask,
        };
        let usage = self.0.usage_of_one(id).await?;
        let token = self.0.update_token(&caller, id, &change).await?;
        self.audit("UpdatePermanentToken", &caller, &token);
        let permanent_token = Some(convert::token(&self.0, token, usage));
        Ok(Response::new(v1::UpdatePermanentTokenResponse { permanent_token }))
    }

    async fn rotate_permanent_token(
        &self,
        request: Request<v1::RotatePermanentTokenRequest>,
    ) -> Result<Response<v1::RotatePermanentTokenResponse>, Status> {
        let (caller, message) = self.authenticated(request).await?;
        let id = self.0.token_id(&caller, message.id)?;
        // First: what is done must not fail after it, and here take the new secret along.
        let usage = self.0.usage_of_one(id).await?;
        let rotated = self.0.rotate_token(&caller, id, message.overlap).await?;
        self.audit("RotatePermanentToken", &caller, &rotated.token);
        Ok(Response::new(v1::RotatePermanentTokenResponse {
            permanent_token: Some(convert::token(&self.0, rotated.token, usage)),
            token: rotated.plain.expose().to_owned(),
        }))
    }

    async fn revoke_permanent_token(
        &self,
        request: Request<v1::RevokePermanentTokenRequest>,
    ) -> Result<Response<v1::RevokePermanentTokenResponse>, Status> {
        let (caller, message) = self.authenticated(request).await?;
        let id = self.0.token_id(&caller, message.id)?;
        let usage = self.0.usage_of_one(id).await?;
        let token = self.0.revoke_token(&caller, id).await?;
        self.audit("RevokePermanentToken", &caller, &token);
        let permanent_token = Some(convert::token(&self.0, token, usage));
        Ok(Response::new(v1::RevokePermanentTokenResponse { permanent_token }))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let (caller, _) = self.authenticated(request).await?;
        let principal = Some(convert::principal(caller.principal));
        Ok(Response::new(v1::WhoAmIResponse { principal }))
    }

    async fn change_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::ChangePasswordResponse>, Status> {
        let (caller, message) = self.authenticated(request).await?;
        let (current, new) = (&message.current_password, &message.new_password);
        self.0.change_password(&caller, current, new).await?;
        let user = Some(caller.user().get());
        audit::changed("ChangePassword", &caller, Target { user, ..Target::default() });
        Ok(Response::new(v1::ChangePasswordResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let (caller, message) = self.authenticated(request).await?;
        let page = fields::page(message.page_size, &message.page_token)?;
        let current = caller.session().map_or(0, |id| id.get());
        let (sessions, next) = self.0.sessions_of(caller.user(), page).await?;
        Ok(Response::new(v1::ListSessionsResponse {
            sessions: sessions.into_iter().map(|s| convert::session(s, current)).collect(),
            next_page_token: convert::next_page_token(next),
        }))
    }
}
