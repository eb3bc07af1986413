//! Tokens that are written in any way but ours.

use tessera_proto::v1::DenialReason::Malformed;
use tessera_shared::keys::Algorithm;

use super::{
    Case,
    forge::{Forge, encoded, joined},
};

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let mut cases = segments(forge);
    cases.extend(alphabet(forge));
    cases.extend(sizes(forge));
    cases
}

fn segments(forge: &Forge) -> Vec<Case> {
    let good = forge.good(Algorithm::Es256);
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three segments")
    };
    [
        ("one dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("three dots", "...".to_owned()),
        ("the header alone", header.to_owned()),
        ("header and payload", format!("{header}.{payload}")),
        ("no header", format!(".{payload}.{signature}")),
        ("a dot at the end", format!("{good}.")),
        ("a dot at the beginning", format!(".{good}")),
        ("four segments", format!("{good}.{signature}")),
        ("the header twice", format!("{header}.{good}")),
        ("five segments", format!("{header}.{payload}.{payload}.{payload}.{signature}")),
        ("two tokens", format!("{good}.{good}")),
        ("two tokens with a comma between", format!("{good},{good}")),
        ("`Bearer` in front", format!("Bearer {good}")),
    ]
    .map(|(name, token)| Case::new(name, "RFC 7515 7.1", Malformed, token))
    .into_iter()
    .chain([mixed(header, payload, signature)])
    .collect()
}

/// JSON around a token, which readers of either form take for theirs.
fn mixed(header: &str, payload: &str, signature: &str) -> Case {
    let token = format!(
        r#"{{"  {header}.{payload}.":"","protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
    );
    Case::new("JSON that holds a compact token", "CVE-2022-39227", Malformed, token)
}

fn alphabet(forge: &Forge) -> Vec<Case> {
    let good = forge.good(Algorithm::Es256);
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three segments")
    };
    let (padding, blanks) = ("RFC 7515 2, RFC 4648 3.2", "RFC 7515 2, RFC 4648 3.3");
    let mut cases: Vec<Case> = [
        ("padding after the signature", padding, format!("{good}=")),
        ("two of it", padding, format!("{good}==")),
        ("encoded padding", padding, format!("{good}%3D")),
        ("padding after the header", padding, format!("{header}=.{payload}.{signature}")),
        ("padding after the payload", padding, format!("{header}.{payload}=.{signature}")),
        ("a space in front", blanks, format!(" {good}")),
        ("a space after it", blanks, format!("{good} ")),
        ("a line break after it", blanks, format!("{good}\n")),
        ("a line break in it", blanks, format!("{header}.{payload}\n.{signature}")),
        ("a tab in it", blanks, format!("{header}\t.{payload}.{signature}")),
        (
            "a space in the payload",
            blanks,
            format!("{header}.{} {}.{signature}", &payload[..8], &payload[8..]),
        ),
        ("a no-break space after it", blanks, format!("{good}\u{a0}")),
        ("NUL after it", blanks, format!("{good}\0")),
        ("a letter beyond ASCII", blanks, format!("{header}.{payload}.é{signature}")),
        ("fullwidth dots", blanks, good.replace('.', "．")),
        (
            "the standard alphabet",
            "RFC 7515 2, RFC 4648 5",
            format!("{header}.{payload}.+/{}", &signature[2..]),
        ),
    ]
    .into_iter()
    .map(|(name, source, token)| Case::new(name, source, Malformed, token))
    .collect();
    // 64 bytes leave four bits of the last digit, which must be zero.
    let last = signature.chars().last().unwrap();
    let next = char::from_u32(u32::from(last) + 1).unwrap();
    let odd = format!("{header}.{payload}.{}{next}", &signature[..signature.len() - 1]);
    let es = Algorithm::Es256;
    let signed = |message: String| joined(&message, &forge.signature(es, &message));
    // Of one digit more no byte can be made.
    let digit = format!("{header}.{}.{signature}", &payload[..payload.len() / 4 * 4 + 1 - 4]);
    cases.extend([
        Case::new("bits after the last byte", "RFC 4648 3.5", Malformed, odd),
        Case::new("one digit too many for a byte", "RFC 4648 4", Malformed, digit),
        Case::new(
            "padding that is signed",
            padding,
            Malformed,
            signed(format!("{header}=.{payload}")),
        ),
        Case::new(
            "the header encoded twice",
            "RFC 7515 7.1",
            Malformed,
            signed(format!("{}.{payload}", encoded(header.as_bytes()))),
        ),
        Case::new(
            "the payload encoded twice",
            "RFC 7515 7.1",
            Malformed,
            signed(format!("{header}.{}", encoded(payload.as_bytes()))),
        ),
    ]);
    cases
}

fn sizes(forge: &Forge) -> Vec<Case> {
    // Good but for its size: the smallest that has so many bytes.
    let sized = |bytes: usize| {
        let length = bytes.saturating_sub(forge.good(Algorithm::Es256).len() + 8) * 3 / 4;
        (length..)
            .map(|length| {
                forge.with_claims(&forge.claims_with("x", &format!("{:?}", "x".repeat(length))))
            })
            .find(|token| token.len() > bytes)
            .unwrap()
    };
    let fill = |what: &str, bytes: usize| what.repeat(bytes / what.len());
    let header = fill("x", 8192 * 3 / 4);
    let header = forge.with_header(&forge.header_with("x", &format!("{header:?}")));
    let large = "CVE-2025-61920";
    [
        ("more than 8 KiB, and good but for that", large, sized(8192)),
        ("1 MiB, and good but for that", large, sized(1 << 20)),
        ("a header of 8 KiB", large, header),
        ("1 MiB of one digit", large, fill("a", 1 << 20)),
        ("1 MiB of segments", "CVE-2025-30204", fill("eyJ.", 1 << 20)),
        ("8 KiB of dots", "CVE-2025-30204", fill(".", 8192)),
        ("8 KiB of segments", "CVE-2025-30204", fill("eyJ.", 8192)),
        ("8 KiB of one digit in each segment", large, {
            let segment = fill("A", 2728);
            format!("{segment}.{segment}.{segment}")
        }),
    ]
    .map(|(name, source, token)| Case::new(name, source, Malformed, token))
    .into()
}
