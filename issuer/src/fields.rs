//! Requests are parsed here, field by field; nothing below sees an unchecked one.

use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use prost_types::{FieldMask, Timestamp as ProtoTimestamp};
use tessera_shared::{clock::Timestamp, password::LONGEST_PASSWORD};

use crate::failure::{Failure, Violation};

/// The last instant a field may name: 9999-12-31T23:59:59Z, as protobuf has it.
const LAST_SECOND: i64 = 253_402_300_799;
const DEFAULT_PAGE: usize = 50;
const LARGEST_PAGE: usize = 1000;

/// Collects what is wrong with a request, so that it is said all at once.
#[derive(Default)]
pub(crate) struct Fields(Vec<Violation>);

impl Fields {
    /// Notes that `field` is wrong unless `right`.
    pub(crate) fn require(
        &mut self,
        right: bool,
        field: &'static str,
        description: impl Into<String>,
    ) {
        if !right {
            self.0.push(Violation { field, description: description.into() });
        }
    }

    /// The value, or a note of what is wrong with it.
    pub(crate) fn take<T>(&mut self, parsed: Result<T, Violation>) -> Option<T> {
        parsed.map_err(|violation| self.0.push(violation)).ok()
    }

    /// Fails if anything was noted.
    pub(crate) fn check(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::InvalidFields(self.0)) }
    }
}

fn wrong<T>(field: &'static str, description: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { field, description: description.into() })
}

/// An id that must be given.
pub(crate) fn id<T: TryFrom<i64>>(field: &'static str, value: i64) -> Result<T, Failure> {
    T::try_from(value)
        .map_err(|_| Failure::field(field, "required: a number between 1 and 2^53 - 1"))
}

/// The name of a signing key: a SHA-256 in base64url.
pub(crate) fn kid(field: &'static str, value: &str) -> Result<String, Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if value.len() == 43 && value.bytes().all(allowed) {
        Ok(value.to_owned())
    } else {
        Err(Failure::field(field, "required: the kid of a key, 43 of A-Z a-z 0-9 - _"))
    }
}

/// A name of 1 to 128 characters with no control character among them.
pub(crate) fn name(field: &'static str, value: &str) -> Result<String, Violation> {
    let fits = (1..=128).contains(&value.chars().count()) && !value.trim().is_empty();
    if fits && !value.chars().any(char::is_control) {
        Ok(value.to_owned())
    } else {
        wrong(field, "1 to 128 characters, not all blank, no control characters")
    }
}

/// At most 1024 characters.
pub(crate) fn description(value: &str) -> Result<String, Violation> {
    if value.chars().count() <= 1024 && !value.contains('\0') {
        Ok(value.to_owned())
    } else {
        wrong("description", "at most 1024 characters, none of them NUL")
    }
}

/// A username in lower case.
pub(crate) fn username(value: &str) -> Result<String, Violation> {
    let lower = value.to_ascii_lowercase();
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@+-".contains(&b);
    if (1..=128).contains(&lower.len()) && lower.bytes().all(allowed) {
        Ok(lower)
    } else {
        wrong("username", "1 to 128 of a-z 0-9 . _ @ + -")
    }
}

/// A password that a user may have from now on.
pub(crate) fn new_password(
    field: &'static str,
    value: &str,
    min_length: usize,
) -> Result<String, Violation> {
    if value.chars().count() >= min_length && value.len() <= LONGEST_PASSWORD {
        Ok(value.to_owned())
    } else {
        wrong(field, format!("{min_length} characters to {LONGEST_PASSWORD} bytes"))
    }
}

/// Audiences: at most 16, each 1 to 255 visible ASCII characters.
pub(crate) fn audiences(values: &[String]) -> Result<Vec<String>, Violation> {
    let fits = |value: &String| {
        (1..=255).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic())
    };
    if values.len() <= 16 && values.iter().all(fits) {
        Ok(values.to_vec())
    } else {
        wrong("audiences", "at most 16, each 1 to 255 visible ASCII characters")
    }
}

/// Networks in CIDR notation, at most 32; an address alone is a network of one.
pub(crate) fn cidrs(values: &[String]) -> Result<Vec<String>, Violation> {
    let says = "at most 32 networks such as 192.0.2.0/24 or 2001:db8::/32";
    if values.len() > 32 {
        return wrong("allowed_cidrs", says);
    }
    let parsed: Option<Vec<_>> = values.iter().map(|value| cidr(value)).collect();
    parsed.map_or_else(|| wrong("allowed_cidrs", says), Ok)
}

fn cidr(value: &str) -> Option<String> {
    use std::net::IpAddr;
    let network = match value.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => value.parse::<IpNet>().ok()?.trunc(),
    };
    Some(canonical(network).to_string())
}

/// A caller's address is IPv4 where it is IPv4 mapped into IPv6 (RFC 4291, section 2.5.5.2), so a
/// network of those is one of IPv4.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let mapped = match network {
        IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED)),
        IpNet::V4(_) => None,
    };
    let v4 = mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    v4.map_or(network, IpNet::V4)
}

