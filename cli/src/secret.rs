//! A secret string.

use std::fmt;

use zeroize::Zeroizing;

/// A password or a token: shown by no `Debug`, wiped when dropped.
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` as a secret.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The string itself, for the wire, the session file, or its one showing.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_tells_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "Secret(..)");
    }
}
