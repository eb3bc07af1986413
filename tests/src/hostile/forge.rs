//! Makes tokens as our issuer does, and as it never would.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
        RsaEncoding, RsaKeyPair,
    },
};
use tessera_shared::{
    clock::Timestamp,
    keys::{Algorithm, KeyEntry, KeySet, KeyState, PrivateKey},
};

use super::bytes;

/// The `iss` of good tokens.
pub const ISSUER: &str = "https://tessera.example";

/// The published keys, as JWKs, in the order of [`ALGORITHMS`].
pub const JWKS: [&str; 3] =
    [include_str!("es256.jwk"), include_str!("rs256.jwk"), include_str!("eddsa.jwk")];

/// What they sign with.
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa];

/// Signs what it is told to.
pub struct Forge {
    now: Timestamp,
    keys: [PrivateKey; 3],
}

impl Forge {
    /// A forge whose good tokens are good from a minute before `now` to an hour after.
    pub fn new(now: Timestamp) -> Self {
        Self { now, keys: JWKS.map(|jwk| PrivateKey::import(jwk.as_bytes()).unwrap()) }
    }

    /// The published key of this algorithm.
    pub fn key(&self, algorithm: Algorithm) -> &PrivateKey {
        self.keys.iter().find(|key| key.algorithm() == algorithm).unwrap()
    }

    /// A key set that holds them all.
    pub fn key_set(&self) -> KeySet {
        let entry = |key: &PrivateKey| {
            KeyEntry::new(key.public().clone(), KeyState::Published, Timestamp::from_millis(0))
        };
        KeySet { issuer: ISSUER.to_owned(), keys: self.keys.iter().map(entry).collect() }
    }

    /// A token that a verifier takes.
    pub fn good(&self, algorithm: Algorithm) -> String {
        self.signed_by(algorithm, &self.header_of(algorithm), &self.claims())
    }