/// An instant after the epoch; finer than a millisecond is cut off.
pub(crate) fn instant(field: &'static str, value: &ProtoTimestamp) -> Result<Timestamp, Violation> {
    let fits =
        (0..=LAST_SECOND).contains(&value.seconds) && (0..1_000_000_000).contains(&value.nanos);
    if fits {
        Ok(Timestamp::from_millis(value.seconds * 1000 + i64::from(value.nanos / 1_000_000)))
    } else {
        wrong(field, "an instant between 1970 and 9999, nanos between 0 and 999,999,999")
    }
}

/// An instant that has not come yet.
pub(crate) fn future(
    field: &'static str,
    value: &ProtoTimestamp,
    now: Timestamp,
) -> Result<Timestamp, Violation> {
    let instant = instant(field, value)?;
    if instant > now { Ok(instant) } else { wrong(field, "an instant in the future") }
}

/// A span between nothing and `longest`.
pub(crate) fn span(
    field: &'static str,
    value: &prost_types::Duration,
    longest: Duration,
) -> Result<Duration, Violation> {
    let is_one = (0..1_000_000_000).contains(&value.nanos);
    let span = Duration::try_from(*value).ok().filter(|span| is_one && *span <= longest);
    span.map_or_else(|| wrong(field, format!("0 to {} s", longest.as_secs())), Ok)
}

/// Which fields an update changes: those of the mask, or those that are set (AIP-134).
pub(crate) fn mask(
    mask: Option<&FieldMask>,
    known: &'static [&'static str],
    is_set: impl Fn(&str) -> bool,
) -> Result<Vec<&'static str>, Failure> {
    let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) else {
        let set: Vec<_> = known.iter().copied().filter(|field| is_set(field)).collect();
        let says = || format!("nothing to change; name one of {}", known.join(", "));
        return if set.is_empty() { Err(Failure::field("update_mask", says())) } else { Ok(set) };
    };
    if mask.paths == ["*"] {
        return Ok(known.to_vec());
    }
    let find = |path: &String| known.iter().copied().find(|field| field == path);
    let found: Option<Vec<_>> = mask.paths.iter().map(find).collect();
    found.ok_or_else(|| Failure::field("update_mask", format!("paths are: {}", known.join(", "))))
}

/// Which page to answer (AIP-158). A page token is the last id of the page before.
pub(crate) struct Page {
    pub(crate) after: i64,
    pub(crate) size: usize,
}

pub(crate) fn page(size: i32, token: &str) -> Result<Page, Failure> {
    let size = match usize::try_from(size) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) => size.min(LARGEST_PAGE),
        Err(_) => return Err(Failure::field("page_size", "not negative")),
    };
    let after = if token.is_empty() { Some(0) } else { token.parse().ok().filter(|id| *id > 0) };
    let after = after
        .ok_or_else(|| Failure::field("page_token", "the next_page_token of the page before"))?;
    Ok(Page { after, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_where_the_contract_says() {
        assert!(name("name", &"ü".repeat(128)).is_ok());
        for bad in ["", "  ", "a\nb", &"a".repeat(129)] {
            assert!(name("name", bad).is_err(), "{bad:?}");
        }
        assert_eq!(username("Anna.B@x-Y").unwrap(), "anna.b@x-y");
        assert!(username("anna b").is_err());
        assert_eq!(cidrs(&["10.1.2.3/8".into(), "::1".into()]).unwrap(), ["10.0.0.0/8", "::1/128"]);
        let mapped = ["::ffff:198.51.100.7/120", "::ffff:192.0.2.1", "::/0", "::ffff:0:0/95"];
        let parsed = cidrs(&mapped.map(str::to_owned)).unwrap();
        assert_eq!(parsed, ["198.51.100.0/24", "192.0.2.1/32", "::/0", "::fffe:0:0/95"]);
        assert!(cidrs(&["10.0.0.0/33".into()]).is_err());
        let span_of = |seconds, nanos| {
            let value = prost_types::Duration { seconds, nanos };
            span("overlap", &value, Duration::from_secs(9))
        };
        assert_eq!(span_of(8, 999_999_999).unwrap(), Duration::new(8, 999_999_999));
        for (seconds, nanos) in [(1, -1), (0, 1_000_000_000), (-1, 0), (9, 1), (i64::MAX, 0)] {
            assert!(span_of(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
        assert!(audiences(&["a b".into()]).is_err());
        let instant_of = |seconds, nanos| instant("t", &ProtoTimestamp { seconds, nanos });
        assert_eq!(instant_of(1, 2_999_999).unwrap().millis(), 1002);
        assert!(instant_of(-1, 0).is_err() && instant_of(0, -1).is_err());
        assert!(instant_of(i64::MAX, 0).is_err());
    }

    #[test]
    fn a_mask_names_known_fields_or_none_at_all() {
        let known = &["name", "role"];
        let masked =
            |paths: &[&str]| FieldMask { paths: paths.iter().map(|p| (*p).into()).collect() };
        assert_eq!(mask(None, known, |f| f == "role").unwrap(), ["role"]);
        assert!(mask(None, known, |_| false).is_err());
        assert_eq!(mask(Some(&masked(&["*"])), known, |_| false).unwrap(), ["name", "role"]);
        assert!(mask(Some(&masked(&["hash"])), known, |_| true).is_err());
    }
}
