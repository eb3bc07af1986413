//! Typed clients that carry credentials.

use std::{error::Error as _, iter::successors, net::SocketAddr, time::Duration};

use tessera_proto::v1::{
    admin_service_client::AdminServiceClient, issuer_service_client::IssuerServiceClient,
    verifier_service_client::VerifierServiceClient,
};
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// A call that takes longer than this hangs, and the test fails.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// What a call carries in its metadata.
#[derive(Clone, Default)]
pub struct Credentials(Option<AsciiMetadataValue>);

impl Credentials {
    /// Nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// `Bearer` and a token of either kind.
    pub fn bearer(token: &str) -> Self {
        Self::raw(&format!("Bearer {token}"))
    }

    /// `APIKey` and a permanent token.
    pub fn api_key(token: &str) -> Self {
        Self::raw(&format!("APIKey {token}"))
    }

    /// The whole value of `authorization`.
    pub fn raw(value: &str) -> Self {
        Self(Some(value.parse().unwrap()))
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A channel that puts credentials on each call.
pub type Caller = InterceptedService<Channel, Credentials>;
/// A client of the issuer.
pub type Issuer = IssuerServiceClient<Caller>;
/// A client of the issuer's administration.
pub type Admin = AdminServiceClient<Caller>;
/// A client of a verifier.
pub type Verifier = VerifierServiceClient<Channel>;

/// A client of the issuer at `address`.
pub fn issuer(address: SocketAddr, credentials: &Credentials) -> Issuer {
    IssuerServiceClient::with_interceptor(channel(address), credentials.clone())
}

/// A client of the administration at `address`.
pub fn admin(address: SocketAddr, credentials: &Credentials) -> Admin {
    AdminServiceClient::with_interceptor(channel(address), credentials.clone())
}

/// A client of the verifier at `address`.
pub fn verifier(address: SocketAddr) -> Verifier {
    VerifierServiceClient::new(channel(address))
}

/// A channel to `address` that connects with its first call.
pub fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::try_from(format!("http://{address}")).unwrap();
    endpoint.timeout(CALL_LIMIT).connect_lazy()
}

/// Whether the call behind `status` was never sent, since its connection closed under it: what
/// other clients of gRPC send again by themselves. Tonic says CANCELLED, as for a call that its
/// server reset; hyper, behind it, tells one from the other.
pub fn never_sent(status: &Status) -> bool {
    let mut sources = successors(status.source(), |&error| error.source());
    sources.any(|error| error.downcast_ref().is_some_and(hyper::Error::is_canceled))
}
