//! The issuer's HTTP face: the public keys, and health.

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
    store::{Key, StoreReader},
};

use crate::core::Core;

/// How long a reader may keep the keys, in seconds.
const KEYS_CACHE: &str = "public, max-age=60";

pub(crate) fn app(core: Arc<Core>) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(core)
}

/// RFC 7517, section 5.
async fn jwks(State(core): State<Arc<Core>>) -> Response {
    match keys(&*core.store).await {
        Some(body) => {
            let headers =
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, KEYS_CACHE)];
            (headers, body).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "the keys can't be read now\n").into_response(),
    }
}

async fn keys<S: StoreReader + ?Sized>(store: &S) -> Option<String> {
    let bytes = store.read(&[Key::KeySet]).await.ok()?.pop().flatten()?;
    Some(KeySet::from_bytes(&bytes).ok()?.jwks_json())
}

async fn ready(State(core): State<Arc<Core>>) -> (StatusCode, &'static str) {
    if core.keys.are_held() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the store was not reached yet\n")
    }
}
