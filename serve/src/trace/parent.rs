//! The caller's trace context, as W3C writes it (Trace Context, level 1): `traceparent`
//! and `tracestate`. What is malformed counts as not there.

use std::str::FromStr as _;

use axum::http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Version, trace, parent and flags, with a hyphen between them (section 3.2.2).
const LENGTH: usize = 55;
/// So much of a `tracestate` must be passed on (section 3.3.1.5); a longer one is not, so
/// that a span has a bounded size.
const LONGEST_STATE: usize = 512;

/// What a request says of the trace that it is a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Nothing.
    None,
    /// That its caller is not recorded.
    Unsampled,
    /// Which span of its caller's it belongs to.
    Sampled(SpanContext),
}

impl Parent {
    /// Reads the headers of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        // Most have none, and then this is all that it costs.
        if !headers.contains_key(TRACEPARENT) {
            return Self::None;
        }
        let values = |name| headers.get_all(name).iter().map(|value| value.as_bytes());
        Self::read(values(TRACEPARENT), values(TRACESTATE))
    }

    /// Reads the headers of a request that another server tells of; `values` gives those of
    /// one name.
    pub fn told<'v, V: Iterator<Item = &'v [u8]>>(values: impl Fn(&'static str) -> V) -> Self {
        Self::read(values(TRACEPARENT), values(TRACESTATE))
    }

    fn read<'v>(
        mut parents: impl Iterator<Item = &'v [u8]>,
        states: impl Iterator<Item = &'v [u8]>,
    ) -> Self {
        // Two of them say nothing (section 3.2).
        let only = parents.next().filter(|_| parents.next().is_none());
        match only.and_then(parse) {
            None => Self::None,
            Some((_, _, false)) => Self::Unsampled,
            Some((trace, span, true)) => {
                let (flags, state) = (TraceFlags::SAMPLED, state_of(states));
                Self::Sampled(SpanContext::new(trace, span, flags, true, state))
            }
        }
    }
}

/// The trace, the parent, and whether it is sampled.
fn parse(text: &[u8]) -> Option<(TraceId, SpanId, bool)> {
    let (text, more) = text.split_at_checked(LENGTH)?;
    let mut parts = text.split(|byte| *byte == b'-');
    let [version] = hex(parts.next()?)?;
    let trace = TraceId::from_bytes(hex(parts.next()?)?);
    let span = SpanId::from_bytes(hex(parts.next()?)?);
    let [flags] = hex(parts.next()?)?;
    // A later version may be longer, after a hyphen; there is no version 255.
    let ends = match version {
        0 => more.is_empty(),
        255 => false,
        _ => more.is_empty() || more.starts_with(b"-"),
    };
    let good = ends && parts.next().is_none() && trace != TraceId::INVALID;
    (good && span != SpanId::INVALID).then_some((trace, span, flags & 1 == 1))
}

/// `N` bytes in lower-case hexadecimal digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// Several headers are one list (RFC 9110, section 5.3).
fn state_of<'v>(values: impl Iterator<Item = &'v [u8]>) -> TraceState {
    let mut list = String::new();
    for value in values {
        let Ok(value) = std::str::from_utf8(value) else { return TraceState::NONE };
        if list.len() + value.len() >= LONGEST_STATE {
            return TraceState::NONE;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(value);
    }
    let state = TraceState::from_str(&list).unwrap_or(TraceState::NONE);
    // A key of no characters is none (section 3.3.1.3.1).
    let has_empty = (&state).into_iter().any(|(key, _)| key.is_empty());
    if has_empty { TraceState::NONE } else { state }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn parent(traceparent: &str) -> Parent {
        Parent::of(&headers(&[(TRACEPARENT, traceparent)]))
    }

    #[test]
    fn a_parent_is_read_with_its_flag_and_its_state() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        let states = [(TRACESTATE, "a=1,b=2"), (TRACESTATE, "c=3"), (TRACEPARENT, &good)];
        let Parent::Sampled(read) = Parent::of(&headers(&states)) else { panic!() };
        assert_eq!(read.trace_id().to_string(), TRACE);
        assert_eq!(read.span_id().to_string(), SPAN);
        assert_eq!(read.trace_state().header(), "a=1,b=2,c=3");
        assert!(read.is_remote() && read.is_sampled());
        assert_eq!(parent(&format!("00-{TRACE}-{SPAN}-00")), Parent::Unsampled);
        assert_eq!(parent(&format!("00-{TRACE}-{SPAN}-02")), Parent::Unsampled);
        for later in ["01", "fe"] {
            let text = format!("{later}-{TRACE}-{SPAN}-ff");
            assert!(matches!(parent(&text), Parent::Sampled(_)));
            assert!(matches!(parent(&format!("{text}-more")), Parent::Sampled(_)));
        }
        assert_eq!(Parent::of(&HeaderMap::new()), Parent::None);
    }

    #[test]
    fn what_is_malformed_is_not_there() {
        let zero = |n| "0".repeat(n);
        for text in [
            String::new(),
            "-".repeat(55),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("01-{TRACE}-{SPAN}-01more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", zero(32)),
            format!("00-{TRACE}-{}-01", zero(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{SPAN}-{TRACE}-01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            let value = axum::http::HeaderValue::from_bytes(text.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(TRACEPARENT.parse().unwrap(), value)]);
            assert_eq!(Parent::of(&headers), Parent::None, "{text}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        let twice = [(TRACEPARENT, good.as_str()), (TRACEPARENT, good.as_str())];
        assert_eq!(Parent::of(&headers(&twice)), Parent::None);
    }

    #[test]
    fn a_malformed_or_endless_state_spoils_no_parent() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        let long = format!("a={}", "1".repeat(LONGEST_STATE));
        for state in ["no list", "=", "A=1", "a=1,a=2,=", &long] {
            let given = headers(&[(TRACEPARENT, &good), (TRACESTATE, state)]);
            let Parent::Sampled(read) = Parent::of(&given) else { panic!("{state}") };
            assert_eq!(read.trace_state().header(), "", "{state}");
        }
    }
}
