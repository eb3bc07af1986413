//! `/verify`: whether a request may go on, for proxies that ask over HTTP: nginx
//! (`auth_request`), Caddy (`forward_auth`), Traefik (`forwardAuth`).
//!
//! A proxy passes the client's headers on, so nothing of what is demanded is read from
//! headers: it stands in the query, which the proxy's configuration alone writes. How each
//! proxy was seen to behave is told in `deploy/`.

mod demand;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::{
    extract::{RawQuery, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use tessera_serve::credential::Credential;

use self::demand::Asked as Demanded;
use crate::{
    guard::{
        Asked, Guard, has_query_token,
        identity::Identity,
        refusal::{Refusal, is_grpc},
    },
    http::Face,
};

/// An answer takes at most so long. The store gives up before that.
const DEADLINE: Duration = Duration::from_secs(5);
/// Where proxies tell the URL of the request that is judged.
const ORIGINAL_URLS: [&str; 2] = ["x-original-uri", "x-forwarded-uri"];

/// Answers with any method: 200 with every identity header, or how to turn the request away.
pub(crate) async fn verify(
    State(face): State<Face>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let judged = judge(&face.guard, query.as_deref().unwrap_or_default(), &headers).await;
    let mut response = match judged.and_then(|identity| granted(&identity)) {
        Ok(response) => response,
        Err(refusal) => refused(&refusal, &headers),
    };
    // A verdict is about this instant; no proxy may give it again.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn judge(guard: &Guard, query: &str, headers: &HeaderMap) -> Result<Identity, Refusal> {
    let demanded = Demanded::read(query)?;
    let urls = ORIGINAL_URLS.iter().flat_map(|name| headers.get_all(*name));
    let mut urls = urls.filter_map(|url| url.to_str().ok());
    let asked = Asked {
        credential: Credential::read(headers.get_all(AUTHORIZATION).iter().map(|it| it.as_bytes())),
        address: demanded.address(headers),
        has_query_token: urls.any(has_query_token),
    };
    guard.admit(asked, &demanded.demand, DEADLINE).await
}

/// All headers, an empty one where it does not apply: a proxy that copies them must find
/// each, so that none of the client's is left.
fn granted(identity: &Identity) -> Result<Response, Refusal> {
    let mut response = StatusCode::OK.into_response();
    for (name, value) in identity.headers() {
        let value = HeaderValue::from_str(value).map_err(|_| Refusal::Fault)?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// Turns a request with these headers away.
fn refused(refusal: &Refusal, asked: &HeaderMap) -> Response {
    let status = StatusCode::from_u16(refusal.http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = refusal.headers();
    let mut text = format!("{}\n", refusal.message());
    let mut content_type = "text/plain; charset=utf-8";
    if asked.get(CONTENT_TYPE).is_some_and(|kind| is_grpc(kind.as_bytes())) {
        // What a gRPC caller needs, for a proxy that relays it ("gRPC over HTTP2", Trailers-Only).
        headers.push(("grpc-status", i32::from(refusal.grpc().0).to_string()));
        headers.push(("grpc-message", refusal.message().to_owned()));
        headers.push(("grpc-status-details-bin", refusal.grpc_details()));
        content_type = "application/grpc";
        text.clear();
    }
    let mut response = (status, text).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
