//! Ed25519 public keys that prove nothing.
//!
//! Eight points of the curve have an order that divides 8. With one of them as
//! the public key, the equation of RFC 8032 section 5.1.7 holds for signatures
//! that anyone can make, and neither ring nor others refuse it.

/// The y coordinates of the eight points, little endian: 0 (order 4), 1 (order 1),
/// the two of order 8, and p - 1 (order 2). Each but 1 and p - 1 serves two
/// points, told apart by the top bit.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    bytes(0x00, 0x01),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    {
        let mut y = bytes(0xff, 0xec);
        y[31] = 0x7f;
        y
    },
];

/// The field's prime, 2^255 - 19, little endian.
const PRIME: [u8; 32] = {
    let mut p = bytes(0xff, 0xed);
    p[31] = 0x7f;
    p
};

const fn bytes(fill: u8, first: u8) -> [u8; 32] {
    let mut all = [fill; 32];
    all[0] = first;
    all
}

/// Whether `key` encodes a point of small order, or a y at or above the prime:
/// the second is never made by an honest signer, and is how the first is disguised.
pub(super) fn is_weak(key: &[u8; 32]) -> bool {
    let mut y = *key;
    if let Some(top) = y.last_mut() {
        *top &= 0x7f;
    }
    SMALL_ORDER_Y.contains(&y) || y.iter().rev().ge(PRIME.iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_order_point_is_weak_with_either_sign() {
        for mut y in SMALL_ORDER_Y {
            assert!(is_weak(&y));
            y[31] |= 0x80;
            assert!(is_weak(&y));
        }
    }

    #[test]
    fn a_y_at_or_above_the_prime_is_weak() {
        let mut y = PRIME;
        assert!(is_weak(&y), "0 in disguise");
        y[0] += 1;
        assert!(is_weak(&y), "1 in disguise");
        assert!(is_weak(&[0xff; 32]));
    }

    #[test]
    fn the_public_key_of_rfc_8032_is_not_weak() {
        let mut base_point = [0x66; 32];
        base_point[0] = 0x58;
        assert!(!is_weak(&base_point));
    }

    #[test]
    fn ring_takes_a_forged_signature_under_a_small_order_key() {
        // R = identity, S = 0: the equation 0 = R + h·A holds, whatever is signed,
        // when A is the identity. This is why the list exists.
        let mut forged = [0; 64];
        forged[0] = 1;
        let identity = bytes(0, 1);
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, identity);
        assert!(key.verify(b"anything", &forged).is_ok());
    }
}
