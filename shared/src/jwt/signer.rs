//! Making access tokens: the issuer's half.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use super::{AccessClaims, MAX_TOKEN_BYTES, provider};
use crate::keys::{self, PrivateKey};

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// With so many audiences or networks no verifier would read it.
    #[error("the access token would be longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// A time is out of range, or there is a token version and no permanent token, or
    /// the other way round.
    #[error("no verifier would take the claims of the access token")]
    Unreadable,
    /// Signing failed.
    #[error("the access token could not be signed")]
    Failed(#[source] jsonwebtoken::errors::Error),
}

/// A private key, ready to sign access tokens. `Debug` shows the header alone.
#[derive(Debug)]
pub struct AccessSigner {
    header: Header,
    key: EncodingKey,
}

impl AccessSigner {
    /// A signer with `key`; it also installs the [`provider`].
    pub fn new(key: PrivateKey) -> Self {
        provider::install();
        let der = key.pkcs8_der();
        let (algorithm, encoding_key) = match key.algorithm() {
            keys::Algorithm::Es256 => (Algorithm::ES256, EncodingKey::from_ec_der(der)),
            keys::Algorithm::EdDsa => (Algorithm::EdDSA, EncodingKey::from_ed_der(der)),
            keys::Algorithm::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_der(der)),
        };
        let mut header = Header::new(algorithm);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(key.public().kid().to_owned());
        Self { header, key: encoding_key }
    }

    /// The name of the key.
    pub fn kid(&self) -> &str {
        self.header.kid.as_deref().unwrap_or_default()
    }

    /// An access token that says `claims`.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, SigningError> {
        if !claims.are_readable() {
            return Err(SigningError::Unreadable);
        }
        let token =
            encode(&self.header, &claims.wire(), &self.key).map_err(SigningError::Failed)?;
        if token.len() > MAX_TOKEN_BYTES { Err(SigningError::TooLong) } else { Ok(token) }
    }
}
