//! Times and durations as people write and read them.

use std::time::Duration;

use prost_types::Timestamp as Wire;
use tessera_shared::clock::Timestamp;
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What is wrong with a time or a duration.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum WhenError {
    /// Not a duration.
    #[error("not a duration: write numbers with units w, d, h, m, s or ms, such as 30d or 1h30m")]
    Duration,
    /// Longer than can be counted.
    #[error("too long a duration")]
    TooLong,
    /// Not an RFC 3339 time.
    #[error("not an RFC 3339 time: write it as 2027-01-31T12:00:00Z")]
    Time,
    /// Neither of both.
    #[error("neither an RFC 3339 time (2027-01-31T12:00:00Z) nor a duration (30d)")]
    Moment,
}

/// Reads a duration such as `30d`, `1h30m` or `250ms`; `0` needs no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, WhenError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    loop {
        let (part, after) = first_part(rest)?;
        total = total.checked_add(part).ok_or(WhenError::TooLong)?;
        if after.is_empty() {
            return Ok(total);
        }
        rest = after;
    }
}

fn first_part(text: &str) -> Result<(Duration, &str), WhenError> {
    let (digits, rest) = split_while(text, |c| c.is_ascii_digit());
    let (unit, rest) = split_while(rest, |c| c.is_ascii_alphabetic());
    if digits.is_empty() {
        return Err(WhenError::Duration);
    }
    let number: u64 = digits.parse().map_err(|_| WhenError::TooLong)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 86_400 * 1000,
        "w" => 7 * 86_400 * 1000,
        _ => return Err(WhenError::Duration),
    };
    let millis = number.checked_mul(millis).ok_or(WhenError::TooLong)?;
    Ok((Duration::from_millis(millis), rest))
}

fn split_while(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !wanted(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Reads an RFC 3339 time; finer than a millisecond is cut off.
pub(crate) fn instant(text: &str) -> Result<Timestamp, WhenError> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| WhenError::Time)?;
    let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(millis).map(Timestamp::from_millis).map_err(|_| WhenError::Time)
}

/// An instant, or how far from now it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// That instant.
    At(Timestamp),
    /// That long from now.
    In(Duration),
}

impl Moment {
    /// The instant, seen from `now`.
    pub(crate) fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(instant) => instant,
            Self::In(span) => now.after(span),
        }
    }
}

/// Reads a [`Moment`]: an RFC 3339 time or a duration from now.
pub(crate) fn moment(text: &str) -> Result<Moment, WhenError> {
    instant(text)
        .map(Moment::At)
        .or_else(|_| duration(text).map(Moment::In))
        .map_err(|_| WhenError::Moment)
}

/// The instant for the wire.
pub(crate) fn to_wire(instant: Timestamp) -> Wire {
    let nanos = instant.millis().rem_euclid(1000) * 1_000_000;
    Wire { seconds: instant.seconds(), nanos: i32::try_from(nanos).unwrap_or_default() }
}

/// The instant from the wire; finer than a millisecond is cut off.
pub(crate) fn from_wire(wire: Wire) -> Timestamp {
    let millis = i64::from(wire.nanos).div_euclid(1_000_000);
    Timestamp::from_millis(wire.seconds.saturating_mul(1000).saturating_add(millis))
}

/// The duration for the wire; capped where it is too long for that.
pub(crate) fn span_to_wire(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}

/// RFC 3339, in UTC, with the fraction of a second that there is: for programs.
pub(crate) fn exact(wire: &Wire) -> String {
    let nanos = i128::from(wire.seconds) * 1_000_000_000 + i128::from(wire.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{}s since 1970", wire.seconds))
}

/// RFC 3339, in UTC, to the second: for people.
pub(crate) fn brief(wire: &Wire) -> String {
    exact(&Wire { seconds: wire.seconds, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let seconds = |text| duration(text).map(|span| span.as_secs());
        assert_eq!(seconds("30d"), Ok(30 * 86_400));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("2w"), Ok(14 * 86_400));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_duration_without_unit_or_number_is_refused() {
        for text in ["", "5", "d", "1y", "-1d", "1.5h", "1h ", "1h30", "١d", "1D"] {
            assert_eq!(duration(text), Err(WhenError::Duration), "{text:?}");
        }
    }

    #[test]
    fn a_duration_beyond_counting_is_refused() {
        assert_eq!(duration("99999999999999999999s"), Err(WhenError::TooLong));
        assert_eq!(duration("18446744073709551615w"), Err(WhenError::TooLong));
    }

    #[test]
    fn times_are_rfc_3339_with_any_offset() {
        let noon = Timestamp::from_millis(1_801_310_400_000);
        assert_eq!(instant("2027-01-30T12:00:00Z"), Ok(noon));
        assert_eq!(instant("2027-01-30T13:00:00+01:00"), Ok(noon));
        assert_eq!(instant("2027-01-30"), Err(WhenError::Time));
        assert_eq!(instant("tomorrow"), Err(WhenError::Time));
    }

    #[test]
    fn a_moment_is_a_time_or_a_duration_from_now() {
        let now = Timestamp::from_millis(5000);
        assert_eq!(moment("1s").map(|m| m.instant(now).millis()), Ok(6000));
        assert_eq!(moment("1970-01-01T00:00:09Z").map(|m| m.instant(now).millis()), Ok(9000));
        assert_eq!(moment("soon"), Err(WhenError::Moment));
    }

    #[test]
    fn the_wire_keeps_milliseconds_before_and_after_1970() {
        for millis in [-1500, -1, 0, 1, 1_801_310_400_123] {
            let instant = Timestamp::from_millis(millis);
            assert_eq!(from_wire(to_wire(instant)), instant);
        }
    }

    #[test]
    fn programs_get_the_fraction_and_people_do_not() {
        let wire = to_wire(Timestamp::from_millis(1_801_310_400_120));
        assert_eq!(exact(&wire), "2027-01-30T12:00:00.12Z");
        assert_eq!(brief(&wire), "2027-01-30T12:00:00Z");
    }
}
