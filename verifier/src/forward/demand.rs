//! What a proxy's configuration demands, from the query of `/verify`.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::guard::{Demand, refusal::Refusal};

const AUDIENCE: &str = "audience";
const SCOPE: &str = "scope";
const CLIENT_ADDRESS: &str = "client_address";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// What is demanded, and where the client's address stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) demand: Demand,
    trusts_forwarded_for: bool,
}

impl Asked {
    /// Reads `audience`, `scope` (any number, each a list) and `client_address`.
    ///
    /// # Errors
    /// One of them is wrong, or there twice, or there is another: a slip must open nothing.
    pub(super) fn read(query: &str) -> Result<Self, Refusal> {
        let (mut asked, mut has_audience) = (Self::default(), false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                (AUDIENCE, audience) if !has_audience => {
                    audience.clone_into(&mut asked.demand.audience);
                    has_audience = true;
                }
                (SCOPE, list) => asked.demand.add_scopes(list),
                (CLIENT_ADDRESS, FORWARDED_FOR) if !asked.trusts_forwarded_for => {
                    asked.trusts_forwarded_for = true;
                }
                (name, value) => return Err(Refusal::wrong_route(&wrong(name, value))),
            }
        }
        Ok(asked)
    }

    /// The address that the nearest proxy has seen: it writes the last one of
    /// `X-Forwarded-For`, and what stands before that is the client's word. `None`, unless
    /// the configuration says that the proxy does so.
    pub(super) fn address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let last = headers.get_all(FORWARDED_FOR).iter().next_back();
        let last = last.filter(|_| self.trusts_forwarded_for)?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse().ok()
    }
}

/// What is wrong with a parameter that can't be taken.
fn wrong(name: &str, value: &str) -> &'static str {
    match (name, value) {
        (AUDIENCE, _) | (CLIENT_ADDRESS, FORWARDED_FOR) => {
            "/verify?: audience and client_address can each be given once"
        }
        (CLIENT_ADDRESS, _) => "/verify?client_address=: only x-forwarded-for can be given",
        _ => "/verify?: there are audience, scope and client_address alone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_demands_what_it_says_and_a_slip_in_it_opens_nothing() {
        let asked = Asked::read("audience=cdn&scope=cdn%3Aread+cdn:write,cdn:purge&scope=a:b");
        let asked = asked.unwrap();
        assert_eq!(asked.demand.audience, "cdn");
        assert_eq!(asked.demand.scopes, ["cdn:read", "cdn:write", "cdn:purge", "a:b"]);
        assert_eq!(Asked::read(""), Ok(Asked::default()));
        let twice = "client_address=x-forwarded-for&client_address=x-forwarded-for";
        for query in [
            "scopes=a:b",
            "aud=cdn",
            "client_address=1.2.3.4",
            "Audience=cdn",
            "x",
            "audience=zzz&audience=cdn",
            "audience=&audience=cdn",
            twice,
        ] {
            assert_eq!(Asked::read(query), Err(Refusal::Misconfigured), "{query}");
        }
    }

    #[test]
    fn the_last_forwarded_address_counts_and_only_where_the_proxy_is_said_to_write_it() {
        let trusting = Asked::read("client_address=x-forwarded-for").unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(trusting.address(&headers), None);
        headers.append("x-forwarded-for", "198.51.100.1".parse().unwrap());
        headers.append("x-forwarded-for", "198.51.100.2, 192.0.2.9".parse().unwrap());
        assert_eq!(trusting.address(&headers), Some(IpAddr::from([192, 0, 2, 9])));
        assert_eq!(Asked::default().address(&headers), None);
        headers.insert("x-forwarded-for", "192.0.2.9, unknown".parse().unwrap());
        assert_eq!(trusting.address(&headers), None);
    }
}
