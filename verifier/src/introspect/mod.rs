//! `POST /introspect` (RFC 7662): whether a token is good, for callers that speak OAuth.
//!
//! The caller proves itself with a token that has the scope of `--introspection-scope`:
//! `Bearer`, `APIKey`, or as the password of `Basic`. A token that is not good is
//! `{"active": false}`, whatever is wrong with it (section 2.2).

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};
use tessera_proto::v1::{Principal, PrincipalKind};
pub(crate) use tessera_serve::oauth::form::LARGEST_FORM;
use tessera_serve::oauth::{
    answer,
    caller::Caller,
    form::{Form, WrongForm},
};
use tessera_shared::examine;

use crate::{
    guard::{Guard, refusal::Refusal},
    http::Face,
    service::Question,
};

/// An answer takes at most so long. The store gives up before that.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why nothing is told of a token.
enum Wrong {
    Form(WrongForm),
    /// The caller does not prove itself, or not as RFC 6749 has it.
    Client,
    Refused(Refusal),
}

/// Answers a form with `token`, and `client_address` if it is known where that came from.
pub(crate) async fn introspect(
    State(face): State<Face>,
    headers: HeaderMap,
    form: Result<Bytes, BytesRejection>,
) -> Response {
    match members(&face, &headers, form).await {
        Ok(members) => answer::page(StatusCode::OK, &members),
        Err(Wrong::Form(wrong)) => wrong.into_response(),
        Err(Wrong::Client) => answer::invalid_client(),
        Err(Wrong::Refused(refusal)) => refused(&refusal),
    }
}

async fn members(
    face: &Face,
    headers: &HeaderMap,
    form: Result<Bytes, BytesRejection>,
) -> Result<Value, Wrong> {
    let form = Form::read(headers, form).map_err(Wrong::Form)?;
    admit(&face.guard, headers, &face.introspection_scope).await?;
    let question = question(&form).map_err(Wrong::Form)?;
    match face.guard.principal(&question, DEADLINE).await {
        Ok(principal) => Ok(active(principal)),
        Err(Refusal::InvalidToken) => Ok(json!({ "active": false })),
        Err(other) => Err(Wrong::Refused(other)),
    }
}

/// Whether the caller may ask. It is told in the words of the scheme that it tried: those
/// of RFC 6750, or of RFC 6749, section 5.2.
async fn admit(guard: &Guard, headers: &HeaderMap, scope: &str) -> Result<(), Wrong> {
    let (token, is_client) = match Caller::read(headers) {
        Caller::Bearer(token) => (token, false),
        Caller::Basic(token) => (token, true),
        Caller::Nobody => return Err(Wrong::Client),
        Caller::Wrong => return Err(Wrong::Refused(Refusal::InvalidRequest)),
    };
    let required_scopes = vec![scope.to_owned()];
    let asked = examine::Question { required_scopes, ..examine::Question::default() };
    match guard.principal(&Question::of(&token, asked), DEADLINE).await {
        Ok(_) => Ok(()),
        Err(Refusal::InvalidToken) if is_client => Err(Wrong::Client),
        Err(other) => Err(Wrong::Refused(other)),
    }
}

/// Reads the form (section 2.1). Every kind of token can be told without `token_type_hint`.
fn question(form: &Form) -> Result<Question, WrongForm> {
    let [token, address, _hint] = form.values(["token", "client_address", "token_type_hint"])?;
    let token = token.ok_or(WrongForm::because("a form with one token is needed"))?;
    let client_address = match address {
        Some(text) => {
            let no_address = WrongForm::because("client_address is no IP address");
            Some(text.parse().map_err(|_| no_address)?)
        }
        None => None,
    };
    let asked = examine::Question { client_address, ..examine::Question::default() };
    Ok(Question::of(&token, asked))
}

/// Turns a caller away.
fn refused(refusal: &Refusal) -> Response {
    let (status, name) = match refusal {
        // Other than at `/verify`, no proxy stands between that knows 401 and 403 alone.
        Refusal::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
        Refusal::NoCredential => (StatusCode::UNAUTHORIZED, "invalid_client"),
        Refusal::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
        Refusal::InsufficientScope(_) => (StatusCode::FORBIDDEN, "insufficient_scope"),
        Refusal::Outage => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        Refusal::Fault | Refusal::Misconfigured => {
            (StatusCode::INTERNAL_SERVER_ERROR, "server_error")
        }
    };
    let mut response = answer::error(status, name, refusal.message());
    for (name, value) in refusal.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The members of section 2.2 that apply, and besides those of an access token's claims.
fn active(principal: Principal) -> Value {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    set("active", json!(true));
    set("token_type", json!("Bearer"));
    set("scope", json!(principal.scopes.join(" ")));
    set("sub", json!(principal.user_id.to_string()));
    set("aud", json!(principal.audiences));
    if let Some(at) = principal.issued_at {
        set("iat", json!(at.seconds));
    }
    if let Some(at) = principal.expires_at {
        set("exp", json!(at.seconds));
    }
    set("account", json!(principal.account_id));
    set("role", json!(principal.role));
    match principal.kind() {
        PrincipalKind::Session => {
            set("username", json!(principal.name));
            set("sid", json!(principal.session_id.to_string()));
            set("kind", json!("session"));
        }
        PrincipalKind::PermanentToken | PrincipalKind::Unspecified => {
            set("tid", json!(principal.token_id));
            set("kind", json!("permanent_token"));
        }
    }
    Value::Object(members)
}
