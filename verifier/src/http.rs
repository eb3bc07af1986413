//! The verifier's HTTP face: the public keys and where they are, and what proxies ask. Health and metrics
//! come to it from `tessera_serve`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderMap, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{any, get, post},
};
use tessera_serve::{room::Room, well_known};
use tessera_shared::{
    config::VerifyCallers,
    keys::KeySet,
    sparing::Sparing,
    store::{Key, StoreError, StoreReader},
};

use crate::{
    answers::{Asker, GuardAnswers},
    forward,
    guard::{Guard, refusal::Refusal},
    introspect,
    watched::WatchedStore,
};

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct Face {
    pub(crate) store: Arc<WatchedStore>,
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
        .route("/.well-known/jwks.json", get(jwks))
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/introspect", introspection);
    // A proxy proves nothing of itself here: the token that it passes on is its client's.
    let app = match face.callers {
        VerifyCallers::Anyone => app.route("/verify", verification),
        VerifyCallers::These(_) => app,
    };
    app.with_state(face)
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
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let response = door.room.within(next.run(request)).await.unwrap_or_else(|| {
        let asked = HeaderMap::from_iter(kind.map(|kind| (CONTENT_TYPE, kind)));
        let mut response = forward::refused(&Refusal::Outage, &asked);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    });
    door.answers.count(door.asker, response.status().as_u16());
    response
}

async fn jwks(State(face): State<Face>, asked: HeaderMap) -> Response {
    page(&face, |keys| well_known::jwks(keys, &asked)).await
}

/// What the issuer says of itself, for where its name leads to the verifiers, which are many.
async fn metadata(State(face): State<Face>, asked: HeaderMap) -> Response {
    page(&face, |keys| well_known::metadata(keys, face.introspection_endpoint.as_deref(), &asked))
        .await
}

/// A page of the key set. One that can't be read is an outage: an empty one would tell its
/// reader that every token is forged.
async fn page(face: &Face, of: impl FnOnce(&KeySet) -> Response) -> Response {
    match key_set(&*face.store).await {
        Ok(Some(keys)) => of(&keys),
        Ok(None)
        | Err(StoreError::Unavailable(_) | StoreError::NotConfirmed(_) | StoreError::Contended) => {
            well_known::unreadable()
        }
        Err(error @ StoreError::Damaged(_)) => {
            static FAULT: Sparing = Sparing::new();
            if let Some(left_out) = FAULT.turn() {
                tracing::error!(%error, left_out, "the keys can't be published");
            }
            well_known::unreadable()
        }
    }
}

async fn key_set(store: &dyn StoreReader) -> Result<Option<KeySet>, StoreError> {
    let bytes = store.read(&[Key::KeySet]).await?.pop().flatten();
    Ok(bytes.map(|bytes| KeySet::from_bytes(&bytes)).transpose()?)
}
