//! A credential that came from the configuration.

use zeroize::Zeroizing;

/// A credential. Its `Debug` shows nothing of it, and its memory is wiped when it
/// is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `plain`.
    pub fn new(plain: String) -> Self {
        Self(Zeroizing::new(plain))
    }

    /// The credential itself, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret([redacted])")
    }
}
