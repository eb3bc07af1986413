//! Access tokens: what is taken was signed, says what its JSON says, and has one spelling.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::Ed25519KeyPair;
use serde_json::Value;
use tessera_shared::{
    clock::Timestamp,
    jwt::{VerifiedClaims, VerifyingKeys, verify, verify_signature},
    keys::{KeyEntry, KeySet, KeyState, PrivateKey},
    principal::Proof,
};

/// The key of RFC 8037 A.1.
const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ISSUER: &str = "https://tessera.example";

struct Held {
    pair: Ed25519KeyPair,
    header: String,
    keys: VerifyingKeys,
}

static HELD: LazyLock<Held> = LazyLock::new(|| {
    let key = PrivateKey::import(JWK.as_bytes()).unwrap();
    let entry = KeyEntry::new(key.public().clone(), KeyState::Signing, Timestamp::from_millis(0));
    let set = KeySet { issuer: ISSUER.to_owned(), keys: vec![entry] };
    Held {
        pair: Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.pkcs8_der()).unwrap(),
        header: format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{}"}}"#, key.public().kid()),
        keys: VerifyingKeys::from(&set),
    }
});

/// Reads `data` as a token.
pub fn check(data: &[u8]) {
    let Ok(token) = std::str::from_utf8(data) else { return };
    taken(token);
}

/// Signs `data` and reads that: a header, a line break and claims; or claims alone, under
/// the header that our issuer writes.
pub fn check_signed(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let (header, claims) = match second {
        Some(claims) => (first, claims),
        None => (HELD.header.as_bytes(), first),
    };
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = HELD.pair.sign(message.as_bytes());
    taken(&format!("{message}.{}", encode(signature.as_ref())));
}

fn taken(token: &str) {
    let Ok(verified) = verify_signature(token, &HELD.keys) else {
        assert!(verify(token, &HELD.keys, Timestamp::from_millis(0)).is_err());
        return;
    };
    let segments: Vec<&str> = token.split('.').collect();
    let decoded: Vec<Vec<u8>> =
        segments.iter().map(|segment| URL_SAFE_NO_PAD.decode(segment).unwrap()).collect();
    let spelt: Vec<String> = decoded.iter().map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).collect();
    assert_eq!(segments, spelt, "one spelling");
    let [header, claims, signature] = &decoded[..] else { panic!("three segments") };
    let header: Value = serde_json::from_slice(header).unwrap();
    let typ = header["typ"].as_str().unwrap().to_ascii_lowercase();
    assert!(["at+jwt", "application/at+jwt"].contains(&&*typ), "{typ}");
    assert_eq!(header["alg"], "EdDSA");
    for member in ["crit", "b64", "zip", "cty", "jwk", "jku", "x5u", "x5c"] {
        assert!(header.get(member).is_none(), "{member}");
    }
    let message = &token[..token.len() - segments[2].len() - 1];
    assert_eq!(signature, HELD.pair.sign(message.as_bytes()).as_ref(), "EdDSA has one signature");
    says(&verified, &serde_json::from_slice(claims).unwrap());
    let (begins, ends) = (verified.claims().issued_at, verified.expires_at());
    assert!(verify(token, &HELD.keys, ends).is_err(), "not at the instant of its end");
    if verified.claims().not_before.is_none_or(|begin| begin <= begins) && begins < ends {
        assert!(verify(token, &HELD.keys, begins).is_ok(), "good when it is issued");
    }
}

/// Whether the claims are those that another reader finds.
fn says(verified: &VerifiedClaims, json: &Value) {
    let claims = verified.claims();
    assert_eq!(json["iss"], ISSUER);
    assert_eq!(json["sub"], claims.user.to_string());
    assert_eq!(json["account"], claims.account.get());
    assert_eq!(json["exp"].as_i64(), Some(claims.expires_at.seconds()));
    assert_eq!(json["iat"].as_i64(), Some(claims.issued_at.seconds()));
    assert_eq!(json.get("nbf").and_then(Value::as_i64), claims.not_before.map(|t| t.seconds()));
    assert_eq!(json["aud"], Value::from(claims.audiences.clone()));
    assert_eq!(json["scope"], claims.scope);
    assert_eq!(json["role"], claims.role);
    assert_eq!(json["uv"], claims.user_version);
    assert_eq!(json.get("tv").and_then(Value::as_u64), claims.token_version.map(u64::from));
    assert_eq!(json.get("sv").and_then(Value::as_u64), claims.secret_version.map(u64::from));
    match claims.proof {
        Proof::Session(session) => assert_eq!(json["sid"], session.to_string()),
        Proof::PermanentToken(token) => assert_eq!(json["tid"], token.get()),
    }
}
