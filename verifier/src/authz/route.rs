//! What a route demands, from the `context_extensions` of its configuration in Envoy.

use std::collections::HashMap;

use crate::guard::{Demand, refusal::Refusal, words};

/// Every key that is ours begins so.
const PREFIX: &str = "tessera.";
const AUDIENCE: &str = "tessera.audience";
const REQUIRED_SCOPES: &str = "tessera.required_scopes";
const PUBLIC_PATHS: &str = "tessera.public_paths";
const OUTAGE: &str = "tessera.outage";

/// What a route demands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) demand: Demand,
    public: Vec<&'a str>,
    /// Whether an outage is told as an RPC error: an Envoy before 1.37 takes an
    /// `error_response` for a denial.
    pub(super) fails_by_rpc: bool,
}

impl<'a> Route<'a> {
    /// Reads the keys that are ours.
    ///
    /// # Errors
    /// One of them is wrong. A key with a slip in its name must not open a route, so an
    /// unknown one of ours is wrong too.
    pub(super) fn read(extensions: &'a HashMap<String, String>) -> Result<Self, Refusal> {
        let mut route = Self::default();
        for (key, value) in extensions.iter().filter(|(key, _)| key.starts_with(PREFIX)) {
            match key.as_str() {
                AUDIENCE => route.demand.audience.clone_from(value),
                REQUIRED_SCOPES => route.demand.add_scopes(value),
                PUBLIC_PATHS => route.public = public_paths(value)?,
                OUTAGE => route.fails_by_rpc = fails_by_rpc(value)?,
                other => return Err(unknown(other)),
            }
        }
        Ok(route)
    }

    /// Whether a request of this path, its query included, needs no token.
    pub(super) fn is_public(&self, path: &str) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        is_plain(path)
            && self.public.iter().any(|public| match public.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => path == *public,
            })
    }
}

/// `/healthz`, or `/static/*` for all below.
fn public_paths(list: &str) -> Result<Vec<&str>, Refusal> {
    let all: Vec<_> = words(list).collect();
    let is_path = |path: &&str| {
        let stem = path.strip_suffix('*').unwrap_or(path);
        let is_whole = stem.len() == path.len() || stem.ends_with('/');
        path.starts_with('/') && is_whole && !stem.contains('*') && is_plain(stem)
    };
    match all.iter().find(|path| !is_path(path)) {
        None => Ok(all),
        Some(wrong) => Err(Refusal::wrong_route(&format_args!(
            "context_extensions: {PUBLIC_PATHS}: {wrong:?} is neither a path such as /healthz \
             nor all below one such as /static/*"
        ))),
    }
}

fn fails_by_rpc(value: &str) -> Result<bool, Refusal> {
    match value {
        "error_response" => Ok(false),
        "rpc_error" => Ok(true),
        other => Err(Refusal::wrong_route(&format_args!(
            "context_extensions: {OUTAGE}: {other:?} is neither error_response nor rpc_error"
        ))),
    }
}

/// Whether everyone reads the path alike: what a service behind may decode or resolve
/// into another one is never public.
fn is_plain(path: &str) -> bool {
    let dots = |part: &str| part == "." || part == "..";
    !path.contains(['%', '\\', ';']) && !path.contains("//") && !path.split('/').any(dots)
}

fn unknown(key: &str) -> Refusal {
    Refusal::wrong_route(&format_args!(
        "context_extensions: there is no {key:?}; there are {AUDIENCE}, {REQUIRED_SCOPES}, \
         {PUBLIC_PATHS} and {OUTAGE}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extensions(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_route_demands_what_its_keys_say_and_other_keys_are_not_ours() {
        let set = extensions(&[
            ("tessera.audience", "cdn"),
            ("tessera.required_scopes", "cdn:purge, cdn:read\n cdn:write"),
            ("virtual_host", "local"),
        ]);
        let route = Route::read(&set).unwrap();
        assert_eq!(route.demand.audience, "cdn");
        assert_eq!(route.demand.scopes, ["cdn:purge", "cdn:read", "cdn:write"]);
        assert!(!route.is_public("/"));
        assert_eq!(Route::read(&HashMap::new()), Ok(Route::default()));
    }

    #[test]
    fn a_slip_in_a_key_or_in_a_path_opens_nothing() {
        for (key, value) in [
            ("tessera.required_scope", "cdn:purge"),
            ("tessera.Audience", "cdn"),
            ("tessera.", ""),
            ("tessera.outage", "allow"),
            ("tessera.public_paths", "healthz"),
            ("tessera.public_paths", "*"),
            ("tessera.public_paths", "/a*"),
            ("tessera.public_paths", "/a/*/b"),
            ("tessera.public_paths", "/ok /a/../b"),
        ] {
            let set = extensions(&[(key, value)]);
            assert_eq!(Route::read(&set), Err(Refusal::Misconfigured), "{key}: {value}");
        }
    }

    #[test]
    fn only_a_plain_path_is_public() {
        let set =
            extensions(&[("tessera.public_paths", "/healthz,/static/* /grpc.health.v1.Health/*")]);
        let route = Route::read(&set).unwrap();
        for path in [
            "/healthz",
            "/healthz?x=/../y",
            "/static/a/b.css",
            "/static/",
            "/grpc.health.v1.Health/Check",
        ] {
            assert!(route.is_public(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/healthz/",
            "/healthzz",
            "/static",
            "/static/../admin",
            "/static/%2e%2e/admin",
            "/static/..;/admin",
            "/static\\..\\admin",
            "/static//admin",
            "//static/a",
            "/static/a/./b",
        ] {
            assert!(!route.is_public(path), "{path}");
        }
    }
}
