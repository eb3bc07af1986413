//! A private key that an operator brings: PEM of PKCS#8 (RFC 7468), or a JWK.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{KeyError, PrivateKey, PublicKey, rsa_generation};

/// Why a text holds no key that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Neither PEM nor JSON with a key.
    #[error("neither a PEM `PRIVATE KEY` nor a JWK with a private key")]
    NotAKey,
    /// A password would be needed.
    #[error("the key is encrypted; decrypt it with `openssl pkcs8 -in FILE`")]
    Encrypted,
    /// PEM of PKCS#1 or SEC 1.
    #[error("not PKCS#8; convert it with `openssl pkcs8 -topk8 -nocrypt -in FILE`")]
    OldForm,
    /// Bytes that are no text, as DER is.
    #[error(
        "neither PEM nor a JWK; DER becomes PEM with `openssl pkcs8 -inform DER -topk8 -nocrypt -in FILE`"
    )]
    Binary,
    /// PEM of several, of which nobody said which one is meant.
    #[error("it holds more than one private key")]
    Several,
    /// A JWK that says what it is for (RFC 7517, sections 4.2 and 4.3).
    #[error("by its `use` or `key_ops` this key is not to sign with")]
    NotToSign,
    /// A key, and not one to sign with here.
    #[error("this key can't be used: {0}")]
    Unusable(#[from] KeyError),
}

impl PrivateKey {
    /// Reads PEM or a JWK. Its `kid` is computed, whatever a JWK says: see
    /// [`PublicKey::kid`].
    ///
    /// # Errors
    /// [`ImportError`]; none shows a part of the key.
    pub fn import(text: &[u8]) -> Result<Self, ImportError> {
        let text = std::str::from_utf8(text).map_err(|_| ImportError::Binary)?;
        // As some editors begin a file.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_start().starts_with('{') { from_jwk(text) } else { from_pem(text) }
    }
}

fn from_pem(text: &str) -> Result<PrivateKey, ImportError> {
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err(ImportError::Encrypted);
    }
    let mut keys = PrivatePkcs8KeyDer::pem_slice_iter(text.as_bytes());
    let Some(Ok(der)) = keys.next() else {
        let old = ["-----BEGIN EC PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----"];
        let old = old.iter().any(|begin| text.contains(begin));
        return Err(if old { ImportError::OldForm } else { ImportError::NotAKey });
    };
    if keys.next().is_some() {
        return Err(ImportError::Several);
    }
    let der = der.secret_pkcs8_der();
    match PrivateKey::from_pkcs8_der(der) {
        // ring wants the larger prime first; OpenSSL does not mind.
        Err(KeyError::NotAPrivateKey) => {
            let ordered = rsa_generation::reordered_pkcs8(der)?;
            Ok(PrivateKey::from_pkcs8_der(&ordered)?)
        }
        other => Ok(other?),
    }
}

fn from_jwk(text: &str) -> Result<PrivateKey, ImportError> {
    let members: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| ImportError::NotAKey)?;
    if !members.contains_key("d") {
        return Err(ImportError::NotAKey);
    }
    if !is_to_sign(&members) {
        return Err(ImportError::NotToSign);
    }
    let public = public_part(&members)?;
    let private = Private(&members);
    let pkcs8 = match members.get("kty").and_then(Value::as_str) {
        Some("EC") => private.ec()?,
        Some("OKP") => private.ed25519()?,
        _ => private.rsa()?,
    };
    let key = PrivateKey::from_pkcs8_der(&pkcs8)?;
    // Ed25519 computes its public half, so that the stated one could be another's.
    if *key.public() != public {
        return Err(KeyError::NotAPublicKey("its private half is another key's").into());
    }
    Ok(key)
}

/// A JWK need not say what it is for.
fn is_to_sign(members: &Map<String, Value>) -> bool {
    let signs = |operations: &Value| {
        operations.as_array().is_some_and(|all| all.iter().any(|one| one == "sign"))
    };
    members.get("use").is_none_or(|purpose| purpose == "sig")
        && members.get("key_ops").is_none_or(signs)
}

fn public_part(members: &Map<String, Value>) -> Result<PublicKey, KeyError> {
    const STATED: [&str; 8] = ["kty", "crv", "x", "y", "n", "e", "alg", "use"];
    let stated = members.iter().filter(|(name, _)| STATED.contains(&name.as_str()));
    let stated: Map<_, _> = stated.map(|(name, value)| (name.clone(), value.clone())).collect();
    PublicKey::from_jwk(&Value::Object(stated))
}

/// The members of a JWK that has a private half.
struct Private<'a>(&'a Map<String, Value>);

impl Private<'_> {
    fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let text = self.0.get(name).and_then(Value::as_str);
        let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.map(Zeroizing::new).ok_or(KeyError::NotAPrivateKey)
    }

    /// RFC 7518 section 6.2.2.1: exactly as long as the order of the curve.
    fn scalar(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let scalar = self.bytes("d")?;
        if scalar.len() == 32 { Ok(scalar) } else { Err(KeyError::NotAPrivateKey) }
    }

    /// `ECPrivateKey` (RFC 5915) with its public half, in PKCS#8.
    fn ec(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        const HEAD: &[u8] = b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
            \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20";
        const PUBLIC: &[u8] = b"\xa1\x44\x03\x42\x00\x04";
        let (d, x, y) = (self.scalar()?, self.bytes("x")?, self.bytes("y")?);
        Ok(Zeroizing::new([HEAD, &d, PUBLIC, &x, &y].concat()))
    }

    /// RFC 8410, section 7.
    fn ed25519(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        const HEAD: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
        Ok(Zeroizing::new([HEAD, &self.scalar()?].concat()))
    }

    fn rsa(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let [n, e, d, p, q] = ["n", "e", "d", "p", "q"].map(|name| self.bytes(name));
        rsa_generation::pkcs8_of(&n?, &e?, &d?, &p?, &q?)
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
