//! Calls the issuer as the user: with a permanent token, or with the session,
//! which is refreshed when its access token is, or is about to be, over.

use std::time::Duration;

use tessera_proto::v1::{
    RefreshRequest, RefreshResponse, issuer_service_client::IssuerServiceClient,
};
use tessera_shared::clock::Clock;
use tonic::{Request, Response, Status, metadata::MetadataValue, transport::Channel};

use crate::{
    credentials::{self, Credentials},
    failure::Failure,
    secret::Secret,
    server::Server,
    session::{Session, SessionFile},
    status, when,
};

/// An access token with less than this to live is refreshed before it is used.
const MARGIN: Duration = Duration::from_secs(30);

/// One who calls the issuer.
pub(crate) struct Caller<'a> {
    /// The issuer.
    pub(crate) issuer: Server,
    /// What proves the caller.
    pub(crate) credentials: Credentials,
    /// Where the session is.
    pub(crate) file: &'a SessionFile,
    /// Decides when the access token is over.
    pub(crate) clock: &'a dyn Clock,
}

impl Caller<'_> {
    /// Calls `rpc` with `body` and the credentials. An access token that the issuer
    /// finds no longer good, such as one made before a change of the user's role, is
    /// refreshed, and the call is made once more.
    ///
    /// # Errors
    /// There are no credentials, or the call fails.
    pub(crate) async fn call<Q: Clone, A>(
        &self,
        body: Q,
        rpc: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let token = match &self.credentials {
            Credentials::Permanent(token) => {
                let request = authorized(body, "APIKey", token)?;
                return self.issuer.call(request, rpc).await;
            }
            Credentials::Session => self.access_token(None).await?,
        };
        let request = authorized(body.clone(), "Bearer", &token)?;
        match self.issuer.call(request, &rpc).await {
            Err(failure) if finds_token_bad(&failure) => {
                let fresh = self.access_token(Some(&token)).await?;
                let request = authorized(body, "Bearer", &fresh)?;
                self.issuer.call(request, rpc).await
            }
            answer => answer,
        }
    }

    /// Refreshes the session even though its access token may look good, as is
    /// needed after a change of the password.
    ///
    /// # Errors
    /// There is no session, or it is over.
    pub(crate) async fn renew(&self) -> Result<(), Failure> {
        let session = self.file.load()?.ok_or(Failure::NotLoggedIn)?;
        self.access_token(Some(&session.access_token)).await?;
        Ok(())
    }

    /// An access token that is good for a while yet, and is not `denied`.
    async fn access_token(&self, denied: Option<&Secret>) -> Result<Secret, Failure> {
        let good = |session: &Session| {
            let denied = denied.is_some_and(|it| it.expose() == session.access_token.expose());
            !denied && self.clock.now().after(MARGIN) < session.access_expires_at
        };
        let session = self.file.load()?.ok_or(Failure::NotLoggedIn)?;
        if good(&session) {
            return Ok(session.access_token);
        }
        // A refresh token is good once. While this process waited, another may have
        // refreshed the session: look again under the lock, which is held across the
        // refresh on purpose. The call's deadline bounds the wait of the others.
        let _lock = self.file.lock().await?;
        let session = self.file.load()?.ok_or(Failure::NotLoggedIn)?;
        if good(&session) {
            return Ok(session.access_token);
        }
        self.refresh(session).await
    }

    async fn refresh(&self, session: Session) -> Result<Secret, Failure> {
        if self.clock.now() >= session.refresh_expires_at {
            return Err(Failure::SessionOver(session.refresh_expires_at));
        }
        let request = RefreshRequest { refresh_token: session.refresh_token.expose().to_owned() };
        let answer = self
            .issuer
            .call(Request::new(request), async |channel, request| {
                IssuerServiceClient::new(channel).refresh(request).await
            })
            .await?;
        let session = refreshed(session.issuer, answer)?;
        // Saved before use: else a crash here would lose the only good refresh token.
        self.file.save(&session)?;
        Ok(session.access_token)
    }
}

fn refreshed(issuer: String, answer: RefreshResponse) -> Result<Session, Failure> {
    let instant = |wire: Option<prost_types::Timestamp>, name| {
        wire.map(when::from_wire).ok_or(Failure::Incomplete(name))
    };
    Ok(Session {
        issuer,
        access_token: Secret::new(answer.access_token),
        access_expires_at: instant(answer.access_expires_at, "access_expires_at")?,
        refresh_token: Secret::new(answer.refresh_token),
        refresh_expires_at: instant(answer.refresh_expires_at, "refresh_expires_at")?,
    })
}

/// A request with `authorization: <scheme> <token>`.
pub(crate) fn authorized<Q>(body: Q, scheme: &str, token: &Secret) -> Result<Request<Q>, Failure> {
    let mut request = Request::new(body);
    let mut value = MetadataValue::try_from(format!("{scheme} {}", token.expose()))
        .map_err(|_| Failure::NotText(format!("the token of {}", credentials::TOKEN)))?;
    // Keeps it out of Debug, and out of HPACK's tables.
    value.set_sensitive(true);
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}

/// Whether the issuer refused the access token itself: the call was not carried out.
fn finds_token_bad(failure: &Failure) -> bool {
    match failure {
        Failure::Rpc { status, .. } => {
            status::reason(status).as_deref() == Some("CREDENTIALS_INVALID")
        }
        _ => false,
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
