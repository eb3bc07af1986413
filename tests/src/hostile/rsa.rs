//! RS256 signatures that are not the key's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding};
use tessera_proto::v1::DenialReason::BadSignature;
use tessera_shared::keys::Algorithm::Rs256;

use super::{
    Case,
    forge::{Forge, joined, message, replaced},
};

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let (signed, good) = forge.parts(Rs256);
    let modulus = forge.key(Rs256).public().jwk()["n"].as_str().unwrap().to_owned();
    let modulus = URL_SAFE_NO_PAD.decode(modulus).unwrap();
    let number = |low: u8| [&[0; 255][..], &[low]].concat();
    let mut before = modulus.clone();
    *before.last_mut().unwrap() -= 1;
    let padded = |padding: &'static dyn RsaEncoding| forge.rsa_signature(padding, &signed);
    let mut cases: Vec<Case> = [
        ("zero", "RFC 8017 8.2.2", number(0)),
        ("one", "RFC 8017 8.2.2", number(1)),
        ("n", "RFC 8017 5.2.2", modulus),
        ("n - 1", "RFC 8017 8.2.2", before),
        ("all bits are one", "RFC 8017 5.2.2", vec![0xff; 256]),
        ("no signature", "RFC 7515 5.2", Vec::new()),
        ("a byte less", "RFC 8017 8.2.2", good[..255].to_vec()),
        ("a zero in front", "RFC 8017 8.2.2, CVE-2020-14968 (of PSS)", [&[0], &good[..]].concat()),
        ("a byte more", "RFC 8017 8.2.2", [&good[..], &[0]].concat()),
        ("PSS in it", "RFC 8017 8.2.2", padded(&RSA_PSS_SHA256)),
        ("SHA-384 in it", "RFC 8017 8.2.2", padded(&RSA_PKCS1_SHA384)),
        ("SHA-512 in it", "RFC 8017 8.2.2", padded(&RSA_PKCS1_SHA512)),
    ]
    .into_iter()
    .map(|(name, source, signature)| {
        Case::new(format!("RS256: {name}"), source, BadSignature, joined(&signed, &signature))
    })
    .collect();
    for (alg, padding) in [
        ("PS256", &RSA_PSS_SHA256 as &'static dyn RsaEncoding),
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
    ] {
        let header = replaced(&forge.header_of(Rs256), "alg", &format!("{alg:?}"));
        let signed = message(header.as_bytes(), forge.claims().as_bytes());
        let token = joined(&signed, &forge.rsa_signature(padding, &signed));
        cases.push(Case::new(
            format!("{alg} by an RS256 key, and signed so"),
            "RFC 8725 3.1",
            BadSignature,
            token,
        ));
    }
    cases.into_iter().map(|case| case.under(Rs256)).collect()
}
