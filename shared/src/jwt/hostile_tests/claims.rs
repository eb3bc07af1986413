//! Hostile claims under a good signature.

use serde_json::Value;

use super::{
    super::tests::{ISSUED_AT, ISSUER},
    Forge, Rejection,
};

#[test]
fn a_claim_of_another_type_or_out_of_bounds_is_refused() {
    let forge = Forge::new();
    let cases: &[(&str, &[&str])] = &[
        ("exp", &["", "null", "1e11", "1.8e9", "1800003600.0", r#""1800003600""#, "-1", "true"]),
        ("exp", &["253402300800", "9223372036854775807", "18446744073709551615", "1e999", "[]"]),
        ("exp", &["99999999999999999999999999", "-9223372036854775808", "-0", "0x1", "01"]),
        ("iat", &["", "null", "-1", "1.5", r#""1""#, "9223372036854775807"]),
        ("nbf", &["null", "-1", "1.5", r#""1""#, "9223372036854775807"]),
        ("iss", &["", "null", r#"["https://tessera.example"]"#, "1"]),
        ("sub", &["", "null", "7", r#""""#, r#""0""#, r#""-7""#, r#""+7""#, r#""07""#, r#"" 7""#]),
        (
            "sub",
            &[r#""7\u0000""#, r#""9007199254740992""#, r#""7.0""#, r#""admin""#, r#""\u0667""#],
        ),
        ("aud", &["", "null", r#""cdn""#, "[1]", r#"["cdn",null]"#, r#"{"cdn":1}"#]),
        ("jti", &["", "null", "1"]),
        ("client_id", &["", "null", r#""other""#]),
        ("sid", &["", "null", "9", r#""0""#, r#""09""#]),
        ("tid", &["1", "null", r#""1""#]),
        ("tv", &["0", "null", "-1"]),
        ("account", &["", "null", "0", "-1", "1.0", r#""1""#, "9007199254740992"]),
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
    assert!(forge.verdict(&forge.sign(forge.header().as_bytes(), good.as_bytes())).is_ok());
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
    let padded = [format!(" {}", forge.claims()), format!("{}\n", forge.claims())];
    let payloads =
        ["", "null", "[]", "{}", "\"\"", "{", "\u{feff}{}", &padded[0], &padded[1], &deep];
    for payload in payloads {
        forge.refuses_claims(payload, Rejection::Malformed);
    }
    let not_utf_8 = [b"{\"x\":\"", &[0xff, 0xfe][..], b"\"}"].concat();
    let token = forge.sign(forge.header().as_bytes(), &not_utf_8);
    forge.refuses("not UTF-8", &token, Rejection::Malformed);
    for header in ["", "null", "[]", "{}", "1", "\"eyJ9\"", &format!(" {}", forge.header())] {
        forge.refuses_header(header, Rejection::Malformed);
    }
}

#[test]
fn signed_claims_that_are_not_good_now_are_refused_each_for_its_reason() {
    let forge = Forge::new();
    let cut = &ISSUER[..ISSUER.len() - 1];
    let exp_now = (ISSUED_AT.millis() / 1000).to_string();
    for (name, value, rejection) in [
        ("iss", format!("{cut:?}"), Rejection::WrongIssuer),
        ("iss", format!("\"{ISSUER}\\u0000\""), Rejection::WrongIssuer),
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
