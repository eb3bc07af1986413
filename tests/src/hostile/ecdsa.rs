//! ES256 signatures that are not the key's, or not in their one spelling.

use tessera_proto::v1::DenialReason::BadSignature;
use tessera_shared::keys::Algorithm;

use super::{
    Case,
    bytes::{ORDER, order_minus, reversed, sum},
    forge::{Forge, joined},
};

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let (message, good) = forge.parts(Algorithm::Es256);
    let (r, s) = good.split_at(32);
    let case = |(name, source, signature): (&str, &'static str, Vec<u8>)| {
        Case::new(format!("ES256: {name}"), source, BadSignature, joined(&message, &signature))
    };
    let mut cases: Vec<Case> = out_of_range(r, s).into_iter().map(case).collect();
    cases.extend(other_forms(&good).into_iter().map(case));
    cases.extend(others_signatures(forge, &good));
    cases
}

fn out_of_range(r: &[u8], s: &[u8]) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let pair = |r: &[u8], s: &[u8]| [r, s].concat();
    let zero = [0; 32];
    let mut one = zero;
    one[31] = 1;
    let mut after = ORDER;
    after[31] += 1;
    let twin = order_minus(s);
    // n and r have 256 bits, and so their sum takes 257.
    let wide = |number: &[u8]| {
        let mut bytes = reversed(&sum(&reversed(&ORDER), &reversed(number)));
        bytes.resize_with(33, || 0);
        bytes
    };
    let padded = |number: &[u8]| [&[0], number].concat();
    vec![
        ("r and s are zero", "CVE-2022-21449, CVE-2021-43571, CVE-2021-43572", vec![0; 64]),
        ("r is zero", "FIPS 186-5 6.4.2", pair(&zero, s)),
        ("s is zero", "FIPS 186-5 6.4.2", pair(r, &zero)),
        ("r is one, s is one", "FIPS 186-5 6.4.2", pair(&one, &one)),
        ("r is n", "FIPS 186-5 6.4.2", pair(&ORDER, s)),
        ("s is n", "FIPS 186-5 6.4.2", pair(r, &ORDER)),
        ("r and s are n", "FIPS 186-5 6.4.2", pair(&ORDER, &ORDER)),
        ("r is n + 1", "FIPS 186-5 6.4.2", pair(&after, s)),
        ("s is n + 1", "FIPS 186-5 6.4.2", pair(r, &after)),
        ("all bits are one", "FIPS 186-5 6.4.2", vec![0xff; 64]),
        (
            "s is n - s",
            "own: FIPS 186-5 6.4.2 allows it, we sign with the lower s alone",
            pair(r, &twin),
        ),
        ("r is r + n", "RFC 7518 3.4, FIPS 186-5 6.4.2", pair(&wide(r), &padded(s))),
        ("s is s + n", "RFC 7518 3.4, FIPS 186-5 6.4.2", pair(&padded(r), &wide(s))),
        ("r is n - r", "FIPS 186-5 6.4.2", pair(&order_minus(r), s)),
        ("r and s change places", "RFC 7518 3.4", pair(s, r)),
        ("r and s are little endian", "RFC 7518 3.4", pair(&reversed(r), &reversed(s))),
    ]
}

fn other_forms(good: &[u8]) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (r, s) = good.split_at(32);
    let integer = |number: &[u8]| {
        let sign: &[u8] = if number[0] & 0x80 == 0 { &[] } else { &[0] };
        let length = u8::try_from(sign.len() + number.len()).unwrap();
        [&[0x02, length], sign, number].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    let ber = [&[0x30, 0x81, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    let mut flipped = good.to_vec();
    flipped[10] ^= 1;
    let hex: String = good.iter().map(|byte| format!("{byte:02x}")).collect();
    let padded = [&[0; 34], r, &[0; 34], s].concat();
    vec![
        ("no signature", "CVE-2020-28042, RFC 7515 5.2", Vec::new()),
        ("one bit is another", "RFC 7515 5.2", flipped),
        ("DER", "RFC 7518 3.4", der),
        ("BER", "CVE-2024-42461", ber),
        ("a byte less", "RFC 7518 3.4", good[..63].to_vec()),
        ("a byte more", "RFC 7518 3.4", [good, &[0]].concat()),
        ("a byte more in front", "CVE-2020-13822", [&[0], good].concat()),
        ("r alone", "RFC 7518 3.4", r.to_vec()),
        ("as long as that of ES512", "RFC 7518 3.4", padded),
        ("as long as that of RS256", "RFC 7518 3.4", vec![0; 256]),
        ("in hexadecimal", "RFC 7518 3.4", hex.into_bytes()),
        ("4,096 bytes of zero", "CVE-2025-61920", vec![0; 4096]),
    ]
}

/// Signatures of something else.
fn others_signatures(forge: &Forge, good: &[u8]) -> Vec<Case> {
    let es = Algorithm::Es256;
    let header = forge.header();
    let over =
        |claims: String| joined(&super::forge::message(header.as_bytes(), claims.as_bytes()), good);
    let claims = forge.claims();
    let (message, _) = forge.parts(es);
    let (encoded_header, payload) = message.split_once('.').unwrap();
    let of = |what: &str| joined(&message, &forge.signature(es, what));
    let case = |name: &str, source, token| Case::new(name, source, BadSignature, token);
    vec![
        case(
            "ES256: other claims under it",
            "RFC 7515 5.2",
            over(forge.claims_with("sub", r#""2""#)),
        ),
        case("ES256: no payload under it", "RFC 7515 5.2", over(String::new())),
        case("ES256: over the payload alone", "RFC 7515 5.1", of(payload)),
        case("ES256: over the header alone", "RFC 7515 5.1", of(encoded_header)),
        case("ES256: over what is not encoded", "RFC 7515 5.1", of(&format!("{header}.{claims}"))),
        case(
            "ES256: over payload and header",
            "RFC 7515 5.1",
            of(&format!("{payload}.{encoded_header}")),
        ),
        case("ES256: over nothing", "RFC 8725 3.3", of("")),
        // What is not signed is not read: nothing is told of it.
        case("expired, and not signed", "RFC 7515 5.2", over(forge.claims_with("exp", "1"))),
        case(
            "of another issuer, and not signed",
            "RFC 7515 5.2",
            over(forge.claims_with("iss", r#""x""#)),
        ),
        case("no JSON, and not signed", "RFC 7515 5.2", over("not even JSON".to_owned())),
    ]
}
