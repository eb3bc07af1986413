//! The verifier's HTTP face: the public keys, and health.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

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

use crate::watched::WatchedStore;

/// How long a reader may keep the keys.
const KEYS_CACHE: &str = "public, max-age=60";

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct Face {
    pub(crate) store: Arc<WatchedStore>,
    /// Whether this verifier is about to end.
    pub(crate) draining: Arc<AtomicBool>,
}

pub(crate) fn app(face: Face) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(face)
}

/// The JWK set (RFC 7517, section 5). A set that can't be read is an outage: an
/// empty one would tell its reader that every token is forged.
async fn jwks(State(face): State<Face>) -> Response {
    match key_set(&*face.store).await {
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
    Ok(bytes.map(|bytes| KeySet::from_bytes(&bytes)).transpose()?)
}

fn unreadable() -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "the keys can't be read now\n").into_response()
}

/// Whether requests should come here; see [`crate::watched`] for why an outage does
/// not change that.
async fn ready(State(face): State<Face>) -> (StatusCode, &'static str) {
    if face.draining.load(Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if face.store.ever_answered() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the store was not reached yet\n")
    }
}
