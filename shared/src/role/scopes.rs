//! Sets of scopes.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

/// No scope is longer, in bytes.
pub const LONGEST_SCOPE: usize = 128;

/// Whether `text` is a scope: `service:action`, each part of `a-z 0-9 - _ .`, at most 128 bytes.
pub fn is_scope(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    };
    text.len() <= LONGEST_SCOPE
        && text.split_once(':').is_some_and(|(service, action)| part(service) && part(action))
}

/// A set of scopes, cheap to clone. The default is the empty set, which allows nothing.
///
/// It is held as its `scope` claim: sorted, none twice, one space between. So to read one
/// from a token is one allocation, and to look into one a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<String>", into = "BTreeSet<String>")]
pub struct ScopeSet(Arc<str>);

impl ScopeSet {
    /// Whether `scope` is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        let mut rest = self.0.as_bytes();
        while !rest.is_empty() {
            let (before, from_middle) = rest.split_at(rest.len() / 2);
            // The scope that is about the middle, or begins behind it.
            let start = before.iter().rposition(|byte| *byte == b' ').map_or(0, |space| space + 1);
            let length = from_middle.iter().position(|byte| *byte == b' ');
            let end = before.len() + length.unwrap_or(from_middle.len());
            let middle = rest.get(start..end).unwrap_or_default();
            rest = match middle.cmp(scope.as_bytes()) {
                Ordering::Equal => return true,
                Ordering::Greater => rest.get(..start.saturating_sub(1)).unwrap_or_default(),
                Ordering::Less => rest.get(end + 1..).unwrap_or_default(),
            };
        }
        false
    }

    /// Whether every scope of this set is in `other` too.
    pub fn is_within(&self, other: &Self) -> bool {
        self == other || self.iter().all(|scope| other.contains(scope))
    }

    /// The scopes that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        // A token's role is nearly always within its owner's.
        if self.is_within(other) {
            return self.clone();
        }
        let common: Vec<_> = self.iter().filter(|scope| other.contains(scope)).collect();
        Self(common.join(" ").into())
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// The `scope` claim: the scopes with a space between (RFC 8693, section 4.2).
    pub fn to_claim(&self) -> String {
        self.0.as_ref().to_owned()
    }

    /// Reads a `scope` claim.
    pub fn from_claim(claim: &str) -> Self {
        let mut before = "";
        let is_as_we_write = claim.split(' ').all(|scope| {
            let is_next = scope > before;
            before = scope;
            is_next
        });
        if is_as_we_write {
            return Self(claim.into());
        }
        let scopes: BTreeSet<_> = claim.split(' ').filter(|scope| !scope.is_empty()).collect();
        Self(Vec::from_iter(scopes).join(" ").into())
    }

    /// In bytes, what it takes besides itself.
    pub fn size(&self) -> usize {
        2 * size_of::<usize>() + self.0.len()
    }
}

impl TryFrom<BTreeSet<String>> for ScopeSet {
    type Error = String;

    /// # Errors
    /// Names what can't be a scope.
    fn try_from(scopes: BTreeSet<String>) -> Result<Self, String> {
        match scopes.iter().find(|scope| scope.is_empty() || scope.contains(' ')) {
            Some(scope) => Err(format!("{scope:?} is not a scope, `service:action`")),
            None => Ok(Self(Vec::from_iter(scopes).join(" ").into())),
        }
    }
}

impl From<ScopeSet> for BTreeSet<String> {
    fn from(scopes: ScopeSet) -> Self {
        scopes.iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(scopes: &[&str]) -> ScopeSet {
        ScopeSet::from_claim(&scopes.join(" "))
    }

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        let all = ["a", "a:b", "a:bc", "b:b", "long:scope-with.parts", "z", "ä:ö", "日:本"];
        for chosen in 0_u32..1 << all.len() {
            let is_chosen = |place: usize| chosen >> place & 1 == 1;
            let of = |is: bool| (0..all.len()).filter(move |place| is_chosen(*place) == is);
            let inside: Vec<_> = of(true).map(|place| all[place]).collect();
            let scopes = set(&inside);
            assert!(inside.iter().all(|scope| scopes.contains(scope)), "{inside:?}");
            assert!(!of(false).any(|place| scopes.contains(all[place])), "{inside:?}");
            for never in ["", " ", "a a:b", "a:", ":b", "b", "zz", "本"] {
                assert!(!scopes.contains(never), "{never:?} in {inside:?}");
            }
            assert_eq!(scopes.iter().collect::<Vec<_>>(), inside);
        }
    }

    #[test]
    fn a_claim_is_read_however_it_is_ordered_and_spaced() {
        let scopes = set(&["a:r", "a:w", "b:r"]);
        for claim in
            ["a:r a:w b:r", "b:r a:w a:r", " a:r  a:w b:r ", "a:r a:r a:w b:r", "a:w a:r b:r"]
        {
            assert_eq!(ScopeSet::from_claim(claim), scopes, "{claim:?}");
        }
        assert_eq!(scopes.to_claim(), "a:r a:w b:r");
        for nothing in ["", " ", "   "] {
            assert_eq!(ScopeSet::from_claim(nothing), ScopeSet::default());
        }
        assert_eq!(ScopeSet::default().iter().count(), 0);
    }

    #[test]
    fn sets_are_compared_scope_by_scope() {
        let (few, many, other) =
            (set(&["a:r", "b:r"]), set(&["a:r", "a:w", "b:r"]), set(&["b:r", "c:r"]));
        assert!(few.is_within(&many) && !many.is_within(&few) && few.is_within(&few));
        assert!(ScopeSet::default().is_within(&few) && !few.is_within(&ScopeSet::default()));
        assert_eq!(few.intersection(&many), few);
        assert_eq!(many.intersection(&other), set(&["b:r"]));
        assert_eq!(many.intersection(&ScopeSet::default()), ScopeSet::default());
    }

    #[test]
    fn a_scope_of_a_file_is_one_scope() {
        let read = |json: &str| serde_json::from_str::<ScopeSet>(json);
        assert_eq!(read(r#"["b:r","a:r","b:r"]"#).unwrap(), set(&["a:r", "b:r"]));
        assert_eq!(serde_json::to_string(&set(&["b:r", "a:r"])).unwrap(), r#"["a:r","b:r"]"#);
        for wrong in [r#"["a:r b:r"]"#, r#"[""]"#] {
            assert!(read(wrong).unwrap_err().to_string().contains("is not a scope"), "{wrong}");
        }
    }
}
