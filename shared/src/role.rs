//! Roles: named sets of scopes, from a catalogue.

use std::collections::BTreeSet;

/// A set of scopes, sorted. The default is the empty set, which allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(BTreeSet<String>);
