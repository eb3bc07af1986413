//! `iss` and `aud` that are nearly the right ones.

use tessera_proto::v1::DenialReason::{WrongAudience, WrongIssuer};

use super::{Case, forge::Forge};

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let mut cases = issuers(forge);
    cases.extend(audiences(forge));
    cases
}

fn issuers(forge: &Forge) -> Vec<Case> {
    let compared = "RFC 8725 3.8, RFC 7519 7.3";
    [
        ("https://tessera.exampl", "CVE-2024-53861"),
        ("tessera", "CVE-2024-53861"),
        ("", "CVE-2024-53861"),
        ("https://tessera.examplf", compared),
        ("https://tessera.examples", compared),
        ("https://tessera.example/", compared),
        ("https://tessera.example ", compared),
        (" https://tessera.example", compared),
        ("https://tessera.example\0", compared),
        ("https://tessera.example\n", compared),
        ("https://tessera.example.", compared),
        ("https://tessera.example:443", compared),
        ("https://tessera.example?", compared),
        ("https://tessera.example#", compared),
        ("https://Tessera.example", compared),
        ("HTTPS://tessera.example", compared),
        ("http://tessera.example", compared),
        ("tessera.example", compared),
        ("https://tessera.example@evil.example", compared),
        ("https://evil.example/https://tessera.example", compared),
        ("https://tessera.example.evil.example", compared),
        ("https://tessera%2eexample", compared),
        ("https://tеssera.example", "RFC 7515 10.13, RFC 8725 3.8"),
        ("https://tessera。example", "RFC 7515 10.13, RFC 8725 3.8"),
        ("https://tesséra.example", "RFC 7519 7.3"),
        ("https://tesse\u{301}ra.example", "RFC 7519 7.3"),
        ("https://tessera.\u{200b}example", "RFC 7515 10.13, RFC 8725 3.8"),
        ("https://xn--tssera-5of.example", "RFC 8725 3.8"),
        ("*", "RFC 8725 3.8"),
    ]
    .into_iter()
    .map(|(issuer, source)| {
        let token = forge.with_claims(&forge.claims_with("iss", &json(issuer)));
        Case::new(format!("`iss` {}", shown(issuer)), source, WrongIssuer, token)
    })
    .collect()
}

fn audiences(forge: &Forge) -> Vec<Case> {
    let compared = "RFC 8725 3.9, RFC 7519 4.1.3";
    let mut cases: Vec<Case> = [
        (&[][..], "CVE-2020-26160"),
        (&[""], compared),
        (&["cd"], compared),
        (&["cdm"], compared),
        (&["cdnx"], compared),
        (&["cdn "], compared),
        (&["cdn\0"], compared),
        (&["cdn/"], compared),
        (&["CDN"], compared),
        (&["Cdn"], compared),
        (&["сdn"], "RFC 7515 10.13, RFC 8725 3.9"),
        (&["ｃdn"], "RFC 7519 7.3"),
        (&["cdn,dns"], compared),
        (&["*"], compared),
        (&["c", "d", "n"], compared),
        (&["dns", "storage"], compared),
        (&["https://tessera.example"], compared),
    ]
    .into_iter()
    .map(|(audiences, source)| {
        let list = serde_json::to_string(audiences).unwrap();
        let token = forge.with_claims(&forge.claims_with("aud", &list));
        let shown: Vec<_> = audiences.iter().map(|one| shown(one)).collect();
        let name = format!("`aud` [{}] for \"cdn\"", shown.join(", "));
        Case::new(name, source, WrongAudience, token)
    })
    .collect();
    let good = forge.good(tessera_shared::keys::Algorithm::Es256);
    for asked in ["cd", "cdnx", "CDN", "сdn", "dns"] {
        let name = format!("`aud` [\"cdn\"] for {}", shown(asked));
        let case = Case::new(name, compared, WrongAudience, good.clone());
        cases.push(Case { audience: asked, ..case });
    }
    cases
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// The text, with what looks like something else spelt out.
fn shown(text: &str) -> String {
    let letter =
        |c: char| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() };
    let text: String = text.chars().map(letter).collect();
    format!("\"{}\"", text.replace('\0', "\\0").replace('\n', "\\n"))
}
