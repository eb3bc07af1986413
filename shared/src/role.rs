//! Roles: named sets of scopes, from a catalogue in a file.
//!
//! The issuer publishes the catalogue in the store, and verifiers read it there.
//! A role is at most another when its scopes are a subset of the other's.

mod scopes;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::scopes::{LONGEST_SCOPE, ScopeSet, is_scope};

/// The scope that opens `AdminService`.
pub const ADMIN_SCOPE: &str = "tessera:admin";

const DEFAULT_CATALOGUE: &str = include_str!("roles.toml");

/// A named set of scopes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The number by which records name it.
    pub id: i64,
    /// The name by which people name it.
    pub name: String,
    /// What it allows.
    pub scopes: ScopeSet,
}

/// What is wrong with a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not TOML of the right form.
    #[error("{0}")]
    Syntax(String),
    /// Two roles share an id or a name.
    #[error("two roles have the {0}")]
    Twice(String),
    /// A role's id, name or scope is not of the right form.
    #[error("role {role:?}: {what}")]
    Role {
        /// The role's name.
        role: String,
        /// What is wrong and what would be right.
        what: String,
    },
    /// Nobody could administer.
    #[error("no role has the scope tessera:admin")]
    NoAdministrator,
}

/// All roles, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    roles: Vec<Role>,
}

impl Catalogue {
    /// Reads a catalogue: TOML, an array of tables `roles` with `id`, `name` and `scopes`.
    ///
    /// # Errors
    /// Says which role is wrong, and how.
    pub fn from_toml(text: &str) -> Result<Self, CatalogueError> {
        let read: Self =
            toml::from_str(text).map_err(|e| CatalogueError::Syntax(e.message().to_owned()))?;
        read.checked()
    }

    /// The catalogue that ships with Tessera.
    ///
    /// # Errors
    /// Never, as a test shows; the type says it so that no code here can panic.
    pub fn standard() -> Result<Self, CatalogueError> {
        Self::from_toml(DEFAULT_CATALOGUE)
    }

    /// Reads what [`Catalogue::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are no catalogue.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CatalogueError> {
        serde_json::from_slice(bytes).map_err(|e| CatalogueError::Syntax(e.to_string()))
    }

    /// The form that the store keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// All roles, by id.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The role with this id.
    pub fn by_id(&self, id: i64) -> Option<&Role> {
        self.roles.iter().find(|role| role.id == id)
    }

    /// The role with this name.
    pub fn by_name(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }

    /// The role for the first administrator: the one with the most scopes that has `tessera:admin`.
    pub fn administrators(&self) -> Option<&Role> {
        self.roles
            .iter()
            .filter(|role| role.scopes.contains(ADMIN_SCOPE))
            .max_by_key(|role| (role.scopes.iter().count(), std::cmp::Reverse(role.id)))
    }

    fn checked(mut self) -> Result<Self, CatalogueError> {
        self.roles.sort_by_key(|role| role.id);
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for role in &self.roles {
            role.check()?;
            if !ids.insert(role.id) {
                return Err(CatalogueError::Twice(format!("id {}", role.id)));
            }
            if !names.insert(role.name.as_str()) {
                return Err(CatalogueError::Twice(format!("name {:?}", role.name)));
            }
        }
        if self.administrators().is_none() {
            return Err(CatalogueError::NoAdministrator);
        }
        Ok(self)
    }
}

impl Role {
    fn check(&self) -> Result<(), CatalogueError> {
        let wrong = |what: String| Err(CatalogueError::Role { role: self.name.clone(), what });
        if self.id < 1 {
            return wrong("an id is a positive number".into());
        }
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control)
        {
            return wrong("a name has 1 to 128 bytes and no control characters".into());
        }
        match self.scopes.iter().find(|scope| !is_scope(scope)) {
            Some(scope) => wrong(format!("{scope:?} is not a scope, `service:action`")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_catalogue_is_a_ladder() {
        let catalogue = Catalogue::standard().unwrap();
        let scopes = |id| &catalogue.by_id(id).unwrap().scopes;
        assert_eq!(catalogue.administrators().unwrap().id, 1);
        for (lower, higher) in [(2, 1), (5, 2), (3009, 5), (3022, 3009)] {
            assert!(scopes(lower).is_within(scopes(higher)), "{lower} within {higher}");
            assert!(!scopes(higher).is_within(scopes(lower)), "{higher} above {lower}");
        }
        assert_eq!(Catalogue::from_bytes(&catalogue.to_bytes()).unwrap(), catalogue);
    }

    #[test]
    fn a_wrong_catalogue_is_refused_with_the_role_named() {
        for (text, says) in [
            ("roles = [{id=1,name='A',scopes=['x']}]", "\"x\" is not a scope"),
            ("roles = [{id=0,name='A',scopes=[]}]", "positive"),
            (
                "roles = [{id=1,name='A',scopes=['tessera:admin']},{id=1,name='B',scopes=[]}]",
                "id 1",
            ),
            ("roles = [{id=1,name='A',scopes=[]}]", "no role has"),
            ("roles = [{id=1,name='A',scopes=[],colour='red'}]", "colour"),
        ] {
            let error = Catalogue::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
