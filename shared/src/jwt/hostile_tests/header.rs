//! Hostile headers.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use super::{Forge, Rejection};

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
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
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
