//! An issuer that can refresh, and tell who calls; for tests.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tessera_proto::v1::{
    self,
    issuer_service_server::{IssuerService, IssuerServiceServer},
};
use tonic::{
    Code, Request, Response, Status,
    transport::server::{Server, TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt as _};

type Answer<T> = Result<Response<T>, Status>;

/// The issuer: the good pair is `access-N` and `refresh-N`, where N counts the refreshes.
#[derive(Clone)]
pub(super) struct Fake {
    refreshes: Arc<Mutex<u32>>,
    session_file: PathBuf,
}

impl Fake {
    /// Serves, and answers its URL. It looks whether `session_file` holds the token
    /// that a call comes with.
    pub(super) fn serve(session_file: PathBuf) -> (Self, String) {
        let fake = Self { refreshes: Arc::default(), session_file };
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let service = IssuerServiceServer::new(fake.clone());
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(incoming));
        (fake, url)
    }

    /// How often a session was refreshed.
    pub(super) fn refreshes(&self) -> u32 {
        *self.refreshes.lock().unwrap()
    }
}

fn refused(reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "tessera.v1", HashMap::new());
    Status::with_error_details(Code::Unauthenticated, "refused", details)
}

#[tonic::async_trait]
impl IssuerService for Fake {
    async fn refresh(&self, request: Request<v1::RefreshRequest>) -> Answer<v1::RefreshResponse> {
        let mut refreshes = self.refreshes.lock().unwrap();
        if request.into_inner().refresh_token != format!("refresh-{refreshes}") {
            return Err(refused("REFRESH_TOKEN_REUSED"));
        }
        *refreshes += 1;
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Ok(Response::new(v1::RefreshResponse {
            access_token: format!("access-{refreshes}"),
            refresh_token: format!("refresh-{refreshes}"),
            access_expires_at: at(10_000),
            refresh_expires_at: at(20_000),
        }))
    }

    /// Answers the `authorization` that it got as the principal's name.
    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Answer<v1::WhoAmIResponse> {
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.unwrap().to_str().unwrap().to_owned();
        if let Some(token) = authorization.strip_prefix("Bearer ") {
            if token != format!("access-{}", self.refreshes()) {
                return Err(refused("CREDENTIALS_INVALID"));
            }
            let saved = fs::read_to_string(&self.session_file).unwrap();
            assert!(saved.contains(token), "used before it was saved");
        }
        Ok(Response::new(v1::WhoAmIResponse {
            principal: Some(v1::Principal { name: authorization, ..v1::Principal::default() }),
        }))
    }

    async fn login(&self, _: Request<v1::LoginRequest>) -> Answer<v1::LoginResponse> {
        Err(Status::unimplemented(""))
    }

    async fn logout(&self, _: Request<v1::LogoutRequest>) -> Answer<v1::LogoutResponse> {
        Err(Status::unimplemented(""))
    }

    async fn exchange_token(
        &self,
        _: Request<v1::ExchangeTokenRequest>,
    ) -> Answer<v1::ExchangeTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn create_permanent_token(
        &self,
        _: Request<v1::CreatePermanentTokenRequest>,
    ) -> Answer<v1::CreatePermanentTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_permanent_token(
        &self,
        _: Request<v1::GetPermanentTokenRequest>,
    ) -> Answer<v1::GetPermanentTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_permanent_tokens(
        &self,
        _: Request<v1::ListPermanentTokensRequest>,
    ) -> Answer<v1::ListPermanentTokensResponse> {
        Err(Status::unimplemented(""))
    }

    async fn update_permanent_token(
        &self,
        _: Request<v1::UpdatePermanentTokenRequest>,
    ) -> Answer<v1::UpdatePermanentTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn rotate_permanent_token(
        &self,
        _: Request<v1::RotatePermanentTokenRequest>,
    ) -> Answer<v1::RotatePermanentTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_permanent_token(
        &self,
        _: Request<v1::RevokePermanentTokenRequest>,
    ) -> Answer<v1::RevokePermanentTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn change_password(
        &self,
        _: Request<v1::ChangePasswordRequest>,
    ) -> Answer<v1::ChangePasswordResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_sessions(
        &self,
        _: Request<v1::ListSessionsRequest>,
    ) -> Answer<v1::ListSessionsResponse> {
        Err(Status::unimplemented(""))
    }
}
