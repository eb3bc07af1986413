//! Where a service listens.

use std::net::SocketAddr;

use tessera_shared::config::TlsFiles;
use tokio::net::TcpListener;
use tracing::field::display;

use crate::ServeError;

/// Where a service listens, already bound, so that a taken address is known at once.
#[derive(Debug)]
pub struct Listeners {
    /// For gRPC.
    pub grpc: TcpListener,
    /// For HTTP: keys, health. Over TLS where gRPC is.
    pub http: TcpListener,
    /// For health and metrics alone, in plaintext.
    pub health: Option<TcpListener>,
}

impl Listeners {
    /// Binds all.
    ///
    /// # Errors
    /// [`ServeError::Bind`] names the address.
    pub async fn bind(
        grpc: SocketAddr,
        http: SocketAddr,
        health: Option<SocketAddr>,
    ) -> Result<Self, ServeError> {
        let bind = async |address| {
            TcpListener::bind(address).await.map_err(|error| ServeError::Bind { address, error })
        };
        let (grpc, http) = (bind(grpc).await?, bind(http).await?);
        let health = match health {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { grpc, http, health })
    }

    /// Says in the log which service begins to serve, and where.
    pub fn announce(&self, service: &str, tls: Option<&TlsFiles>) {
        let at = |listener: &TcpListener| listener.local_addr().ok().map(display);
        tracing::info!(
            service,
            version = env!("CARGO_PKG_VERSION"),
            grpc = at(&self.grpc),
            http = at(&self.http),
            health = self.health.as_ref().and_then(at),
            tls = tls.is_some(),
            "listening"
        );
    }
}
