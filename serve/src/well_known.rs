//! The pages under `/.well-known/` that others read the public keys from.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use ring::digest;
use serde_json::json;
use tessera_shared::keys::KeySet;

/// How long a reader may keep the keys: well below the 40 s for which a new key is
/// published before it signs, and the longest that a key lives on at a reader after
/// it was taken away in an emergency.
const KEYS_CACHE: &str = "public, max-age=15";
/// The issuer's name and where its keys are change with its settings alone.
const METADATA_CACHE: &str = "public, max-age=300";

/// The JWK set (RFC 7517, section 5), or that the asker has it already.
pub fn jwks(keys: &KeySet, asked: &HeaderMap) -> Response {
    page(keys.jwks_json(), KEYS_CACHE, asked)
}

/// What RFC 8414 and OpenID Connect Discovery 1.0 tell of an issuer that only signs and
/// ends tokens: its name, and where its keys are and tokens are revoked; and introspected,
/// where it is known how the verifiers are reached. It has no other endpoint of OAuth.
///
/// A claim with no elements must not be there (RFC 8414, section 3.2), and
/// `response_types_supported` must: of the response types that are registered, `none` is the
/// one that gives nothing out.
pub fn metadata(keys: &KeySet, introspection: Option<&str>, asked: &HeaderMap) -> Response {
    let issuer = &keys.issuer;
    let mut algorithms: Vec<_> =
        keys.keys.iter().map(|entry| entry.public.algorithm().name()).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    let base = issuer.trim_end_matches('/');
    let mut document = json!({
        "issuer": issuer,
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "revocation_endpoint": format!("{base}/revoke"),
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    });
    if let (Some(endpoint), Some(members)) = (introspection, document.as_object_mut()) {
        members.insert("introspection_endpoint".to_owned(), endpoint.into());
        // Either way it is a token that has the scope for it.
        let methods = "introspection_endpoint_auth_methods_supported".to_owned();
        members.insert(methods, json!(["client_secret_basic", "Bearer"]));
    }
    page(document.to_string(), METADATA_CACHE, asked)
}

/// The keys can't be read: an outage, which a reader outlives with what it has.
pub fn unreadable() -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "the keys can't be read now\n").into_response()
}

fn page(body: String, cache: &'static str, asked: &HeaderMap) -> Response {
    let tag = tag_of(&body);
    let headers = [(header::CACHE_CONTROL, cache.to_owned()), (header::ETAG, tag.clone())];
    if has_already(asked, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn tag_of(body: &str) -> String {
    use std::fmt::Write as _;
    let digest = digest::digest(&digest::SHA256, body.as_bytes());
    let mut tag = String::from("\"");
    for byte in digest.as_ref().iter().take(12) {
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}

/// RFC 9110, section 13.1.2: compared weakly, and `*` is any.
fn has_already(asked: &HeaderMap, tag: &str) -> bool {
    let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|one| one.trim())
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use ring::rand::SystemRandom;
    use serde_json::Value;
    use tessera_shared::{
        clock::Timestamp,
        keys::{Algorithm, KeyEntry, KeyState, PrivateKey},
    };

    use super::*;

    fn keys(issuer: &str) -> KeySet {
        let entry = |algorithm| {
            let key = PrivateKey::generate(algorithm, &SystemRandom::new()).unwrap();
            let made = Timestamp::from_millis(1);
            KeyEntry::new(key.public().clone(), KeyState::Published, made)
        };
        let keys = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Es256].map(entry).to_vec();
        KeySet { issuer: issuer.to_owned(), keys }
    }

    fn asking(tag: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap())])
    }

    #[test]
    fn who_has_the_keys_gets_them_not_again() {
        let keys = keys("https://tessera.example");
        let full = jwks(&keys, &HeaderMap::new());
        assert_eq!(full.status(), StatusCode::OK);
        assert_eq!(full.headers()[header::CONTENT_TYPE], "application/json");
        let tag = full.headers()[header::ETAG].to_str().unwrap();
        for asked in [tag, "*", &format!("W/{tag}"), &format!("\"other\", {tag}")] {
            let answer = jwks(&keys, &asking(asked));
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{asked}");
            assert_eq!(answer.headers()[header::ETAG], tag);
            assert_eq!(answer.headers()[header::CACHE_CONTROL], KEYS_CACHE);
        }
        assert_eq!(jwks(&keys, &asking("\"other\"")).status(), StatusCode::OK);
        let fewer = KeySet { keys: keys.keys[..1].to_vec(), ..keys.clone() };
        assert_eq!(jwks(&fewer, &asking(tag)).status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn the_metadata_names_the_issuer_its_keys_and_no_endpoint_that_is_not_there() {
        for issuer in ["https://tessera.example", "https://tessera.example/"] {
            let answer = metadata(&keys(issuer), None, &HeaderMap::new());
            let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
            let document: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(document["issuer"], issuer);
            assert_eq!(document["jwks_uri"], "https://tessera.example/.well-known/jwks.json");
            let algorithms = &document["id_token_signing_alg_values_supported"];
            assert_eq!(*algorithms, json!(["ES256", "EdDSA"]));
            assert_eq!(document["revocation_endpoint"], "https://tessera.example/revoke");
            let members = document.as_object().unwrap().keys();
            assert!(members.filter(|name| name.ends_with("_endpoint")).count() == 1);
            assert_eq!(document["response_types_supported"], json!(["none"]));
            let mut members = document.as_object().unwrap().values();
            assert!(members.all(|value| *value != json!([])), "{document}");
        }
        let endpoint = "https://verifier.example/introspect";
        let told = metadata(&keys("https://t.example"), Some(endpoint), &HeaderMap::new());
        let body = axum::body::to_bytes(told.into_body(), 10_000).await.unwrap();
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["introspection_endpoint"], endpoint);
        let methods = &document["introspection_endpoint_auth_methods_supported"];
        assert_eq!(*methods, json!(["client_secret_basic", "Bearer"]));
    }
}
