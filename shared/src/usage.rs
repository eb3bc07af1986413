//! When permanent tokens are used.
//!
//! Who examines a token notes it in memory ([`UsageNotes`]) and reports what has
//! gathered every few seconds ([`StoreReader::report_usage`]); the store merges the
//! reports by maximum, so that one may be late, come twice, or come in any order.
//!
//! It is kept apart from the token's record, under keys that no verifier reads: a
//! change of the record is pushed to every verifier, which then reads it again.
//!
//! [`StoreReader::report_usage`]: crate::store::StoreReader::report_usage

mod notes;
mod reporter;

pub use self::{notes::UsageNotes, reporter::report_during};

use std::time::Duration;

use prost::Message;

use crate::{clock::Timestamp, id::TokenId, record};

/// Who keeps a token in a cache need not note each use of it: once in each span of
/// this length, counted from the epoch, is enough. With two usage intervals on top,
/// a use shows within a minute.
pub const GRAIN: Duration = Duration::from_secs(30);

/// When a token was last used, and when a replaced secret of it last was; each in
/// whole seconds, or not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    // Seconds since the epoch, good until 2106; 0: not known.
    used: u32,
    reused: u32,
}

impl Usage {
    /// Found good at `now`.
    pub fn use_at(now: Timestamp) -> Self {
        Self { used: seconds(now), reused: 0 }
    }

    /// Presented at `now` with a secret that a rotation had replaced.
    pub fn reuse_at(now: Timestamp) -> Self {
        Self { used: 0, reused: seconds(now) }
    }

    /// When it was last found good.
    pub fn last_used_at(self) -> Option<Timestamp> {
        instant(self.used)
    }

    /// When a replaced secret of it was last presented.
    pub fn reuse_detected_at(self) -> Option<Timestamp> {
        instant(self.reused)
    }

    /// The later of each.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self { used: self.used.max(other.used), reused: self.reused.max(other.reused) }
    }

    /// The earlier of each and `now`, so that a wrong clock can't spoil the maximum
    /// for ever.
    #[must_use]
    pub fn no_later_than(self, now: Timestamp) -> Self {
        let now = seconds(now);
        Self { used: self.used.min(now), reused: self.reused.min(now) }
    }

    pub(crate) const fn to_seconds(self) -> (u32, u32) {
        (self.used, self.reused)
    }

    pub(crate) const fn from_seconds((used, reused): (u32, u32)) -> Self {
        Self { used, reused }
    }
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.seconds().max(0)).unwrap_or(u32::MAX)
}

fn instant(seconds: u32) -> Option<Timestamp> {
    (seconds != 0).then(|| Timestamp::from_millis(i64::from(seconds) * 1000))
}

/// The bytes of a report on its way to the issuers.
pub(crate) fn pack(notes: &[(TokenId, Usage)]) -> Vec<u8> {
    let note = |(token, usage): &(TokenId, Usage)| record::UsageNote {
        token: token.get(),
        used: usage.used,
        reused: usage.reused,
    };
    record::UsageReport { notes: notes.iter().map(note).collect() }.encode_to_vec()
}

/// Reads a report; `None`: it is none.
pub(crate) fn unpack(bytes: &[u8]) -> Option<Vec<(TokenId, Usage)>> {
    let report = record::UsageReport::decode(bytes).ok()?;
    let note = |note: record::UsageNote| {
        let token = TokenId::try_from(note.token).ok()?;
        Some((token, Usage { used: note.used, reused: note.reused }))
    };
    report.notes.into_iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_out_as_it_went_in() {
        let token = |id: i64| TokenId::try_from(id).unwrap();
        let now = Timestamp::from_millis(1_800_000_000_999);
        let notes = [
            (token(1), Usage::use_at(now)),
            (token((1 << 53) - 1), Usage::use_at(now).merged(Usage::reuse_at(now))),
        ];
        assert_eq!(unpack(&pack(&notes)), Some(notes.to_vec()));
        assert_eq!(notes[0].1.last_used_at(), Some(Timestamp::from_millis(1_800_000_000_000)));
        assert_eq!(notes[0].1.reuse_detected_at(), None);
    }

    #[test]
    fn what_is_no_report_is_not_read_as_one() {
        for bytes in [&b"\xff"[..], b"\x0a\x02\x08\x00"] {
            assert_eq!(unpack(bytes), None);
        }
    }

    #[test]
    fn instants_beyond_the_range_are_its_ends() {
        for (now, used) in [(Timestamp::NEVER, u32::MAX), (Timestamp::from_millis(-1), 0)] {
            assert_eq!(Usage::use_at(now).to_seconds(), (used, 0));
        }
    }
}
