//! Hostile claims under a good signature: their types, their bounds, the JSON they are in.

use tessera_proto::v1::DenialReason::{Expired, Malformed, NotYetValid};

use super::{Case, forge::Forge};

/// A claim, what asks for the denial, and raw JSON values for it; an empty one leaves it out.
type Wrong = (&'static str, &'static str, &'static [&'static str]);

const INTEGERS: &str = "own: RFC 7519 2 allows it, we write seconds alone";

const WRONG: &[Wrong] = &[
    ("exp", "RFC 9068 2.2", &["", "null"]),
    ("exp", "CVE-2026-25537, RFC 7519 2", &[r#""1900000000""#, r#""never""#]),
    ("exp", "RFC 7519 4.1.4", &["true", "[]", "{}", "[9999999999]"]),
    ("exp", INTEGERS, &["-1", "-0", "1e11", "1.8e9", "9999999999.5"]),
    (
        "exp",
        "RFC 8259 6",
        &["1e999", "NaN", "Infinity", "-Infinity", "0x7fffffff", "01", "+1", ".5", "1."],
    ),
    (
        "exp",
        "RFC 8259 6 (overflow)",
        &["253402300800", "9223372036854775807", "9223372036854775808"],
    ),
    (
        "exp",
        "RFC 8259 6 (overflow)",
        &["18446744073709551615", "18446744073709551616", "99999999999999999999999999"],
    ),
    ("exp", "RFC 8259 6 (overflow)", &["-9223372036854775808", "-9223372036854775809"]),
    ("iat", "RFC 9068 2.2", &["", "null", r#""1""#]),
    ("iat", INTEGERS, &["-1", "1.5"]),
    ("iat", "RFC 8259 6 (overflow)", &["9223372036854775807"]),
    ("nbf", "CVE-2026-25537, RFC 7519 4.1.5", &[r#""99999999999""#, "null", "[]"]),
    ("nbf", INTEGERS, &["-1", "1.5"]),
    ("nbf", "RFC 8259 6 (overflow)", &["9223372036854775807"]),
    ("iss", "RFC 9068 2.2", &["", "null", "1"]),
    (
        "iss",
        "CVE-2025-30144",
        &[
            r#"["https://tessera.example"]"#,
            r#"["https://evil.example","https://tessera.example"]"#,
        ],
    ),
    ("sub", "RFC 9068 2.2", &["", "null", "1", "[]"]),
    (
        "sub",
        "RFC 8725 3.8",
        &[
            r#""""#,
            r#""0""#,
            r#""-1""#,
            r#""+1""#,
            r#""01""#,
            r#"" 1""#,
            r#""1 ""#,
            r#""1.0""#,
            r#""admin""#,
        ],
    ),
    ("sub", "RFC 8725 3.8", &[r#""1\u0000""#, r#""\u0661""#, r#""9007199254740992""#, r#""１""#]),
    ("aud", "RFC 9068 2.2", &["", "null"]),
    ("aud", "RFC 7519 4.1.3", &["[1]", r#"["cdn",null]"#, r#"{"cdn":1}"#, r#"[["cdn"]]"#, "true"]),
    ("aud", "own: RFC 7519 4.1.3 allows it, we write arrays alone", &[r#""cdn""#]),
    ("jti", "RFC 9068 2.2", &["", "null", "1"]),
    ("client_id", "RFC 9068 2.2", &["", "null", r#""other""#]),
    ("sid", "own", &["", "null", "9", r#""0""#, r#""09""#]),
    ("tid", "own", &["1", "null", r#""1""#]),
    ("tv", "own", &["0", "null", "-1"]),
    ("sv", "own", &["2", "null", "-1"]),
    ("account", "RFC 7519 4.3", &["", "null", "0", "-1", "1.0", r#""1""#, "9007199254740992"]),
    ("uv", "RFC 7519 4.3", &["", "null", "-1", "4294967296", "1.0", r#""1""#]),
    ("role", "RFC 9068 2.2.3.1", &["", "null", "1"]),
    ("scope", "RFC 8693 4.2", &["", "null", r#"["cdn:read"]"#]),
    ("name", "RFC 7519 4.3", &["", "null"]),
    ("name", "RFC 8259 8.2", &[r#""\ud800""#]),
    ("cidrs", "RFC 7519 4.3", &["null", r#""192.0.2.0/24""#, "[24]"]),
];

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let wrong = WRONG.iter().flat_map(|(claim, source, values)| {
        values.iter().map(move |value| {
            let what = if value.is_empty() { "missing".to_owned() } else { format!("`{value}`") };
            let token = forge.with_claims(&forge.claims_with(claim, value));
            Case::new(format!("`{claim}` is {what}"), source, Malformed, token)
        })
    });
    let mut cases: Vec<Case> = wrong.collect();
    cases.extend(times(forge));
    cases.extend(twice(forge));
    cases.extend(exchanged(forge));
    cases.extend(json(forge));
    cases
}

fn times(forge: &Forge) -> Vec<Case> {
    [
        ("exp", forge.second(0), "at the instant", "RFC 7519 4.1.4", Expired),
        ("exp", forge.second(-1), "a second ago", "RFC 7519 4.1.4", Expired),
        ("exp", "0".to_owned(), "zero", "RFC 7519 4.1.4", Expired),
        ("nbf", forge.second(3600), "in an hour", "RFC 7519 4.1.5", NotYetValid),
        ("nbf", "253402300799".to_owned(), "in the year 9999", "RFC 7519 4.1.5", NotYetValid),
        ("iat", forge.second(3600), "in an hour", "RFC 7519 4.1.6", NotYetValid),
    ]
    .into_iter()
    .map(|(claim, value, when, source, denial)| {
        let token = forge.with_claims(&forge.claims_with(claim, &value));
        Case::new(format!("`{claim}` {when}"), source, denial, token)
    })
    .collect()
}

fn twice(forge: &Forge) -> Vec<Case> {
    [
        ("`exp` twice", r#""exp":1"#),
        ("`exp` twice, once escaped", r#""e\u0078p":9000000000"#),
        ("`sub` twice", r#""sub":"2""#),
        ("`iss` twice", r#""iss":"https://evil.example""#),
        ("`scope` twice", r#""scope":"tessera:admin""#),
        ("an unknown claim twice", r#""x":1,"x":2"#),
        ("`tid` twice", r#""tid":1,"tid":1"#),
    ]
    .into_iter()
    .map(|(name, extra)| {
        let claims = forge.claims().replacen('{', &format!("{{{extra},"), 1);
        Case::new(name, "RFC 7519 4, CVE-2017-12635", Malformed, forge.with_claims(&claims))
    })
    .collect()
}

/// The claims of a token that was exchanged for a permanent one name it, with its version,
/// and no session.
fn exchanged(forge: &Forge) -> Vec<Case> {
    let with = |sid: &str, tid: &str, tv: &str| {
        let claims = [("sid", sid), ("tid", tid), ("tv", tv)];
        let claims = claims.into_iter().fold(forge.claims(), |object, (name, value)| {
            super::forge::replaced(&object, name, value)
        });
        forge.with_claims(&claims)
    };
    [
        ("`tid` and no `tv`", with("", "42", "")),
        ("`tv` and no `tid`", with("", "", "1")),
        ("neither `sid` nor `tid`", with("", "", "")),
        ("both `sid` and `tid`", with(r#""9""#, "42", "1")),
        ("`tid` is zero", with("", "0", "1")),
        ("`tid` is negative", with("", "-42", "1")),
        ("`tid` is text", with("", r#""42""#, "1")),
        ("`tid` is beyond 2^53", with("", "9007199254740992", "1")),
    ]
    .map(|(name, token)| Case::new(name, "own", Malformed, token))
    .into()
}

fn json(forge: &Forge) -> Vec<Case> {
    let good = forge.claims();
    let nested = |open: &str, close: &str, depth: usize| {
        forge.claims_with("x", &format!("{}{}", open.repeat(depth), close.repeat(depth)))
    };
    let members: String = (0..500).map(|number| format!(",\"m{number}\":0")).collect();
    let mut cases: Vec<Case> = [
        ("are empty", "RFC 7519 7.2", String::new()),
        ("are `null`", "RFC 7519 7.2", "null".into()),
        ("are an array", "RFC 7519 7.2", format!("[{good}]")),
        ("are an empty object", "RFC 9068 2.2", "{}".into()),
        ("are a string", "RFC 7519 7.2", format!("{good:?}")),
        ("are cut off", "RFC 8259 2", good[..good.len() - 1].into()),
        ("begin with a space", "own", format!(" {good}")),
        ("end with a line break", "own", format!("{good}\n")),
        ("begin with a byte order mark", "RFC 8259 8.1", format!("\u{feff}{good}")),
        ("have a comma at their end", "RFC 8259 4", good.replace('}', ",}")),
        ("have a comment", "RFC 8259 2", good.replace('}', "/**/}")),
        ("have single quotes", "RFC 8259 7", good.replace('"', "'")),
        ("are two objects", "RFC 8259 2", format!("{good}{good}")),
        ("nest 2,500 arrays", "RFC 8259 9", nested("[", "]", 2500)),
        ("nest 900 objects", "RFC 8259 9", nested(r#"{"a":"#, "}", 900).replace(":}", ":0}")),
        (
            "have 500 unknown members, one twice",
            "RFC 7519 4",
            good.replace('}', &format!("{members},\"m0\":0}}")),
        ),
        ("are another token", "RFC 7519 5.2", forge.good(tessera_shared::keys::Algorithm::Es256)),
    ]
    .into_iter()
    .map(|(what, source, claims)| {
        Case::new(format!("the claims {what}"), source, Malformed, forge.with_claims(&claims))
    })
    .collect();
    let header = forge.header();
    let raw = |bytes: &[u8]| forge.signed(header.as_bytes(), bytes);
    let name =
        |bytes: &[u8]| raw(&[good.replace('}', ",\"x\":\"").as_bytes(), bytes, b"\"}"].concat());
    let wide: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    cases.extend([
        Case::new("the claims are not UTF-8", "RFC 8725 3.7", Malformed, name(&[0xff, 0xfe])),
        Case::new(
            "the claims have an overlong character",
            "RFC 3629 3",
            Malformed,
            name(&[0xc0, 0xaf]),
        ),
        Case::new(
            "the claims have a surrogate",
            "RFC 3629 3",
            Malformed,
            name(&[0xed, 0xa0, 0x80]),
        ),
        Case::new("the claims have a control character", "RFC 8259 7", Malformed, name(&[0x00])),
        Case::new("the claims are UTF-16", "RFC 8725 3.7", Malformed, raw(&wide)),
    ]);
    cases
}
