//! `POST /revoke` (RFC 7009): ends a token, for clients that speak OAuth.
//!
//! The caller proves itself by a good token of its own: `Bearer`, `APIKey`, or as the
//! password of `Basic` (RFC 6749, section 2.3.1; the username is not looked at). The token
//! that is to end will do too, since to hold it is enough to end it.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
};
pub(super) use tessera_serve::oauth::form::LARGEST_FORM;
use tessera_serve::oauth::{
    answer::{error, invalid_client},
    caller::Caller,
    form::{Form, WrongForm},
};
use tessera_shared::examine::{Question, Verdict};
use zeroize::Zeroizing;

use crate::{
    audit::{self, Target},
    core::Core,
    failure::Failure,
    presented::Ended,
    unconfirmed,
};

/// Why nothing is revoked.
enum Refusal {
    Form(WrongForm),
    InvalidClient,
    Failed(Failure),
}

/// Answers 200 also where there is no such token: it is not good, which is what was wanted
/// (section 2.2).
pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    form: Result<Bytes, BytesRejection>,
) -> Response {
    let mut response = match answer(&core, &headers, form).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(Refusal::Form(wrong)) => wrong.into_response(),
        Err(Refusal::InvalidClient) => invalid_client(),
        Err(Refusal::Failed(failure)) => failed(&failure),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(
    core: &Core,
    headers: &HeaderMap,
    form: Result<Bytes, BytesRejection>,
) -> Result<(), Refusal> {
    let form = Form::read(headers, form).map_err(Refusal::Form)?;
    let credential = Caller::read(headers).token().ok_or(Refusal::InvalidClient)?;
    let token = token(&form).map_err(Refusal::Form)?;
    let is_its_own = *credential == *token;
    if !is_its_own {
        admit(core, &credential).await?;
    }
    match unconfirmed::go_on(core.end_presented(&token)).await.map_err(Refusal::Failed)? {
        Some(ended) => {
            tracing::info!(?ended, "a token was revoked by who presented it");
            audit::revoked_by_holder(target(ended));
        }
        None if is_its_own => return Err(Refusal::InvalidClient),
        None => {}
    }
    Ok(())
}

fn target(ended: Ended) -> Target<'static> {
    match ended {
        Ended::PermanentToken(id) | Ended::Exchanged(id) => {
            Target { token: Some(id), ..Target::default() }
        }
        Ended::Session(id) => Target { session: Some(id), ..Target::default() },
    }
}

/// Whether the caller is one of ours. One whose token is limited to networks is not known
/// to be in them.
async fn admit(core: &Core, credential: &str) -> Result<(), Refusal> {
    let verdict = core.examine(credential, &Question::default()).await;
    match verdict.map_err(|error| Refusal::Failed(error.into()))? {
        Verdict::Granted(_) => Ok(()),
        Verdict::Denied(_) => Err(Refusal::InvalidClient),
    }
}

/// Reads the form (section 2.1). Every kind of token can be told without `token_type_hint`.
fn token(form: &Form) -> Result<Zeroizing<String>, WrongForm> {
    let [token, _hint] = form.values(["token", "token_type_hint"])?;
    token.ok_or(WrongForm::because("a form with one token is needed"))
}

/// An outage: the token must be taken for good still (section 2.2.1).
fn failed(failure: &Failure) -> Response {
    failure.log();
    let text = failure.to_string();
    match failure {
        Failure::Internal(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text),
        _ => {
            let page = error(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", &text);
            ([(RETRY_AFTER, "1")], page).into_response()
        }
    }
}
