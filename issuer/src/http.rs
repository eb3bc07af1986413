//! The issuer's HTTP face: the public keys and where they are, and revocation. Health and metrics come to
//! it from `tessera_serve`.

mod revoke;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use tessera_serve::{
    issuer_paths::{JWKS, OAUTH, OPENID, path_of},
    well_known,
};
use tessera_shared::sparing::Sparing;

use crate::{core::Core, failure::Failure, keys::Held};

const REVOKE: &str = "/revoke";

/// `issuer` is the issuer's URL. Where it has a path, the pages are under it as well.
/// `introspection` is what the metadata tell of that.
pub(crate) fn app(core: Arc<Core>, issuer: &str, introspection: Option<&str>) -> Router {
    let introspection: Option<Arc<str>> = introspection.map(Into::into);
    let metadata = get(move |State(core): State<Arc<Core>>, asked: HeaderMap| async move {
        let page = |held: &Held| well_known::metadata(&held.set, introspection.as_deref(), &asked);
        answer(core.signing().await, page)
    });
    let limit = DefaultBodyLimit::max(revoke::LARGEST_FORM);
    let pages = |router: Router<Arc<Core>>, before: &str, after: &str| {
        router
            .route(&format!("{before}{JWKS}"), get(jwks))
            .route(&format!("{OAUTH}{after}"), metadata.clone())
            .route(&format!("{before}{OPENID}"), metadata.clone())
            .route(&format!("{before}{REVOKE}"), post(revoke::revoke).layer(limit))
    };
    let mut router = pages(Router::new(), "", "");
    if let Some(path) = path_of(issuer) {
        router = pages(router, path, path);
    }
    router.with_state(core)
}

async fn jwks(State(core): State<Arc<Core>>, asked: HeaderMap) -> Response {
    answer(core.signing().await, |held| well_known::jwks(&held.set, &asked))
}

/// A set that can't be read is an outage: an empty one would tell its reader that
/// every token is forged.
fn answer(held: Result<Arc<Held>, Failure>, page: impl FnOnce(&Held) -> Response) -> Response {
    match held {
        Ok(held) => page(&held),
        Err(error) => {
            static OUTAGE: Sparing = Sparing::new();
            if let Some(left_out) = OUTAGE.turn() {
                tracing::warn!(%error, left_out, "the keys can't be published");
            }
            well_known::unreadable()
        }
    }
}
