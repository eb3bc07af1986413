//! Who may ask the verifier.

use super::{
    common::TlsFiles,
    error::ConfigError,
    settings,
    sources::{Found, Sources},
};
use crate::role::is_scope;

const EXPECTED: &str =
    "anyone; or spiffe://DOMAIN/PATH, spiffe://DOMAIN/PATH/*, dns:NAME, scope:SERVICE:ACTION";

/// Who may ask the verifier whether a token is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VerifyCallers {
    /// Whoever reaches it.
    #[default]
    Anyone,
    /// Whoever is named so by its certificate, or proves itself with a token that has one
    /// of the scopes.
    These(CallerList),
}

/// Who is on the list; any entry is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerList {
    /// URIs in the certificate's subject alternative names, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// What such a URI begins with: it ends in a slash.
    pub uri_prefixes: Vec<String>,
    /// DNS names in the certificate's subject alternative names.
    pub dns_names: Vec<String>,
    /// Scopes of a caller's token.
    pub scopes: Vec<String>,
}

impl CallerList {
    /// Whether a certificate can be on it.
    pub fn names_certificates(&self) -> bool {
        !(self.uris.is_empty() && self.uri_prefixes.is_empty() && self.dns_names.is_empty())
    }

    /// Takes up an entry; `None`: it is none.
    fn add(&mut self, entry: &str) -> Option<()> {
        if let Some(scope) = entry.strip_prefix("scope:") {
            is_scope(scope).then(|| self.scopes.push(scope.to_owned()))
        } else if let Some(name) = entry.strip_prefix("dns:") {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            let good = !name.is_empty() && name.bytes().all(is_name);
            good.then(|| self.dns_names.push(name.to_ascii_lowercase()))
        } else {
            let (domain, _) = entry.strip_prefix("spiffe://")?.split_once('/')?;
            if domain.is_empty() {
                return None;
            }
            match entry.strip_suffix('*') {
                Some(prefix) if prefix.ends_with('/') && !prefix.contains('*') => {
                    self.uri_prefixes.push(prefix.to_owned());
                }
                None => self.uris.push(entry.to_owned()),
                Some(_) => return None,
            }
            Some(())
        }
    }
}

impl VerifyCallers {
    pub(super) fn read(sources: &Sources<'_>, tls: Option<&TlsFiles>) -> Result<Self, ConfigError> {
        let setting = &settings::VERIFY_CALLERS;
        let entries = sources.list(setting)?;
        if entries == ["anyone"] {
            return Ok(Self::Anyone);
        }
        let found = sources.required(setting)?;
        let wrong = |found: &Found| found.malformed("a list of callers", EXPECTED);
        let mut list = CallerList::default();
        for entry in &entries {
            list.add(entry).ok_or_else(|| wrong(&found))?;
        }
        if list.names_certificates() && tls.is_none_or(|tls| tls.client_ca.is_none()) {
            return Err(ConfigError::Needs {
                given: found.origin,
                missing: &settings::TLS_CLIENT_CA,
            });
        }
        Ok(Self::These(list))
    }
}
