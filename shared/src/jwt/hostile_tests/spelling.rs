//! Tokens that are written in any way but ours.

use serde_json::json;

use super::{super::MAX_TOKEN_BYTES, Forge, Rejection};

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
    cases.push(format!("{header}.{payload}.{}{next}", &signature[..signature.len() - 1]));
    for token in &cases {
        forge.refuses(token, token, Rejection::Malformed);
    }
    // The standard alphabet and padding, and signed as such.
    let padded = forge.sign_raw(&format!("{header}="), payload);
    forge.refuses("signed padding", &padded, Rejection::Malformed);
    let flattened = json!({"payload": payload, "protected": header, "signature": signature});
    forge.refuses("JSON serialisation", &flattened.to_string(), Rejection::Malformed);
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
