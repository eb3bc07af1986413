//! ES256 signatures in the one spelling that we make and take.
//!
//! Where (r, s) is a signature, (r, n - s) is one too (SEC 1 section 4.1.4 has no rule
//! against it), so that anybody could spell another's token anew. Of the two we write
//! the one with the smaller s, and take no other, as Bitcoin does (BIP 146).

/// The order n of P-256 (SEC 2 section 2.4.2), big endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// (n - 1) / 2: the largest s that is small.
const HALF: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Whether `signature` is r and s, of 32 bytes each, and s the smaller one.
pub(crate) fn is_low(signature: &[u8]) -> bool {
    signature.split_at_checked(32).is_some_and(|(_, s)| s.len() == 32 && s <= &HALF[..])
}

/// Makes s the smaller one, in a good signature of 64 bytes.
pub(crate) fn lower(signature: &mut [u8]) {
    if is_low(signature) {
        return;
    }
    let Some((_, s)) = signature.split_at_mut_checked(32) else { return };
    let mut borrow = false;
    for (byte, order) in s.iter_mut().zip(ORDER).rev() {
        let (difference, under) = order.overflowing_sub(*byte);
        let (difference, under_again) = difference.overflowing_sub(u8::from(borrow));
        (*byte, borrow) = (difference, under || under_again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_order_is_the_largest_small_s() {
        let mut signature = [&[7; 32], &HALF[..]].concat();
        assert!(is_low(&signature));
        signature[63] += 1;
        assert!(!is_low(&signature));
        // (n + 1) / 2 is n - (n - 1) / 2.
        lower(&mut signature);
        assert_eq!(signature, [&[7; 32], &HALF[..]].concat());
        lower(&mut signature);
        assert_eq!(signature[32..], HALF, "what is low stays so");
    }

    #[test]
    fn the_largest_s_becomes_one() {
        let mut signature = [&[0; 32], &ORDER[..]].concat();
        signature[63] -= 1;
        lower(&mut signature);
        assert_eq!(signature, [&[0; 63][..], &[1]].concat());
    }

    #[test]
    fn another_length_is_no_low_signature() {
        for length in [0, 31, 32, 63, 65, 96] {
            assert!(!is_low(&vec![0; length]), "{length}");
        }
    }
}
