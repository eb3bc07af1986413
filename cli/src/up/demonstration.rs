//! What a newcomer sees after `tessera up`: the first steps, taken over gRPC, with
//! the command lines to take each again.

mod text;

use std::time::Duration;

use tessera_proto::v1::{
    CreatePermanentTokenRequest, CreatePermanentTokenResponse, LoginRequest, LoginResponse,
    RevokePermanentTokenRequest, VerifyRequest, issuer_service_client::IssuerServiceClient,
    verifier_service_client::VerifierServiceClient,
};
use tessera_shared::clock::{Clock as _, SystemClock};
use tonic::Request;

use crate::{
    caller::authorized, failure::Failure, output, record::Verdict, secret::Secret, server::Server,
    when,
};

/// What the demonstration calls its token.
const TOKEN_NAME: &str = "first-steps";
/// How long its token lives.
const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// Logs in, makes a permanent token for an hour, has the verifier examine it and the
/// access token, and prints what was done, what came back, and how to do it again.
/// This is the permanent token's only showing. `printed_password` says whether the
/// password was made and printed by this start, or given.
///
/// # Errors
/// A service does not answer, or stdout fails.
pub(crate) async fn demonstrate(
    issuer_url: &str,
    verifier_url: &str,
    username: &str,
    password: &Secret,
    printed_password: bool,
) -> Result<(), Failure> {
    let issuer = Server::new(issuer_url, None, "the issuer")?;
    let verifier = Server::new(verifier_url, None, "the verifier")?;
    let session = login(&issuer, username, password).await?;
    let access_token = Secret::new(session.access_token);
    let created = create_token(&issuer, &access_token).await?;
    let permanent_token = Secret::new(created.token);
    let by_token = verify(&verifier, &permanent_token).await?;
    let by_access_token = verify(&verifier, &access_token).await?;
    revoke(&issuer, &permanent_token).await?;
    let seen = text::Seen {
        issuer_url,
        verifier_url,
        username,
        printed_password,
        access_expires_at: session.access_expires_at,
        record: created.permanent_token.ok_or(Failure::Incomplete("permanent_token"))?,
        by_token,
        by_access_token,
        after_revocation: verify(&verifier, &permanent_token).await?,
        permanent_token,
    };
    output::text(&text::first_steps(&seen))
}

/// Prints what a second start says: that `data` has records already, and how to log in.
///
/// # Errors
/// Stdout fails.
pub(crate) fn welcome_back(issuer_url: &str, data: &str, username: &str) -> Result<(), Failure> {
    output::text(&text::welcome_back(issuer_url, data, username))
}

async fn login(
    issuer: &Server,
    username: &str,
    password: &Secret,
) -> Result<LoginResponse, Failure> {
    let request = Request::new(LoginRequest {
        username: username.to_owned(),
        password: password.expose().to_owned(),
    });
    let answer = issuer.call(request, async |channel, request| {
        IssuerServiceClient::new(channel).login(request).await
    });
    answer.await
}

async fn create_token(
    issuer: &Server,
    access_token: &Secret,
) -> Result<CreatePermanentTokenResponse, Failure> {
    let body = CreatePermanentTokenRequest {
        name: TOKEN_NAME.to_owned(),
        description: "made by the first start of `tessera up`".to_owned(),
        expires_at: Some(when::to_wire(SystemClock.now().after(TOKEN_LIFE))),
        ..CreatePermanentTokenRequest::default()
    };
    let request = authorized(body, "Bearer", access_token)?;
    let answer = issuer.call(request, async |channel, request| {
        IssuerServiceClient::new(channel).create_permanent_token(request).await
    });
    answer.await
}

/// The token ends itself: an administrator's token is not left behind on a screen.
async fn revoke(issuer: &Server, token: &Secret) -> Result<(), Failure> {
    let request = authorized(RevokePermanentTokenRequest::default(), "Bearer", token)?;
    issuer
        .call(request, async |channel, request| {
            IssuerServiceClient::new(channel).revoke_permanent_token(request).await
        })
        .await
        .map(drop)
}

/// Asks for an answer that is true now: this token is a few milliseconds old.
async fn verify(verifier: &Server, token: &Secret) -> Result<Verdict, Failure> {
    let request = Request::new(VerifyRequest {
        token: token.expose().to_owned(),
        max_staleness: Some(when::span_to_wire(Duration::ZERO)),
        ..VerifyRequest::default()
    });
    let answer = verifier
        .call(request, async |channel, request| {
            VerifierServiceClient::new(channel).verify(request).await
        })
        .await?;
    Verdict::new(1, answer)
}
