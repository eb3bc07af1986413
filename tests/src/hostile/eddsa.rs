//! EdDSA signatures that are not the key's, or not in their one spelling.

use tessera_proto::v1::DenialReason::BadSignature;
use tessera_shared::keys::Algorithm::EdDsa;

use super::{
    Case,
    bytes::{SMALL_L, sum},
    forge::{Forge, joined},
};

/// The points whose order divides 8 (RFC 7748 section 7 lists the like for X25519), with the
/// spellings that are not canonical; the sign in the top bit is tried both ways.
const SMALL_ORDER: [(&str, [u8; 32]); 7] = [
    ("1", ends(0x01, 0x00, 0x00)),
    ("2", ends(0xec, 0xff, 0x7f)),
    ("4", ends(0x00, 0x00, 0x00)),
    (
        "8",
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
    ),
    (
        "8, the other",
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ),
    ("4, not canonical", ends(0xed, 0xff, 0x7f)),
    ("1, not canonical", ends(0xee, 0xff, 0x7f)),
];

const fn ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let (message, good) = forge.parts(EdDsa);
    let (point, scalar) = good.split_at(32);
    let pair = |r: &[u8], s: &[u8]| [r, s].concat();
    let mut cases = Vec::new();
    for (order, r) in SMALL_ORDER {
        for sign in [0, 0x80] {
            let mut r = r;
            r[31] |= sign;
            let with = if sign == 0 { "" } else { ", the sign set" };
            let name = format!("R of order {order}{with}, S zero");
            cases.push((name, "RFC 8032 5.1.7, RFC 8725 3.4", pair(&r, &[0; 32])));
        }
    }
    let more = sum(scalar, &SMALL_L);
    let mut high = scalar.to_vec();
    high[31] |= 0xe0;
    let mut flipped = good.clone();
    flipped[10] ^= 1;
    let named = [
        ("no signature", "RFC 7515 5.2", Vec::new()),
        ("all zero", "RFC 8032 5.1.7", vec![0; 64]),
        ("all bits are one", "RFC 8032 5.1.7", vec![0xff; 64]),
        ("S is S + L", "RFC 8032 5.1.7, CVE-2020-36843, CVE-2024-48949", pair(point, &more)),
        ("S is L", "RFC 8032 5.1.7", pair(point, &SMALL_L)),
        ("S with its top bits set", "RFC 8032 5.1.7", pair(point, &high)),
        ("S is zero", "RFC 8032 5.1.7", pair(point, &[0; 32])),
        ("R of another signature", "RFC 8032 5.1.7", pair(&SMALL_L, scalar)),
        ("R and S change places", "RFC 8037 3.1", pair(scalar, point)),
        ("one bit is another", "RFC 7515 5.2", flipped),
        ("a byte less", "CVE-2024-42459", good[..63].to_vec()),
        ("a byte more", "CVE-2024-42459", [&good[..], &[0]].concat()),
        ("as long as that of Ed448", "RFC 8037 3.1", vec![0; 114]),
    ];
    cases.extend(named.map(|(name, source, signature)| (name.to_owned(), source, signature)));
    cases
        .into_iter()
        .map(|(name, source, signature)| {
            let token = joined(&message, &signature);
            Case::new(format!("EdDSA: {name}"), source, BadSignature, token).under(EdDsa)
        })
        .collect()
}
