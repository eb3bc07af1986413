//! Answers in JSON.

use axum::{
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

/// Both ways are offered to who tried neither (RFC 6749, section 5.2).
const CHALLENGE: &str = "Bearer realm=\"tessera\", Basic realm=\"tessera\"";

/// A page with these members. It is about this instant; nobody may keep it.
pub fn page(status: StatusCode, members: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, members.to_string()).into_response()
}

/// An error by its registered name (RFC 6749, section 5.2), with words for people.
pub fn error(status: StatusCode, name: &str, description: &str) -> Response {
    page(status, &json!({ "error": name, "error_description": description }))
}

/// The caller does not prove itself, or not with a good token.
pub fn invalid_client() -> Response {
    let text = "a good token of the caller is needed: Bearer, APIKey, or the password of Basic";
    let page = error(StatusCode::UNAUTHORIZED, "invalid_client", text);
    ([(WWW_AUTHENTICATE, CHALLENGE)], page).into_response()
}
