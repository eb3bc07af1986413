//! Claims as our issuer writes them, read in one pass: each member in its place, none else,
//! no escapes. A general reader takes about as long for that as for all else around the check of a signature.
//!
//! What differs in any way is `None` here, and read by the JSON library. What this reads,
//! that reads alike: the tests and the fuzzer hold one against the other.

use std::borrow::Cow;

use super::claims::Wire;

/// What is left of a text.
struct Rest<'a>(&'a str);

pub(super) fn read(json: &[u8]) -> Option<Wire<'_>> {
    let mut rest = Rest(std::str::from_utf8(json).ok()?);
    let wire = Wire {
        iss: rest.after(r#"{"iss":""#)?.string()?,
        sub: rest.after(r#","sub":""#)?.string()?,
        aud: Cow::from(rest.after(r#","aud":["#)?.strings()?),
        exp: rest.after(r#","exp":"#)?.integer()?,
        iat: rest.after(r#","iat":"#)?.integer()?,
        nbf: rest.optional(r#","nbf":"#, Rest::integer)?,
        jti: rest.after(r#","jti":""#)?.string()?,
        client_id: rest.after(r#","client_id":""#)?.string()?,
        sid: rest.optional(r#","sid":""#, Rest::string)?,
        tid: rest.optional(r#","tid":"#, Rest::integer)?,
        account: rest.after(r#","account":"#)?.integer()?,
        role: rest.after(r#","role":""#)?.string()?,
        scope: rest.after(r#","scope":""#)?.string()?,
        name: rest.after(r#","name":""#)?.string()?,
        uv: rest.after(r#","uv":"#)?.version()?,
        tv: rest.optional(r#","tv":"#, Rest::version)?,
        sv: rest.optional(r#","sv":"#, Rest::version)?,
        cidrs: Cow::from(rest.optional(r#","cidrs":["#, Rest::strings)?.unwrap_or_default()),
    };
    (rest.0 == "}").then_some(wire)
}

impl<'a> Rest<'a> {
    fn after(&mut self, literal: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(self)
    }

    /// `Some(None)`: it is not there.
    fn optional<T>(
        &mut self,
        literal: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.0.strip_prefix(literal) {
            Some(rest) => {
                self.0 = rest;
                read(self).map(Some)
            }
            None => Some(None),
        }
    }

    /// Up to the quotation mark; with an escape, or what would have to be one (RFC 8259,
    /// section 7), it is none of ours.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        let end = self.0.bytes().position(is_special)?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        Some(Cow::Borrowed(text))
    }

    /// Up to the closing bracket.
    fn strings(&mut self) -> Option<Vec<String>> {
        let mut strings = Vec::new();
        while let Some(rest) = self.0.strip_prefix('"') {
            self.0 = rest;
            strings.push(self.string()?.into_owned());
            match self.0.strip_prefix(',') {
                // Another has to follow.
                Some(rest) if rest.starts_with('"') => self.0 = rest,
                _ => break,
            }
        }
        self.after("]")?;
        Some(strings)
    }

    /// Not negative, and of at most 18 digits, so that it always fits.
    fn integer(&mut self) -> Option<i64> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(end)?;
        let is_canonical = digits == "0" || (1..=18).contains(&end) && !digits.starts_with('0');
        self.0 = rest;
        if is_canonical { digits.parse().ok() } else { None }
    }

    fn version(&mut self) -> Option<u32> {
        self.integer()?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{
        AccessClaims,
        tests::{claims, exchanged},
    };

    fn by_the_library(json: &[u8]) -> Option<AccessClaims> {
        AccessClaims::from_wire(serde_json::from_slice(json).ok()?)
    }

    #[test]
    fn what_our_issuer_writes_is_read_here_and_as_the_library_reads_it() {
        let plain = AccessClaims { audiences: Vec::new(), not_before: None, ..claims() };
        let many = AccessClaims {
            audiences: ["", "a", "ä.例"].map(str::to_owned).into(),
            allowed_cidrs: ["10.0.0.0/8", "::/0"].map(str::to_owned).into(),
            secret_version: Some(2),
            ..exchanged()
        };
        for claims in [claims(), exchanged(), plain, many] {
            let json = serde_json::to_vec(&claims.wire()).unwrap();
            let here = AccessClaims::from_wire(read(&json).expect("one of ours"));
            assert_eq!(here.as_ref(), Some(&claims));
            assert_eq!(here, by_the_library(&json));
        }
    }

    #[test]
    fn what_is_changed_in_one_place_is_left_to_the_library_or_read_alike() {
        let bytes = *br#" "\{}[]:,0129-.eE+n/u"#;
        for claims in [claims(), exchanged()] {
            let json = serde_json::to_vec(&claims.wire()).unwrap();
            let mut left = 0;
            for place in 0..json.len() {
                let mut cut = json.clone();
                cut.remove(place);
                let replaced = bytes.iter().chain(&[0, 0x1f, 0x7f, 0xff]).map(|byte| {
                    let mut other = json.clone();
                    other[place] = *byte;
                    other
                });
                let inserted = bytes.iter().chain(&[0, 0xc3]).map(|byte| {
                    let mut other = json.clone();
                    other.insert(place, *byte);
                    other
                });
                for changed in replaced.chain(inserted).chain([cut]) {
                    match read(&changed).map(AccessClaims::from_wire) {
                        Some(here) => assert_eq!(here, by_the_library(&changed)),
                        None => left += 1,
                    }
                }
            }
            assert!(left > 10 * json.len(), "most of it is none of ours: {left}");
        }
    }
}
