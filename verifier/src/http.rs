//! The verifier's HTTP face: the public keys, and health.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tessera_shared::{
    keys::KeySet,
    store::{Key, StoreError, StoreReader},
};

use crate::reach::Reach;

/// How long a reader may keep the keys. A new key is published for longer than this
/// before it signs.
const KEYS_CACHE: &str = "public, max-age=60";

#[derive(Clone)]
struct Face {
    store: Arc<dyn StoreReader>,
    reach: Arc<Reach>,
}

pub(crate) fn app(store: Arc<dyn StoreReader>, reach: Arc<Reach>) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Face { store, reach })
}

/// The JWK set (RFC 7517, section 5). A set that can't be read is an outage: an
/// empty one would tell its reader that every token is forged.
async fn jwks(State(face): State<Face>) -> Response {
    let read = key_set(&*face.store).await;
    face.reach.note(&read);
    match read {
        Ok(Some(keys)) => {
            let headers =
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, KEYS_CACHE)];
            (headers, keys.jwks_json()).into_response()
        }
        Ok(None) | Err(StoreError::Unavailable(_) | StoreError::Contended) => unreadable(),
        Err(error @ StoreError::Damaged(_)) => {
            tracing::error!(%error, "the keys can't be published");
            unreadable()
        }
    }
}

async fn key_set(store: &dyn StoreReader) -> Result<Option<KeySet>, StoreError> {
    let bytes = store.read(&[Key::KeySet]).await?.pop().flatten();
    let parsed = bytes.map(|bytes| KeySet::from_bytes(&bytes)).transpose();
    parsed.map_err(|_| StoreError::Damaged("the key set"))
}

fn unreadable() -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "the keys can't be read now\n").into_response()
}

async fn ready(State(face): State<Face>) -> (StatusCode, &'static str) {
    if face.reach.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining, or the store was not reached yet\n")
    }
}
