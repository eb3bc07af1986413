//! A request as Envoy describes it.

use std::net::IpAddr;

use tessera_proto::envoy::{
    config::core::v3::{HeaderValue, address::Address},
    service::auth::v3::AttributeContext,
};
use tessera_serve::credential::Credential;

use crate::guard::{has_query_token, identity, refusal::is_grpc};

/// A request that waits for a verdict.
pub(super) struct Described<'a> {
    /// Names are in lower case: Envoy's own form.
    headers: Vec<(&'a str, &'a [u8])>,
    /// Its query included.
    pub(super) path: &'a str,
    /// The other end of the connection to Envoy.
    pub(super) address: Option<IpAddr>,
}

impl<'a> From<&'a AttributeContext> for Described<'a> {
    fn from(attributes: &'a AttributeContext) -> Self {
        let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
        let joined = http.into_iter().flat_map(|http| &http.headers);
        let joined = joined.map(|(name, value)| (name.as_str(), value.as_bytes()));
        // With `encode_raw_headers` they are here instead, each by itself.
        let raw = http.and_then(|http| http.header_map.as_ref());
        let raw = raw.into_iter().flat_map(|map| &map.headers);
        let raw = raw.map(|header| (header.key.as_str(), bytes_of(header)));
        Self {
            headers: joined.chain(raw).collect(),
            path: http.map_or("", |http| http.path.as_str()),
            address: address(attributes),
        }
    }
}

fn bytes_of(header: &HeaderValue) -> &[u8] {
    if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value }
}

/// A unix socket has no address that a network could hold.
fn address(attributes: &AttributeContext) -> Option<IpAddr> {
    match attributes.source.as_ref()?.address.as_ref()?.address.as_ref()? {
        Address::SocketAddress(socket) => socket.address.parse().ok(),
        _ => None,
    }
}

impl<'a> Described<'a> {
    /// What the request has under this name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |(one, _): &&(&'a str, &'a [u8])| one.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| *value)
    }

    pub(super) fn credential(&self) -> Credential<'a> {
        Credential::read(self.values("authorization"))
    }

    pub(super) fn has_query_token(&self) -> bool {
        has_query_token(self.path)
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.values("content-type").any(is_grpc)
    }

    /// Names under which the client sent what a service may take for ours.
    pub(super) fn forged(&self) -> impl Iterator<Item = &'a str> {
        self.headers.iter().map(|(name, _)| *name).filter(|name| identity::is_ours(name))
    }
}
