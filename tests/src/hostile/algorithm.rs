//! `alg`: it is the key's, whatever the header says.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tessera_proto::v1::DenialReason::{BadSignature, Malformed};
use tessera_shared::keys::Algorithm;

use super::{
    Case,
    forge::{Forge, message, pem, replaced},
};

/// SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) up to the key: of P-256, of Ed25519, and
/// of RSA with 2048 bits.
const P256_INFO: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const ED25519_INFO: &str = "302a300506032b6570032100";
const RSA_INFO: &str = "30820122300d06092a864886f70d01010105000382010f00";

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let mut cases = none(forge);
    cases.extend(others(forge));
    cases.extend(hmac_of_ec_and_ed_keys(forge));
    cases.extend(hmac_of_the_rsa_key(forge));
    cases
}

fn none(forge: &Forge) -> Vec<Case> {
    // Each of the four letters in either case.
    let spelt = |cases: u32| -> String {
        let letter = |(place, letter): (usize, char)| match cases >> place & 1 {
            0 => letter,
            _ => letter.to_ascii_uppercase(),
        };
        "none".chars().enumerate().map(letter).collect()
    };
    let unsigned = |alg: &str| {
        let header = forge.header_with("alg", &format!("{alg:?}"));
        message(header.as_bytes(), forge.claims().as_bytes())
    };
    let mut cases: Vec<Case> = (0..16)
        .map(|number| {
            let alg = spelt(number);
            let source = match number {
                0 => "CVE-2018-1000531, CVE-2020-15957, CVE-2021-22160, CVE-2022-23540",
                _ => "RFC 8725 3.1, RFC 7515 4.1.1",
            };
            let token = format!("{}.", unsigned(&alg));
            Case::new(format!("`alg` {alg:?}, no signature"), source, BadSignature, token)
        })
        .collect();
    let signed = forge.with_header(&forge.header_with("alg", r#""none""#));
    let plain = r#"{"alg":"none"}"#;
    let bare = format!("{}.", message(plain.as_bytes(), forge.claims().as_bytes()));
    cases.extend([
        Case::new("`alg` \"none\" over a good signature", "RFC 7518 3.6", BadSignature, signed),
        Case::new("`alg` \"none\" and no `kid`", "RFC 8725 3.1", Malformed, bare),
        Case::new("`alg` \"none\", two segments", "RFC 7515 7.1", Malformed, unsigned("none")),
    ]);
    cases
}

fn others(forge: &Forge) -> Vec<Case> {
    let wrong = [
        ("", "RFC 7515 4.1.1"),
        ("es256", "RFC 7515 4.1.1"),
        ("ES256 ", "RFC 7515 5.3"),
        ("ES256\u{0}", "RFC 7515 5.3"),
        ("ЕS256", "RFC 7515 10.13"),
        ("ES384", "RFC 8725 3.1"),
        ("ES512", "RFC 8725 3.1"),
        ("ES256K", "RFC 8812 3.2"),
        ("EdDSA", "RFC 8725 3.1"),
        ("RS256", "RFC 8725 3.1"),
        ("PS256", "RFC 8725 3.1"),
        ("HS384", "CVE-2015-9235"),
        ("A128KW", "RFC 7518 4.1"),
        ("ECDSA", "RFC 7518 A.1"),
        ("SHA256withECDSA", "RFC 7518 A.1"),
    ];
    let mut cases: Vec<Case> = wrong
        .into_iter()
        .map(|(alg, source)| {
            let header = forge.header_with("alg", &serde_json::to_string(alg).unwrap());
            let name = format!("`alg` {alg:?} for an ES256 key");
            Case::new(name, source, BadSignature, forge.with_header(&header))
        })
        .collect();
    for (value, what) in
        [("", "missing"), ("null", "null"), ("256", "a number"), (r#"["ES256"]"#, "an array")]
    {
        let token = forge.with_header(&forge.header_with("alg", value));
        cases.push(Case::new(format!("`alg` is {what}"), "RFC 7515 4.1.1", Malformed, token));
    }
    let ed = Algorithm::EdDsa;
    let header = replaced(&forge.header_of(ed), "alg", r#""Ed25519""#);
    let token = forge.signed_by(ed, &header, &forge.claims());
    cases.push(
        Case::new("`alg` \"Ed25519\" for an EdDSA key", "RFC 9864 2.2", BadSignature, token)
            .under(ed),
    );
    cases
}

/// What somebody might take for the secret of HMAC: a public key in every form it has.
fn hmac_of_ec_and_ed_keys(forge: &Forge) -> Vec<Case> {
    let (es, ed) = (Algorithm::Es256, Algorithm::EdDsa);
    let (jwk, ed_jwk) = (forge.key(es).public().jwk(), forge.key(ed).public().jwk());
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], member("x"), member("y")].concat();
    let info = [hex(P256_INFO), point.clone()].concat();
    let ed_key = URL_SAFE_NO_PAD.decode(ed_jwk["x"].as_str().unwrap()).unwrap();
    let ed_info = [hex(ED25519_INFO), ed_key.clone()].concat();
    let ssh = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], &ed_key].concat();
    let ssh = format!("ssh-ed25519 {}", base64::engine::general_purpose::STANDARD.encode(ssh));
    let kid = forge.key(es).public().kid().as_bytes().to_vec();
    [
        ("the public key's point", "RFC 8725 3.1", es, point),
        ("x of the public key", "RFC 8725 3.1", es, member("x")),
        ("the public key in PEM", "CVE-2015-9235", es, pem("PUBLIC KEY", &info).into_bytes()),
        ("the public key in DER", "CVE-2024-37568", es, info),
        ("the public JWK", "RFC 8725 3.1", es, jwk.to_string().into_bytes()),
        ("the `kid`", "RFC 8725 3.5", es, kid),
        ("an empty secret", "CVE-2019-20933", es, Vec::new()),
        ("\"secret\"", "RFC 8725 2.2", es, b"secret".to_vec()),
        ("the Ed25519 public key", "RFC 8725 3.1", ed, ed_key),
        (
            "the Ed25519 public key in PEM",
            "CVE-2022-29217",
            ed,
            pem("PUBLIC KEY", &ed_info).into_bytes(),
        ),
        ("the Ed25519 public key of OpenSSH", "CVE-2022-29217", ed, ssh.into_bytes()),
    ]
    .into_iter()
    .map(|(what, source, algorithm, secret)| {
        let token = forge.with_hmac(algorithm, &secret);
        Case::new(format!("HS256 under {what}"), source, BadSignature, token).under(algorithm)
    })
    .collect()
}

fn hmac_of_the_rsa_key(forge: &Forge) -> Vec<Case> {
    use ring::signature::{KeyPair, RsaKeyPair};
    let rs = Algorithm::Rs256;
    let pair = RsaKeyPair::from_pkcs8(forge.key(rs).pkcs8_der()).unwrap();
    let pkcs1 = pair.public_key().as_ref().to_vec();
    let info = [hex(RSA_INFO), pkcs1.clone()].concat();
    let jwk = forge.key(rs).public().jwk();
    let pem_of_info = pem("PUBLIC KEY", &info);
    [
        (
            "the RSA public key in PEM",
            "CVE-2015-2951, CVE-2016-5431, CVE-2016-10555, CVE-2023-48238",
            pem_of_info.clone().into_bytes(),
        ),
        (
            "the RSA public key in PEM, a space before it",
            "CVE-2026-34950",
            format!(" {pem_of_info}").into_bytes(),
        ),
        (
            "the RSA public key in PEM, a comment before it",
            "CVE-2026-107722",
            format!("# a key\n{pem_of_info}").into_bytes(),
        ),
        (
            "the RSA public key in PEM without its last line break",
            "CVE-2023-48223",
            pem_of_info.trim_end().as_bytes().to_vec(),
        ),
        (
            "the RSA public key in PEM of PKCS #1",
            "CVE-2017-11424",
            pem("RSA PUBLIC KEY", &pkcs1).into_bytes(),
        ),
        ("the RSA public key in DER", "CVE-2024-54150", info),
        ("the RSA public JWK", "CVE-2022-23541", jwk.to_string().into_bytes()),
    ]
    .into_iter()
    .map(|(what, source, secret)| {
        let token = forge.with_hmac(rs, &secret);
        Case::new(format!("HS256 under {what}"), source, BadSignature, token).under(rs)
    })
    .collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}
