//! Public keys, as JWKs (RFC 7517, RFC 7518 section 6, RFC 8037).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
        UnparsedPublicKey,
    },
};
use serde_json::{Value, json};

use super::{Algorithm, KeyError, low_s, small_order};

/// A public key that was checked, with its name and its algorithm.
///
/// Checked are lengths, encodings and strength. That an EC point lies on the
/// curve is checked by ring at each use; a key off it verifies nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kid: String,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// The uncompressed point: 4, x, y.
    Es256([u8; 65]),
    EdDsa([u8; 32]),
    /// Modulus and exponent, big endian, with no zero in front.
    Rs256 {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a JWK. `kid`, `alg` and `use` may be absent; where they are there, they
    /// must say what the key itself says.
    ///
    /// # Errors
    /// [`KeyError::NotAPublicKey`] and [`KeyError::Weak`].
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        if PRIVATE.iter().any(|name| jwk.get(name).is_some()) {
            return Err(KeyError::NotAPublicKey("it holds a private key"));
        }
        let key = match (text(jwk, "kty"), text(jwk, "crv")) {
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (decoded(jwk, "x")?, decoded(jwk, "y")?);
                if x.len() != 32 {
                    return Err(KeyError::NotAPublicKey("x is not 32 bytes"));
                }
                Self::es256(&[&[4], x.as_slice(), y.as_slice()].concat())?
            }
            (Some("OKP"), Some("Ed25519")) => Self::eddsa(&decoded(jwk, "x")?)?,
            (Some("RSA"), None) => Self::rs256(decoded(jwk, "n")?, decoded(jwk, "e")?)?,
            _ => return Err(KeyError::NotAPublicKey("kty and crv")),
        };
        key.agrees_with(jwk)?;
        Ok(key)
    }

    fn agrees_with(&self, jwk: &Value) -> Result<(), KeyError> {
        // RFC 9864 calls EdDSA by its curve.
        let alg: &[&str] = match self.algorithm() {
            Algorithm::EdDsa => &["EdDSA", "Ed25519"],
            other => &[other.name()],
        };
        let expected: [(&str, &[&str]); 3] =
            [("kid", &[self.kid.as_str()]), ("alg", alg), ("use", &["sig"])];
        for (name, values) in expected {
            let agrees = |stated: &Value| stated.as_str().is_some_and(|it| values.contains(&it));
            if !jwk.get(name).is_none_or(agrees) {
                return Err(KeyError::NotAPublicKey("kid, alg or use is another key's"));
            }
        }
        Ok(())
    }

    /// An uncompressed point on P-256, SEC 1 section 2.3.3.
    pub(super) fn es256(point: &[u8]) -> Result<Self, KeyError> {
        let point: [u8; 65] =
            point.try_into().map_err(|_| KeyError::NotAPublicKey("x and y are not 32 bytes"))?;
        if point.first() != Some(&4) {
            return Err(KeyError::NotAPublicKey("not an uncompressed point"));
        }
        Ok(Self::named(Material::Es256(point)))
    }

    pub(super) fn eddsa(key: &[u8]) -> Result<Self, KeyError> {
        let key = key.try_into().map_err(|_| KeyError::NotAPublicKey("x is not 32 bytes"))?;
        if small_order::is_weak(&key) {
            return Err(KeyError::Weak("an Ed25519 point of small order"));
        }
        Ok(Self::named(Material::EdDsa(key)))
    }

    /// FIPS 186-5 section 5.4 asks for 2048 bits and an odd exponent above 2^16; the
    /// upper bounds are what ring can sign and verify with.
    pub(super) fn rs256(n: Vec<u8>, e: Vec<u8>) -> Result<Self, KeyError> {
        if n.first().is_none_or(|byte| *byte == 0) || e.first().is_none_or(|byte| *byte == 0) {
            return Err(KeyError::NotAPublicKey("n or e begins with a zero"));
        }
        let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !(2048..=4096).contains(&bits) {
            return Err(KeyError::Weak("RSA of less than 2048 bits, or of more than 4096"));
        }
        let exponent = e.iter().take(5).fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        let even = |number: &[u8]| number.last().is_none_or(|byte| byte % 2 == 0);
        if e.len() > 5 || !(65_537..1 << 33).contains(&exponent) || even(&e) || even(&n) {
            return Err(KeyError::Weak("RSA with an unusable exponent or modulus"));
        }
        Ok(Self::named(Material::Rs256 { n, e }))
    }

    fn named(material: Material) -> Self {
        Self { kid: thumbprint(&material), material }
    }

    /// Its name: the JWK thumbprint (RFC 7638) with SHA-256, in base64url.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it verifies.
    pub const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Es256(_) => Algorithm::Es256,
            Material::EdDsa(_) => Algorithm::EdDsa,
            Material::Rs256 { .. } => Algorithm::Rs256,
        }
    }

    /// The JWK, with `kid`, `alg` and `use`.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.material {
            Material::Es256(point) => {
                let (x, y) = coordinates(point);
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            Material::EdDsa(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(key)})
            }
            Material::Rs256 { n, e } => json!({
                "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e),
            }),
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".to_owned(), self.kid.clone().into());
            members.insert("alg".to_owned(), self.algorithm().name().into());
            members.insert("use".to_owned(), "sig".into());
        }
        jwk
    }

    /// Whether `signature` (RFC 7518 section 3: fixed length, no DER) is this key's
    /// over `message`, in the one spelling that it has.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Es256(_) if !low_s::is_low(signature) => return false,
            Material::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::EdDsa(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            Material::Rs256 { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        }
        .is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// RFC 7638 section 3: the required members alone, in the order of their names,
/// with no white space.
fn thumbprint(material: &Material) -> String {
    let members = match material {
        Material::Es256(point) => {
            let (x, y) = coordinates(point);
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
        Material::EdDsa(key) => {
            let x = URL_SAFE_NO_PAD.encode(key);
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
        }
        Material::Rs256 { n, e } => {
            let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
            format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
        }
    };
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

fn coordinates(point: &[u8; 65]) -> (String, String) {
    let [_, coordinates @ ..] = point;
    let (x, y) = coordinates.split_at(32);
    (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
}

fn text<'a>(jwk: &'a Value, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn decoded(jwk: &Value, name: &str) -> Result<Vec<u8>, KeyError> {
    text(jwk, name)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or(KeyError::NotAPublicKey("a member is missing or not base64url"))
}

#[cfg(test)]
#[path = "public_tests.rs"]
mod tests;
