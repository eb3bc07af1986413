//! From a request to a question, with the limits that the contract documents.

use std::net::IpAddr;

use prost_types::Duration;
use tessera_proto::v1::VerifyRequest;
use tessera_shared::{
    examine::Question,
    opaque::LONGEST_TOKEN,
    role::{LONGEST_SCOPE, is_scope},
};

use super::{failure::Violation, fields::MOST_SCOPES};

pub(super) const LONGEST_AUDIENCE: usize = 255;
/// An IPv6 address in its longest form, which ends as an IPv4 address.
const LONGEST_ADDRESS: usize = 45;
/// The longest `google.protobuf.Duration`, in seconds: about 10,000 years.
const LONGEST_DURATION: i64 = 315_576_000_000;

/// The encoded bytes of a question with every field at its limit.
pub(super) const LARGEST_QUESTION: usize = field(LONGEST_TOKEN)
    + field(LONGEST_AUDIENCE)
    + MOST_SCOPES * field(LONGEST_SCOPE)
    + field(LONGEST_ADDRESS)
    // Two integers, each a tag and a varint.
    + field(2 * (1 + LONGEST_VARINT));

/// The bytes of a 64-bit integer at its longest, seven bits in each.
const LONGEST_VARINT: usize = 10;

/// The encoded bytes of a field below number 16 with so many bytes of content: a tag, the
/// length, and that.
pub(super) const fn field(content: usize) -> usize {
    let (mut length, mut rest) = (1, content >> 7);
    while rest > 0 {
        (length, rest) = (length + 1, rest >> 7);
    }
    1 + length + content
}

/// What was asked, apart from the token, which the examination alone judges.
pub(super) struct Asked {
    pub(super) question: Question,
    /// How old the view may be; `None`: the staleness bound.
    pub(super) max_staleness: Option<std::time::Duration>,
}

impl TryFrom<VerifyRequest> for Asked {
    type Error = Vec<Violation>;

    /// Finds every field that is wrong, so that a caller need not mend them one by one.
    fn try_from(request: VerifyRequest) -> Result<Self, Vec<Violation>> {
        let mut violations = Vec::new();
        if request.audience.len() > LONGEST_AUDIENCE {
            violations.push(Violation::new("audience", "at most 255 bytes"));
        }
        check_scopes(&request.required_scopes, &mut violations);
        let client_address = address(&request.client_address).unwrap_or_else(|violation| {
            violations.push(violation);
            None
        });
        let max_staleness =
            request.max_staleness.as_ref().map(span).transpose().unwrap_or_else(|violation| {
                violations.push(violation);
                None
            });
        if !violations.is_empty() {
            return Err(violations);
        }
        let question = Question {
            audience: Some(request.audience).filter(|audience| !audience.is_empty()),
            required_scopes: request.required_scopes,
            client_address,
        };
        Ok(Self { question, max_staleness })
    }
}

fn check_scopes(scopes: &[String], violations: &mut Vec<Violation>) {
    if scopes.len() > MOST_SCOPES {
        violations.push(Violation::new("required_scopes", "at most 64 scopes"));
        return;
    }
    let wrong = scopes.iter().enumerate().filter(|(_, scope)| !is_scope(scope));
    violations.extend(wrong.map(|(place, _)| {
        let field = format!("required_scopes[{place}]");
        Violation::new(field, "service:action, each of a-z 0-9 - _ . and at most 128 bytes in all")
    }));
}

/// A dual-stack socket gives an IPv4 peer as an IPv6 address (RFC 4291, section
/// 2.5.5.2); networks of IPv4 must match it all the same.
fn address(text: &str) -> Result<Option<IpAddr>, Violation> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(Some(address.to_canonical())),
        Err(_) => Err(Violation::new("client_address", "an IPv4 or IPv6 address, with no port")),
    }
}

/// A well-formed duration (as `google/protobuf/duration.proto` has it) from zero up.
fn span(span: &Duration) -> Result<std::time::Duration, Violation> {
    let wrong = || Violation::new("max_staleness", "a duration that is not negative");
    let seconds = Some(span.seconds).filter(|s| (0..=LONGEST_DURATION).contains(s));
    let nanos = Some(span.nanos).filter(|nanos| (0..1_000_000_000).contains(nanos));
    match (seconds, nanos) {
        (Some(seconds), Some(nanos)) => {
            Ok(std::time::Duration::new(seconds.cast_unsigned(), nanos.cast_unsigned()))
        }
        _ => Err(wrong()),
    }
}
