//! The connection to a service.

use std::{fs, path::Path, time::Duration};

use tonic::{
    Request, Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::failure::Failure;

/// How long a connection may take to come about.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long a call may take, connection included. A login hashes a password and may queue.
const CALL_DEADLINE: Duration = Duration::from_secs(15);

/// A service at a URL.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    url: String,
    channel: Channel,
}

impl Server {
    /// The service at `url`; nothing is sent yet. For `https`, its certificate is
    /// checked against `ca_file` (PEM), or else against the system's authorities.
    /// `flag` is where the URL comes from, for the failure.
    ///
    /// # Errors
    /// The URL is none; the certificates can't be read.
    pub(crate) fn new(
        url: &str,
        ca_file: Option<&Path>,
        flag: &'static str,
    ) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| Failure::Url(flag))?;
        // A user in the URL would be sent to nobody and shown in errors.
        let authority = endpoint.uri().authority().ok_or(Failure::Url(flag))?;
        if authority.as_str().contains('@') {
            return Err(Failure::Url(flag));
        }
        let endpoint = match endpoint.uri().scheme_str() {
            Some("http") => endpoint,
            Some("https") => endpoint
                .tls_config(tls(ca_file)?)
                .map_err(|error| Failure::Tls(url.to_owned(), error))?,
            _ => return Err(Failure::Url(flag)),
        };
        let channel =
            endpoint.connect_timeout(CONNECT_DEADLINE).timeout(CALL_DEADLINE).connect_lazy();
        let url = url.to_owned();
        Ok(Self { url, channel })
    }

    /// Calls `rpc` with a deadline that the service hears of too.
    ///
    /// # Errors
    /// The service's, or that there is none.
    pub(crate) async fn call<Q, A>(
        &self,
        mut request: Request<Q>,
        rpc: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        request.set_timeout(CALL_DEADLINE);
        match rpc(self.channel.clone(), request).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(Failure::Rpc { server: self.url.clone(), status: Box::new(status) }),
        }
    }
}

fn tls(ca_file: Option<&Path>) -> Result<ClientTlsConfig, Failure> {
    let Some(path) = ca_file else {
        return Ok(ClientTlsConfig::new().with_native_roots());
    };
    let pem = fs::read(path).map_err(|source| Failure::File { path: path.to_owned(), source })?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_http_and_https_urls_without_a_user_name_a_service() {
        for url in ["http://127.0.0.1:1", "http://issuer:50051", "http://[::1]:1"] {
            assert!(Server::new(url, None, "--issuer").is_ok(), "{url}");
        }
        for url in ["", "issuer:50051", "ftp://x", "http://user:pw@x", "/x", "http://"] {
            let refused = Server::new(url, None, "--issuer");
            assert!(matches!(refused, Err(Failure::Url("--issuer"))), "{url}");
        }
    }

    #[tokio::test]
    async fn a_missing_ca_file_is_named() {
        let refused = Server::new("https://x", Some(Path::new("/no/ca.pem")), "--issuer");
        assert!(refused.unwrap_err().to_string().starts_with("/no/ca.pem: "));
    }
}
