//! JSON objects with one reading.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// The members of a JSON object that fills `bytes` from brace to brace, unless two
/// have the same name. RFC 7519 section 4 lets a reader keep the last of two; two
/// readers that keep different ones can be played off against each other.
pub(super) fn unique_members(bytes: &[u8]) -> Option<Map<String, Value>> {
    let [b'{', .., b'}'] = bytes else { return None };
    serde_json::from_slice(bytes).ok().map(|UniqueMembers(members)| members)
}

struct UniqueMembers(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with no member twice")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member twice"));
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_whole() {
        let members = unique_members(br#"{"a":1,"b":{"a":2}}"#).unwrap();
        assert_eq!(members.len(), 2);
        assert!(unique_members(b"{}").is_some());
    }

    #[test]
    fn a_name_twice_is_refused_however_it_is_spelt() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"b":0,"a":1,"c":2,"a":3}"#] {
            assert_eq!(unique_members(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_exactly_an_object_is_refused() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
        let texts = ["", "{", "[]", "1", " {}", "{}\n", "\u{feff}{}", "{}{}", "{\"a\":1,}", &deep];
        for text in texts {
            assert_eq!(unique_members(text.as_bytes()), None, "{text}");
        }
        assert_eq!(unique_members(b"{\"a\":\"\xff\"}"), None);
    }
}
