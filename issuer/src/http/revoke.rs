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
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tessera_shared::examine::{Question, Verdict};
use zeroize::Zeroizing;

use crate::{core::Core, failure::Failure, unconfirmed};

/// The largest form that is read, in bytes: a token of the largest size, percent-encoded.
pub(super) const LARGEST_FORM: usize = 32 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";
/// RFC 6749, section 5.2: who tried with a scheme is told of it, so both are offered.
const CHALLENGE: &str = "Bearer realm=\"tessera\", Basic realm=\"tessera\"";

/// Why nothing is revoked.
enum Refusal {
    InvalidRequest(&'static str),
    InvalidClient,
    NotAForm,
    TooLarge(BytesRejection),
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
        Err(refusal) => refusal.into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(
    core: &Core,
    headers: &HeaderMap,
    form: Result<Bytes, BytesRejection>,
) -> Result<(), Refusal> {
    if !is_form(headers) {
        return Err(Refusal::NotAForm);
    }
    let form = form.map_err(Refusal::TooLarge)?;
    let credential = credential(headers).ok_or(Refusal::InvalidClient)?;
    let token = token(&form).ok_or(Refusal::InvalidRequest("a form with one token is needed"))?;
    let is_its_own = *credential == *token;
    if !is_its_own {
        admit(core, &credential).await?;
    }
    match unconfirmed::go_on(core.end_presented(&token)).await.map_err(Refusal::Failed)? {
        Some(ended) => tracing::info!(?ended, "a token was revoked by who presented it"),
        None if is_its_own => return Err(Refusal::InvalidClient),
        None => {}
    }
    Ok(())
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

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

/// What the one `Authorization` header holds.
fn credential(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok().filter(|_| values.next().is_none())?;
    let (scheme, rest) = value.trim().split_once(' ')?;
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    let rest = rest.trim();
    if is("bearer") || is("apikey") && !rest.contains('.') {
        return Some(Zeroizing::new(rest.to_owned()));
    }
    if !is("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).map(Zeroizing::new).ok()?;
    let (_, password) = pair.split_once(':')?;
    // Both parts are form-encoded first; no token has a character that this would change.
    let decoded = percent_encoding::percent_decode_str(password).decode_utf8().ok()?;
    Some(Zeroizing::new(decoded.into_owned()))
}

/// Reads the form (section 2.1). Every kind of token can be told without `token_type_hint`,
/// which is passed over, as is what is not known. No parameter may be there twice
/// (RFC 6749, section 3.2).
fn token(form: &[u8]) -> Option<Zeroizing<String>> {
    let mut token = None;
    let mut has_hint = false;
    for (name, value) in url::form_urlencoded::parse(form) {
        let is_second = match &*name {
            "token" => token.replace(Zeroizing::new(value.into_owned())).is_some(),
            "token_type_hint" => std::mem::replace(&mut has_hint, true),
            _ => false,
        };
        if is_second {
            return None;
        }
    }
    token.filter(|token| !token.is_empty())
}

impl Refusal {
    fn into_response(self) -> Response {
        let (status, header, error, description) = match self {
            Self::TooLarge(rejection) => return rejection.into_response(),
            Self::NotAForm => {
                let text = "the body must be application/x-www-form-urlencoded";
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, None, "invalid_request", text.to_owned())
            }
            Self::InvalidRequest(what) => {
                (StatusCode::BAD_REQUEST, None, "invalid_request", what.to_owned())
            }
            Self::InvalidClient => {
                let header = Some((WWW_AUTHENTICATE, CHALLENGE));
                let text = "a good token of the caller is needed: Bearer, APIKey, or the password of Basic";
                (StatusCode::UNAUTHORIZED, header, "invalid_client", text.to_owned())
            }
            Self::Failed(failure) => return failed(&failure),
        };
        page(status, header, error, &description)
    }
}

/// An outage: the token must be taken for good still (section 2.2.1).
fn failed(failure: &Failure) -> Response {
    failure.log();
    let text = failure.to_string();
    match failure {
        Failure::Internal(_) => {
            page(StatusCode::INTERNAL_SERVER_ERROR, None, "server_error", &text)
        }
        _ => {
            let retry = Some((RETRY_AFTER, "1"));
            page(StatusCode::SERVICE_UNAVAILABLE, retry, "temporarily_unavailable", &text)
        }
    }
}

fn page(
    status: StatusCode,
    header: Option<(HeaderName, &'static str)>,
    error: &str,
    description: &str,
) -> Response {
    let body = json!({ "error": error, "error_description": description }).to_string();
    let json = [(CONTENT_TYPE, "application/json")];
    let mut response = (status, json, body).into_response();
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
