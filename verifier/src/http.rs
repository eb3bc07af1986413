//! The verifier's HTTP face: the public keys, and health.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::get,
};
use tessera_serve::well_known;
use tessera_shared::{
    keys::KeySet,
    store::{Key, StoreError, StoreReader},
};

use crate::watched::WatchedStore;

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

/// The JWK set. One that can't be read is an outage: an empty one would tell its
/// reader that every token is forged.
async fn jwks(State(face): State<Face>, asked: HeaderMap) -> Response {
    match key_set(&*face.store).await {
        Ok(Some(keys)) => well_known::jwks(&keys, &asked),
        Ok(None)
        | Err(StoreError::Unavailable(_) | StoreError::NotConfirmed(_) | StoreError::Contended) => {
            well_known::unreadable()
        }
        Err(error @ StoreError::Damaged(_)) => {
            tracing::error!(%error, "the keys can't be published");
            well_known::unreadable()
        }
    }
}

async fn key_set(store: &dyn StoreReader) -> Result<Option<KeySet>, StoreError> {
    let bytes = store.read(&[Key::KeySet]).await?.pop().flatten();
    Ok(bytes.map(|bytes| KeySet::from_bytes(&bytes)).transpose()?)
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
