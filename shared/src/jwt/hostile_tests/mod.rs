//! Tokens that an attacker, a foreign issuer or a broken one might present. All but
//! those that say otherwise carry a good signature by a key that we hold, so that
//! nothing but the rule in question refuses them.

mod claims;
mod header;
mod signature;
mod spelling;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};

use super::{
    tests::{ISSUED_AT, claims, key, verifying},
    *,
};
use crate::keys::{Algorithm, PrivateKey};

struct Forge {
    key: PrivateKey,
    keys: VerifyingKeys,
}

impl Forge {
    fn new() -> Self {
        let key = key(Algorithm::Es256);
        let keys = verifying(&[&key]);
        Self { key, keys }
    }

    fn header(&self) -> String {
        self.header_with("alg", r#""ES256""#)
    }

    /// Our header with the raw JSON `value` for `name`, in its place or added.
    fn header_with(&self, name: &str, value: &str) -> String {
        let kid = format!("{:?}", self.key.public().kid());
        object(&[("typ", r#""at+jwt""#), ("alg", r#""ES256""#), ("kid", &kid)], name, value)
    }

    fn claims_with(&self, name: &str, value: &str) -> String {
        let members = serde_json::to_value(claims().wire()).unwrap();
        let members: Vec<(String, String)> = members
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        let members: Vec<(&str, &str)> =
            members.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        object(&members, name, value)
    }

    fn claims(&self) -> String {
        self.claims_with("jti", r#""id""#)
    }

    fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        self.sign_raw(&URL_SAFE_NO_PAD.encode(header), &URL_SAFE_NO_PAD.encode(payload))
    }

    fn sign_raw(&self, header: &str, payload: &str) -> String {
        let rng = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, self.key.pkcs8_der(), &rng).unwrap();
        let message = format!("{header}.{payload}");
        let signature = pair.sign(&rng, message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn verdict(&self, token: &str) -> Result<VerifiedClaims, Rejection> {
        verify(token, &self.keys, ISSUED_AT)
    }

    #[track_caller]
    fn refuses(&self, case: &str, token: &str, rejection: Rejection) {
        assert_eq!(self.verdict(token), Err(rejection), "{case}");
    }

    #[track_caller]
    fn refuses_header(&self, header: &str, rejection: Rejection) {
        self.refuses(header, &self.sign(header.as_bytes(), self.claims().as_bytes()), rejection);
    }

    #[track_caller]
    fn refuses_claims(&self, claims: &str, rejection: Rejection) {
        self.refuses(claims, &self.sign(self.header().as_bytes(), claims.as_bytes()), rejection);
    }
}

/// A JSON object as text, so that it can be wrong in ways a library won't write. An
/// empty `value` leaves the member out.
fn object(members: &[(&str, &str)], name: &str, value: &str) -> String {
    let mut members: Vec<(&str, &str)> =
        members.iter().copied().filter(|(old, _)| *old != name).collect();
    if !value.is_empty() {
        members.push((name, value));
    }
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn what_the_forge_makes_is_good_when_nothing_is_changed() {
    let forge = Forge::new();
    let token = forge.sign(forge.header().as_bytes(), forge.claims().as_bytes());
    assert_eq!(forge.verdict(&token).unwrap().claims().jti, "id");
    // And unknown members alone spoil nothing.
    for (header, claims) in [
        (forge.header_with("x", "1"), forge.claims()),
        (forge.header(), forge.claims_with("x", r#"{"a":[1.5,null]}"#)),
        (forge.header_with("typ", r#""AT+JWT""#), forge.claims()),
        (forge.header_with("typ", r#""application/at+jwt""#), forge.claims()),
    ] {
        assert!(forge.verdict(&forge.sign(header.as_bytes(), claims.as_bytes())).is_ok());
    }
}

#[test]
fn a_member_twice_is_refused_in_header_and_claims() {
    let forge = Forge::new();
    for extra in [r#""alg":"ES256""#, r#""x":1,"x":1"#, r#""\u0061lg":"none""#] {
        let header = forge.header().replacen('{', &format!("{{{extra},"), 1);
        forge.refuses_header(&header, Rejection::Malformed);
    }
    for extra in [
        r#""exp":1"#,
        r#""e\u0078p":9000000000"#,
        r#""sub":"1""#,
        r#""x":1,"x":2"#,
        r#""tid":1,"tid":1"#,
    ] {
        let claims = forge.claims().replacen('{', &format!("{{{extra},"), 1);
        forge.refuses_claims(&claims, Rejection::Malformed);
    }
}