    /// Tokens that are unusual and good: what is refused is refused for what it is.
    pub fn harmless(&self) -> Vec<(&'static str, String)> {
        let header = |name, value| self.with_header(&self.header_with(name, value));
        let claims = |name, value: &str| self.with_claims(&self.claims_with(name, value));
        vec![
            ("an unknown header member", header("x", "1")),
            ("`typ` in capitals", header("typ", r#""AT+JWT""#)),
            ("`typ` in full", header("typ", r#""application/at+jwt""#)),
            ("an unknown claim", claims("x", r#"{"a":[1.5,null]}"#)),
            ("`nbf` of now", claims("nbf", &self.second(0))),
            ("`iat` half a minute ahead", claims("iat", &self.second(30))),
            ("nearly 8 KiB", claims("x", &format!("{:?}", "x".repeat(5400)))),
        ]
    }

    /// `now` and so many seconds.
    pub(super) fn second(&self, offset: i64) -> String {
        (self.now.millis().div_euclid(1000) + offset).to_string()
    }

    pub(super) fn header(&self) -> String {
        self.header_of(Algorithm::Es256)
    }

    pub(super) fn header_of(&self, algorithm: Algorithm) -> String {
        let kid = self.key(algorithm).public().kid();
        format!(r#"{{"typ":"at+jwt","alg":"{}","kid":"{kid}"}}"#, algorithm.name())
    }

    /// The header with the raw JSON `value` for `name`, in place of the member or added;
    /// an empty one leaves the member out.
    pub(super) fn header_with(&self, name: &str, value: &str) -> String {
        replaced(&self.header(), name, value)
    }

    pub(super) fn claims(&self) -> String {
        let (iat, exp) = (self.second(-60), self.second(3600));
        format!(
            r#"{{"iss":"{ISSUER}","sub":"1","aud":["cdn"],"exp":{exp},"iat":{iat},"jti":"0123456789abcdef","client_id":"tessera","sid":"9","account":1,"role":"Engineers","scope":"cdn:read","name":"ada","uv":1}}"#
        )
    }

    pub(super) fn claims_with(&self, name: &str, value: &str) -> String {
        replaced(&self.claims(), name, value)
    }

    /// A good token but for this header.
    pub(super) fn with_header(&self, header: &str) -> String {
        self.signed(header.as_bytes(), self.claims().as_bytes())
    }

    /// A good token but for these claims.
    pub(super) fn with_claims(&self, claims: &str) -> String {
        self.signed(self.header().as_bytes(), claims.as_bytes())
    }

    pub(super) fn signed(&self, header: &[u8], payload: &[u8]) -> String {
        let message = message(header, payload);
        let signature = self.signature(Algorithm::Es256, &message);
        joined(&message, &signature)
    }

    pub(super) fn signed_by(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let message = message(header.as_bytes(), claims.as_bytes());
        let signature = self.signature(algorithm, &message);
        joined(&message, &signature)
    }

    /// What is signed of a good token, and its signature.
    pub(super) fn parts(&self, algorithm: Algorithm) -> (String, Vec<u8>) {
        let message = message(self.header_of(algorithm).as_bytes(), self.claims().as_bytes());
        let signature = self.signature(algorithm, &message);
        (message, signature)
    }

    /// A good signature over `message`, in the spelling that our issuer writes.
    pub(super) fn signature(&self, algorithm: Algorithm, message: &str) -> Vec<u8> {
        signature(self.key(algorithm), message)
    }

    /// A good token but for the algorithm, which is HMAC under `secret`.
    pub(super) fn with_hmac(&self, algorithm: Algorithm, secret: &[u8]) -> String {
        let header = replaced(&self.header_of(algorithm), "alg", r#""HS256""#);
        let message = message(header.as_bytes(), self.claims().as_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        joined(&message, hmac::sign(&key, message.as_bytes()).as_ref())
    }

    /// A signature by the RSA key in any way that ring knows.
    pub(super) fn rsa_signature(
        &self,
        padding: &'static dyn RsaEncoding,
        message: &str,
    ) -> Vec<u8> {
        rsa_signature(self.key(Algorithm::Rs256), padding, message)
    }
}

/// What `key` signs of `message`.
pub(super) fn signature(key: &PrivateKey, message: &str) -> Vec<u8> {
    let (der, rng, message_bytes) = (key.pkcs8_der(), SystemRandom::new(), message.as_bytes());
    match key.algorithm() {
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &rng);
            let signature = pair.unwrap().sign(&rng, message_bytes).unwrap();
            let (r, s) = signature.as_ref().split_at(32);
            let other = bytes::order_minus(s);
            [r, s.min(&other[..])].concat()
        }
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).unwrap();
            pair.sign(message_bytes).as_ref().to_vec()
        }
        Algorithm::Rs256 => rsa_signature(key, &RSA_PKCS1_SHA256, message),
    }
}

fn rsa_signature(key: &PrivateKey, padding: &'static dyn RsaEncoding, message: &str) -> Vec<u8> {
    let pair = RsaKeyPair::from_pkcs8(key.pkcs8_der()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    signature
}

/// The first two segments.
pub(super) fn message(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", encoded(header), encoded(payload))
}

/// A token of a message and any bytes for a signature.
pub(super) fn joined(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", encoded(signature))
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// PEM of any bytes.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The JSON object with the raw `value` for `name`. It stays text, so that it can be
/// wrong in ways that a library won't write.
pub(super) fn replaced(object: &str, name: &str, value: &str) -> String {
    let old: serde_json::Map<String, serde_json::Value> = serde_json::from_str(object).unwrap();
    let mut members: Vec<String> = old
        .into_iter()
        .filter(|(member, _)| member != name)
        .map(|(member, value)| format!(r#""{member}":{value}"#))
        .collect();
    if !value.is_empty() {
        members.push(format!(r#""{name}":{value}"#));
    }
    format!("{{{}}}", members.join(","))
}
