//! The verifier's HTTP face: the public keys and where they are, and what proxies ask. Health and metrics
//! come to it from `tessera_serve`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{CACHE_CONTROL, RETRY_AFTER},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{any, get, post},
};
use tessera_serve::{
    issuer_paths::{self, JWKS, OAUTH, OPENID, Page},
    room::Room,
    well_known,
};
use tessera_shared::{config::VerifyCallers, keys::KeySet};

use crate::{
    answers::{Asker, GuardAnswers},
    forward,
    guard::{Guard, refusal},
    introspect,
    published::Published,
};

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct Face {
    pub(crate) published: Arc<Published>,
    pub(crate) guard: Guard,
    /// Who may ask.
    pub(crate) callers: VerifyCallers,
    /// What a caller of `/introspect` must hold.
    pub(crate) introspection_scope: Arc<str>,
    /// What the metadata tell of where that is.
    pub(crate) introspection_endpoint: Option<Arc<str>>,
    /// For what memory does not answer.
    pub(crate) room: Arc<Room>,
    pub(crate) answers: GuardAnswers,
}

pub(crate) fn app(face: Face) -> Router {
    let of = |asker| Door { asker, room: face.room.clone(), answers: face.answers.clone() };
    let introspection = post(introspect::introspect)
        .layer(DefaultBodyLimit::max(introspect::LARGEST_FORM))
        .layer(from_fn_with_state(of(Asker::Introspection), guarded));
    let verification = any(forward::verify).layer(from_fn_with_state(of(Asker::Forward), guarded));
    let app = Router::new()
        .route(JWKS, get(jwks))
        .route(OPENID, get(metadata))
        .route(OAUTH, get(metadata))
        .route("/introspect", introspection);
    // A proxy proves nothing of itself here: the token that it passes on is its client's.
    let app = match face.callers {
        VerifyCallers::Anyone => app.route("/verify", verification),
        VerifyCallers::These(_) => app,
    };
    app.fallback(under_the_path).with_state(face)
}

/// What stands before those who ask of tokens over HTTP.
#[derive(Clone)]
struct Door {
    asker: Asker,
    room: Arc<Room>,
    answers: GuardAnswers,
}

/// Answers what waits for something while there is room for it, and counts all.
async fn guarded(State(door): State<Door>, request: Request, next: Next) -> Response {
    let response = door.room.within(next.run(request)).await.unwrap_or_else(no_room);
    door.answers.count(door.asker, response.status().as_u16());
    response
}

/// To a proxy an outage like any other, of gRPC too ("HTTP to gRPC Status Code Mapping").
fn no_room() -> Response {
    let headers = [(CACHE_CONTROL, "no-store"), (RETRY_AFTER, refusal::RETRY_AFTER)];
    let text = "too many calls under way here; retry at another replica, or later\n";
    (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
}

async fn jwks(State(face): State<Face>, asked: HeaderMap) -> Response {
    page(&face, Page::Jwks, &asked).await
}

/// What the issuer says of itself, for where its name leads to the verifiers, which are many.
async fn metadata(State(face): State<Face>, asked: HeaderMap) -> Response {
    page(&face, Page::Metadata, &asked).await
}

/// A page of the key set. One that is not known is an outage: an empty one would tell its
/// reader that every token is forged.
async fn page(face: &Face, page: Page, asked: &HeaderMap) -> Response {
    face.published
        .keys()
        .await
        .map_or_else(well_known::unreadable, |keys| of(face, &keys, page, asked))
}

fn of(face: &Face, keys: &KeySet, page: Page, asked: &HeaderMap) -> Response {
    match page {
        Page::Jwks => well_known::jwks(keys, asked),
        Page::Metadata => well_known::metadata(keys, face.introspection_endpoint.as_deref(), asked),
    }
}

/// The same pages, where the issuer's URL has a path: it is known with the keys alone.
async fn under_the_path(
    State(face): State<Face>,
    method: Method,
    uri: Uri,
    asked: HeaderMap,
) -> Response {
    let is_read = method == Method::GET || method == Method::HEAD;
    if !is_read || !uri.path().contains("/.well-known/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Some(keys) = face.published.keys().await else { return well_known::unreadable() };
    match issuer_paths::page_under(&keys.issuer, uri.path()) {
        Some(page) => of(&face, &keys, page, &asked),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
