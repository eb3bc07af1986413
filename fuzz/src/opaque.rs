//! Permanent and refresh tokens: what is read has one spelling, and a checksum.

use tessera_shared::opaque::{Form, Opaque, TokenHash};

/// Reads `data` as it is, and with the checksum that it should have.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    read(text);
    read(&format!("{text}{}", checksum(text)));
}

fn read(plain: &str) {
    let opaque = Opaque::new("tessera");
    let Some(form) = opaque.parse(plain) else { return };
    let (id, hash, start, digits) = match form {
        Form::Permanent(presented) => (presented.id.get(), presented.hash, "tessera_", 43),
        Form::Refresh(refresh) => {
            let next = opaque.successor(&refresh, b"nonce");
            assert!(matches!(opaque.parse(next.expose()), Some(Form::Refresh(_))), "{plain:?}");
            (refresh.session.get(), refresh.hash, "tesserar_", 22 + 43)
        }
    };
    assert!(hash.matches(TokenHash::of(plain).as_bytes()));
    // Nothing else says the same: id, secret and checksum spell the whole.
    let secret = &plain[plain.len() - digits - 6..plain.len() - 6];
    assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{plain:?}");
    let covered = format!("{start}{id}_{secret}");
    assert_eq!(plain, format!("{covered}{}", checksum(&covered)));
    assert!(opaque.parse(&plain[..plain.len() - 1]).is_none());
    assert!(opaque.parse(&format!("{plain}0")).is_none());
    assert!(Opaque::new("acme").parse(plain).is_none());
}

/// CRC-32 in six digits of base62, worked out another way than the parser does.
fn checksum(covered: &str) -> String {
    let crc = crc32fast::hash(covered.as_bytes());
    let digit = |place: u32| {
        let digit = crc / 62_u32.pow(place) % 62;
        let (first, offset) = match digit {
            0..10 => (b'0', digit),
            10..36 => (b'A', digit - 10),
            _ => (b'a', digit - 36),
        };
        char::from(first + u8::try_from(offset).unwrap())
    };
    (0..6).rev().map(digit).collect()
}
