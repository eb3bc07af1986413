//! Tokens of another kind (RFC 8725 section 3.12).

use ring::rand::SystemRandom;
use tessera_proto::v1::DenialReason::{Malformed, WrongType};
use tessera_shared::{id::SessionId, opaque::Opaque};

use super::{Case, forge::Forge};

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("JWT", "RFC 9068 4, RFC 8725 3.11"),
        ("", "RFC 9068 4"),
        ("jwt", "RFC 9068 4"),
        ("at+jwt ", "RFC 9068 4"),
        ("at+jwt\0", "RFC 9068 4"),
        ("аt+jwt", "RFC 7515 10.13"),
        ("application/jwt", "RFC 8725 3.11"),
        ("application/application/at+jwt", "RFC 7515 4.1.9"),
        ("dpop+jwt", "RFC 9449 4.2"),
        ("logout+jwt", "OpenID Connect Back-Channel Logout 1.0 2.4"),
        ("secevent+jwt", "RFC 8417 2.3"),
        ("oauth-authz-req+jwt", "RFC 9101 10.8"),
        ("JOSE", "RFC 7515 4.1.9"),
    ]
    .into_iter()
    .map(|(typ, source)| {
        let header = forge.header_with("typ", &serde_json::to_string(typ).unwrap());
        Case::new(format!("`typ` {typ:?}"), source, WrongType, forge.with_header(&header))
    })
    .collect();
    let missing = forge.with_header(&forge.header_with("typ", ""));
    cases.push(Case::new("`typ` is missing", "RFC 9068 2.1", WrongType, missing));
    for (what, value) in [("null", "null"), ("an array", r#"["at+jwt"]"#), ("a number", "1")] {
        let token = forge.with_header(&forge.header_with("typ", value));
        cases.push(Case::new(format!("`typ` is {what}"), "RFC 7515 4.1.9", Malformed, token));
    }
    let session = SessionId::try_from(9).unwrap();
    let refresh = Opaque::new("tessera").first_refresh(session, &SystemRandom::new()).unwrap().0;
    let source = "RFC 8725 3.12, RFC 9700 4.14";
    cases.push(Case::new("a refresh token", source, WrongType, refresh.expose().to_owned()));
    cases
}
