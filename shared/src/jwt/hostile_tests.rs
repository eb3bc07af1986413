//! Tokens that an attacker, a foreign issuer or a broken one might present. All but
//! those that say otherwise carry a good signature by a key that we hold, so that
//! nothing but the rule in question refuses them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};

use super::{
    tests::{EXPIRES_AT, ISSUED_AT, ISSUER, claims, key, verifying},
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
        object(
            &[("typ", r#""at+jwt""#), ("alg", r#""ES256""#), ("kid", &kid)],
            name,
            value,
        )
    }

    fn claims_with(&self, name: &str, value: &str) -> String {
        let members = serde_json::to_value(claims().wire()).unwrap();
        let members: Vec<(String, String)> = members
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        let members: Vec<(&str, &str)> = members
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        object(&members, name, value)
    }

    fn claims(&self) -> String {
        self.claims_with("jti", r#""id""#)
    }

    fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        self.sign_raw(
            &URL_SAFE_NO_PAD.encode(header),
            &URL_SAFE_NO_PAD.encode(payload),
        )
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
        self.refuses(
            header,
            &self.sign(header.as_bytes(), self.claims().as_bytes()),
            rejection,
        );
    }

    #[track_caller]
    fn refuses_claims(&self, claims: &str, rejection: Rejection) {
        self.refuses(
            claims,
            &self.sign(self.header().as_bytes(), claims.as_bytes()),
            rejection,
        );
    }
}

/// A JSON object as text, so that it can be wrong in ways a library won't write. An
/// empty `value` leaves the member out.
fn object(members: &[(&str, &str)], name: &str, value: &str) -> String {
    let mut members: Vec<(&str, &str)> = members
        .iter()
        .copied()
        .filter(|(old, _)| *old != name)
        .collect();
    if !value.is_empty() {
        members.push((name, value));
    }
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!(r#""{name}":{value}"#))
        .collect();
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
        (
            forge.header(),
            forge.claims_with("x", r#"{"a":[1.5,null]}"#),
        ),
        (forge.header_with("typ", r#""AT+JWT""#), forge.claims()),
        (
            forge.header_with("typ", r#""application/at+jwt""#),
            forge.claims(),
        ),
    ] {
        assert!(
            forge
                .verdict(&forge.sign(header.as_bytes(), claims.as_bytes()))
                .is_ok()
        );
    }
}

#[test]
fn the_header_never_chooses_the_algorithm() {
    let forge = Forge::new();
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "hs256",
        "es256",
        "ES384",
        "ES256K",
        "EdDSA",
        "RS256",
        "PS256",
        "ES256 ",
        "ES256\\u0000",
    ] {
        let header = forge.header_with("alg", &format!("\"{alg}\""));
        forge.refuses_header(&header, Rejection::BadSignature);
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(&header),
            URL_SAFE_NO_PAD.encode(forge.claims())
        );
        forge.refuses(alg, &unsigned, Rejection::BadSignature);
    }
    for alg in ["", "null", "256", r#"["ES256"]"#] {
        forge.refuses_header(&forge.header_with("alg", alg), Rejection::Malformed);
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let forge = Forge::new();
    let jwk = forge.key.public().jwk();
    let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    let y = URL_SAFE_NO_PAD.decode(jwk["y"].as_str().unwrap()).unwrap();
    let point = [&[4], x.as_slice(), &y].concat();
    for secret in [point, jwk.to_string().into_bytes(), x] {
        let header = forge.header_with("alg", r#""HS256""#);
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(forge.claims())
        );
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            message.as_bytes(),
        );
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
        forge.refuses("HS256", &token, Rejection::BadSignature);
    }
}

#[test]
fn a_header_with_any_other_shape_is_refused() {
    use Rejection::{Malformed, UnknownKey, WrongType};
    let forge = Forge::new();
    for (name, value, rejection) in [
        ("typ", r#""JWT""#, WrongType),
        ("typ", r#""at+jwt ""#, WrongType),
        ("typ", r#""dpop+jwt""#, WrongType),
        ("typ", r#""""#, WrongType),
        ("typ", "", WrongType),
        ("typ", "null", Malformed),
        ("typ", r#"["at+jwt"]"#, Malformed),
        ("kid", "", Malformed),
        ("kid", "null", Malformed),
        ("kid", "0", Malformed),
        ("kid", r#""""#, UnknownKey),
        ("kid", r#""\u0000""#, UnknownKey),
        ("kid", r#""../../dev/null""#, UnknownKey),
        ("kid", r#""' OR 1=1 --""#, UnknownKey),
        ("crit", r#"["exp"]"#, Malformed),
        ("crit", "[]", Malformed),
        ("b64", "false", Malformed),
        ("b64", "true", Malformed),
        ("zip", r#""DEF""#, Malformed),
        ("cty", r#""JWT""#, Malformed),
        ("jku", r#""https://evil.example/jwks""#, Malformed),
        ("x5u", r#""https://evil.example/x5u""#, Malformed),
        ("x5c", "[]", Malformed),
        ("jwk", &forge.key.public().jwk().to_string(), Malformed),
    ] {
        forge.refuses_header(&forge.header_with(name, value), rejection);
    }
    let kid = forge.key.public().kid();
    let with_nul = format!(r#""{kid}\u0000""#);
    forge.refuses_header(&forge.header_with("kid", &with_nul), UnknownKey);
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

#[test]
fn a_claim_of_another_type_or_out_of_bounds_is_refused() {
    let forge = Forge::new();
    let cases: &[(&str, &[&str])] = &[
        (
            "exp",
            &[
                "",
                "null",
                "1e11",
                "1.8e9",
                "1800003600.0",
                r#""1800003600""#,
                "-1",
                "true",
            ],
        ),
        (
            "exp",
            &[
                "253402300800",
                "9223372036854775807",
                "18446744073709551615",
                "1e999",
                "[]",
            ],
        ),
        (
            "exp",
            &[
                "99999999999999999999999999",
                "-9223372036854775808",
                "-0",
                "0x1",
                "01",
            ],
        ),
        (
            "iat",
            &["", "null", "-1", "1.5", r#""1""#, "9223372036854775807"],
        ),
        (
            "nbf",
            &["null", "-1", "1.5", r#""1""#, "9223372036854775807"],
        ),
        ("iss", &["", "null", r#"["https://tessera.example"]"#, "1"]),
        (
            "sub",
            &[
                "", "null", "7", r#""""#, r#""0""#, r#""-7""#, r#""+7""#, r#""07""#, r#"" 7""#,
            ],
        ),
        (
            "sub",
            &[
                r#""7\u0000""#,
                r#""9007199254740992""#,
                r#""7.0""#,
                r#""admin""#,
                r#""\u0667""#,
            ],
        ),
        (
            "aud",
            &[
                "",
                "null",
                r#""cdn""#,
                "[1]",
                r#"["cdn",null]"#,
                r#"{"cdn":1}"#,
            ],
        ),
        ("jti", &["", "null", "1"]),
        ("client_id", &["", "null", r#""other""#]),
        ("sid", &["", "null", "9", r#""0""#, r#""09""#]),
        ("tid", &["1", "null", r#""1""#]),
        ("tv", &["0", "null", "-1"]),
        (
            "account",
            &["", "null", "0", "-1", "1.0", r#""1""#, "9007199254740992"],
        ),
        ("uv", &["", "null", "-1", "4294967296", "1.0", r#""1""#]),
        ("role", &["", "null", "1"]),
        ("scope", &["", "null", r#"["cdn:read"]"#]),
        ("name", &["", "null", r#""\ud800""#]),
        ("cidrs", &["null", r#""192.0.2.0/24""#, "[24]"]),
    ];
    for (name, values) in cases {
        for value in *values {
            forge.refuses_claims(&forge.claims_with(name, value), Rejection::Malformed);
        }
    }
}

#[test]
fn a_permanent_tokens_claims_need_its_id_and_its_version_and_no_session() {
    let forge = Forge::new();
    let with = |sid: &str, tid: &str, tv: &str| {
        let mut members: Value = serde_json::from_str(&forge.claims()).unwrap();
        for (name, text) in [("sid", sid), ("tid", tid), ("tv", tv)] {
            members.as_object_mut().unwrap().remove(name);
            if let Ok(value) = serde_json::from_str(text) {
                members[name] = value;
            }
        }
        members.to_string()
    };
    let good = with("", "42", "1");
    assert!(
        forge
            .verdict(&forge.sign(forge.header().as_bytes(), good.as_bytes()))
            .is_ok()
    );
    for claims in [
        with("", "42", ""),
        with("", "", "1"),
        with("", "", ""),
        with(r#""9""#, "42", "1"),
        with("", "0", "1"),
        with("", "-42", "1"),
        with("", r#""42""#, "1"),
        with("", "9007199254740992", "1"),
    ] {
        forge.refuses_claims(&claims, Rejection::Malformed);
    }
}

#[test]
fn a_payload_that_is_no_object_is_refused() {
    let forge = Forge::new();
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(2500), "]".repeat(2500));
    let padded = [
        format!(" {}", forge.claims()),
        format!("{}\n", forge.claims()),
    ];
    let payloads = [
        "",
        "null",
        "[]",
        "{}",
        "\"\"",
        "{",
        "\u{feff}{}",
        &padded[0],
        &padded[1],
        &deep,
    ];
    for payload in payloads {
        forge.refuses_claims(payload, Rejection::Malformed);
    }
    let not_utf_8 = [b"{\"x\":\"", &[0xff, 0xfe][..], b"\"}"].concat();
    let token = forge.sign(forge.header().as_bytes(), &not_utf_8);
    forge.refuses("not UTF-8", &token, Rejection::Malformed);
    for header in [
        "",
        "null",
        "[]",
        "{}",
        "1",
        "\"eyJ9\"",
        &format!(" {}", forge.header()),
    ] {
        forge.refuses_header(header, Rejection::Malformed);
    }
}

#[test]
fn a_token_in_any_other_spelling_is_refused() {
    let forge = Forge::new();
    let good = forge.sign(forge.header().as_bytes(), forge.claims().as_bytes());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three segments")
    };
    let mut cases = vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{header}.{payload}.{signature}"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        format!("{header}..{signature}x"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("Bearer {good}"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}.{payload}\n.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}%3D"),
        format!("{header}.{payload}.é{signature}"),
        format!("{header}.{payload}.+/{signature}"),
    ];
    // Bits beyond the last byte that are not zero: 64 bytes leave four of them.
    let last = signature.chars().last().unwrap();
    let next = char::from_u32(u32::from(last) + 1).unwrap();
    cases.push(format!(
        "{header}.{payload}.{}{next}",
        &signature[..signature.len() - 1]
    ));
    for token in &cases {
        forge.refuses(token, token, Rejection::Malformed);
    }
    // The standard alphabet and padding, and signed as such.
    let padded = forge.sign_raw(&format!("{header}="), payload);
    forge.refuses("signed padding", &padded, Rejection::Malformed);
    let flattened = json!({"payload": payload, "protected": header, "signature": signature});
    forge.refuses(
        "JSON serialisation",
        &flattened.to_string(),
        Rejection::Malformed,
    );
}

#[test]
fn a_signature_that_is_not_the_keys_is_refused() {
    let forge = Forge::new();
    let good = forge.sign(forge.header().as_bytes(), forge.claims().as_bytes());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut flipped = bytes.clone();
    flipped[10] ^= 1;
    let swapped = [&bytes[32..], &bytes[..32]].concat();
    let der = [
        &[0x30, 0x44, 0x02, 0x20],
        &bytes[..32],
        &[0x02, 0x20],
        &bytes[32..],
    ]
    .concat();
    for signature in [
        vec![],
        vec![0; 64],
        vec![0xff; 64],
        [vec![0; 63], vec![1]].concat(),
        bytes[..63].to_vec(),
        [&bytes[..], &[0]].concat(),
        flipped,
        swapped,
        der,
        vec![0; 4096],
    ] {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        forge.refuses("signature", &token, Rejection::BadSignature);
    }
    let (header, _) = message.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(forge.claims_with("sub", r#""1""#));
    let spliced = format!("{header}.{other}.{signature}");
    forge.refuses("another payload", &spliced, Rejection::BadSignature);
}

#[test]
fn another_key_does_not_sign_for_the_named_one() {
    let (forge, mallory) = (Forge::new(), Forge::new());
    let token = mallory.sign(forge.header().as_bytes(), forge.claims().as_bytes());
    forge.refuses("another key", &token, Rejection::BadSignature);
    // Both keys are held, and the header names the wrong one.
    let keys = verifying(&[&forge.key, &mallory.key]);
    assert_eq!(
        verify(&token, &keys, ISSUED_AT),
        Err(Rejection::BadSignature)
    );
}

#[test]
fn nothing_is_told_of_claims_before_the_signature_is_good() {
    let forge = Forge::new();
    for claims in [
        forge.claims_with("exp", "1"),
        forge.claims_with("iss", r#""https://evil.example""#),
        forge.claims_with("nbf", "9000000000"),
        "not even JSON".to_owned(),
    ] {
        let signed = forge.sign(forge.header().as_bytes(), claims.as_bytes());
        let (message, _) = signed.rsplit_once('.').unwrap();
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode([1; 64]));
        forge.refuses(&claims, &token, Rejection::BadSignature);
    }
}

#[test]
fn signed_claims_that_are_not_good_now_are_refused_each_for_its_reason() {
    let forge = Forge::new();
    let cut = &ISSUER[..ISSUER.len() - 1];
    let exp_now = (ISSUED_AT.millis() / 1000).to_string();
    for (name, value, rejection) in [
        ("iss", format!("{cut:?}"), Rejection::WrongIssuer),
        (
            "iss",
            format!("\"{ISSUER}\\u0000\""),
            Rejection::WrongIssuer,
        ),
        ("iss", format!("\"{ISSUER}/\""), Rejection::WrongIssuer),
        ("exp", "0".to_owned(), Rejection::Expired),
        ("exp", exp_now, Rejection::Expired),
        ("nbf", "1800000001".to_owned(), Rejection::NotYetValid),
        ("nbf", "253402300799".to_owned(), Rejection::NotYetValid),
        ("iat", "1800000061".to_owned(), Rejection::NotYetValid),
    ] {
        forge.refuses_claims(&forge.claims_with(name, &value), rejection);
    }
}

#[test]
fn a_token_beyond_the_size_limit_is_refused_though_it_is_good() {
    let forge = Forge::new();
    let sized = |length: usize| {
        let claims = forge.claims_with("x", &format!("{:?}", "x".repeat(length)));
        forge.sign(forge.header().as_bytes(), claims.as_bytes())
    };
    assert!(sized(5_000).len() <= MAX_TOKEN_BYTES && forge.verdict(&sized(5_000)).is_ok());
    assert!(sized(6_200).len() > MAX_TOKEN_BYTES);
    forge.refuses("8 KiB and more", &sized(6_200), Rejection::Malformed);
    forge.refuses("16 MiB", &"a".repeat(1 << 24), Rejection::Malformed);
}

#[test]
fn an_es256_token_has_a_second_spelling_that_says_the_same() {
    // n - s verifies too: why nothing may be keyed by a token's bytes.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let forge = Forge::new();
    let good = forge.sign(forge.header().as_bytes(), forge.claims().as_bytes());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for (order, byte) in ORDER.iter().zip(&mut bytes[32..]).rev() {
        let difference = i16::from(*order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let twin = format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_ne!(twin, good);
    assert_eq!(forge.verdict(&twin), forge.verdict(&good));
    assert_eq!(forge.verdict(&twin).unwrap().expires_at(), EXPIRES_AT);
}
