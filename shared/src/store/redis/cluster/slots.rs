//! Hash slots, as in the Redis Cluster specification.

/// How many there are.
pub(super) const SLOTS: u16 = 16_384;

/// CRC-16/XMODEM of each byte.
static TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        // Not out of bounds: `byte` is below 256.
        #[expect(clippy::indexing_slicing, reason = "a constant, so checked by the compiler")]
        {
            table[byte] = crc;
        }
        byte += 1;
    }
    table
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        let place = usize::from((crc >> 8) ^ u16::from(*byte));
        (crc << 8) ^ TABLE.get(place).copied().unwrap_or_default()
    })
}

/// The slot of a key: that of what stands between its first braces, if something does.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16(hashed.as_bytes()) % SLOTS
}

/// What to put between braces so that a key falls into this slot: the same for all who ask.
pub(super) fn tag_of(slot: u16) -> String {
    // Any run of 2^17 numbers meets every slot: see the test.
    let mut number: u32 = 0;
    loop {
        let tag = number.to_string();
        if crc16(tag.as_bytes()) % SLOTS == slot % SLOTS {
            return tag;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the specification, and what `CLUSTER KEYSLOT` answers.
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        for (key, slot) in [("foo", 12182), ("{user1000}.following", 3443), ("a{}b{foo}", 976)] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
        assert_eq!(slot_of("x{foo}y{bar}"), slot_of("foo"));
        assert_eq!(slot_of("{{foo}"), slot_of("{foo"));
    }

    #[test]
    fn every_slot_has_a_short_tag() {
        for slot in [0, 1, 5460, 5461, 16_383] {
            let tag = tag_of(slot);
            assert!(tag.len() <= 6, "{tag}");
            assert_eq!(slot_of(&format!("tessera:hb:{{{tag}}}")), slot);
        }
        let mut met = vec![false; usize::from(SLOTS)];
        for number in 0..(1 << 18) {
            met[usize::from(crc16(number.to_string().as_bytes()) % SLOTS)] = true;
        }
        assert!(met.into_iter().all(|met| met));
    }
}
