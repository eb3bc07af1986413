//! `POST /introspect` (RFC 7662): whether a token is good, for callers that speak OAuth.
//!
//! The caller proves itself with a token that has the scope of `--introspection-scope`. A
//! token that is not good is `{"active": false}`, whatever is wrong with it (section 2.2).

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};
use tessera_proto::v1::{Principal, PrincipalKind};
use tessera_shared::examine;

use crate::{
    forward,
    guard::{Guard, credential::Credential, refusal::Refusal},
    http::Face,
    service::Question,
};

/// The largest form that is read, in bytes: a token of the largest size, percent-encoded.
pub(crate) const LARGEST_FORM: usize = 32 * 1024;
/// An answer takes at most so long. The store gives up before that.
const DEADLINE: Duration = Duration::from_secs(5);

/// Answers a form with `token`, and `client_address` if it is known where that came from.
pub(crate) async fn introspect(
    State(face): State<Face>,
    headers: HeaderMap,
    form: Result<Bytes, BytesRejection>,
) -> Response {
    let mut response = match form {
        Ok(form) => match answer(&face, &headers, &form).await {
            Ok(response) => response,
            Err(refusal) => forward::refused(&refusal, &headers),
        },
        Err(too_large_or_cut_off) => too_large_or_cut_off.into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(face: &Face, headers: &HeaderMap, form: &[u8]) -> Result<Response, Refusal> {
    admit(&face.guard, headers, &face.introspection_scope).await?;
    let Some(question) = question(form) else {
        let text = json!({
            "error": "invalid_request",
            "error_description": "a form with one token is needed, and client_address at most",
        });
        return Ok(page(StatusCode::BAD_REQUEST, &text));
    };
    let members = match face.guard.principal(&question, DEADLINE).await {
        Ok(principal) => active(principal),
        Err(Refusal::InvalidToken) => json!({ "active": false }),
        Err(other) => return Err(other),
    };
    Ok(page(StatusCode::OK, &members))
}

/// Whether the caller may ask.
async fn admit(guard: &Guard, headers: &HeaderMap, scope: &str) -> Result<(), Refusal> {
    let values = headers.get_all(AUTHORIZATION).iter().map(|value| value.as_bytes());
    let token = Credential::read(values).presented()?;
    let required_scopes = vec![scope.to_owned()];
    let asked = examine::Question { required_scopes, ..examine::Question::default() };
    guard.principal(&Question::of(token, asked), DEADLINE).await.map(drop)
}

/// Reads the form (section 2.1). `token_type_hint` and what is not known are passed over.
fn question(form: &[u8]) -> Option<Question> {
    let value_of = |name: &str| {
        let mut values = url::form_urlencoded::parse(form).filter(|(one, _)| one == name);
        let first = values.next().map(|(_, value)| value.into_owned());
        // No parameter may be there twice (RFC 6749, section 3.2).
        if values.next().is_some() { Err(()) } else { Ok(first) }
    };
    let token = value_of("token").ok()??;
    let client_address = value_of("client_address").ok()?;
    let client_address = client_address.map(|text| text.parse()).transpose().ok()?;
    let asked = examine::Question { client_address, ..examine::Question::default() };
    Some(Question::of(&token, asked))
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

fn page(status: StatusCode, members: &Value) -> Response {
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, json, members.to_string()).into_response()
}
