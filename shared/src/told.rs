//! Saying each thing once: what goes wrong in a loop would else fill the log.

use std::collections::HashSet;

/// Reasons beyond this many are told again: a server has few.
const MOST: usize = 32;

/// The reasons that were told since all was well.
#[derive(Debug, Default)]
pub struct Told(HashSet<String>);

impl Told {
    /// Whether nobody was told of this yet; from now on somebody was.
    pub fn is_new(&mut self, reason: &str) -> bool {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(reason.to_owned())
    }

    /// All is well: what comes next is news.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once_until_all_is_well() {
        let mut told = Told::default();
        assert!(told.is_new("a") && told.is_new("b"));
        assert!(!told.is_new("a") && !told.is_new("b"));
        told.forget();
        assert!(told.is_new("a"));
    }
}
