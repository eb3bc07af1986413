//! The view as the store's follower: keys become stripes, instants become numbers.

use std::time::{Duration, Instant};

use tessera_serve::metrics::Times;
use tessera_shared::store::{Changes, Key, REVOCATION_BUCKETS};

use super::view::{ALWAYS, Birth, Stripe, View};

/// 128 KiB of counters. With a million copies held, one change costs 60 of them.
const STRIPES: u16 = 16_384;
/// The catalogue, the key set, and each bucket have a stripe alone.
const OWN_STRIPES: u16 = 2 + REVOCATION_BUCKETS;
pub(super) const ROLES: Stripe = Stripe(0);
pub(super) const KEY_SET: Stripe = Stripe(1);
/// The record of imports is written once: it needs no stripe of its own.
pub(super) const IMPORTS: Stripe = KEY_SET;

/// Up to when the view is known to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof(u64);

impl Proof {
    /// Of what is true whatever the store says.
    pub(super) const NEVER_OLD: Self = Self(ALWAYS);
}

/// What the store told so far.
pub(crate) struct Following {
    view: View,
    origin: Instant,
    /// The age of the view, each time just before it is proven anew.
    gaps: Times,
}

impl Following {
    pub(super) fn new() -> Self {
        Self { view: View::new(STRIPES), origin: Instant::now(), gaps: Times::default() }
    }

    pub(super) fn birth(&self) -> Birth {
        self.view.birth()
    }

    pub(super) fn is_unchanged(&self, stripe: Stripe, birth: Birth) -> bool {
        self.view.is_unchanged(stripe, birth)
    }

    pub(super) fn proof(&self) -> Proof {
        Proof(self.view.proof())
    }

    /// What a read proves that is sent now.
    pub(super) fn of_a_read(&self) -> Proof {
        // 0 is no proof.
        Proof(self.now().max(1))
    }

    /// How old the proof is by now; `None`: there is none.
    pub(super) fn age(&self, proof: Proof) -> Option<Duration> {
        match proof.0 {
            0 => None,
            ALWAYS => Some(Duration::ZERO),
            nanos => Some(Duration::from_nanos(self.now().saturating_sub(nanos))),
        }
    }

    pub(super) const fn gaps(&self) -> &Times {
        &self.gaps
    }

    fn now(&self) -> u64 {
        self.nanos(Instant::now())
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(nanos).unwrap_or(ALWAYS - 1)
    }
}

/// The stripe of a key that is held; `None`: the verifier never reads it.
pub(super) fn stripe(key: &Key) -> Option<Stripe> {
    Some(match key {
        Key::Roles => ROLES,
        Key::KeySet => KEY_SET,
        Key::Imports => IMPORTS,
        Key::Revocations(bucket) => Stripe(2 + bucket % REVOCATION_BUCKETS),
        Key::Token(id) => shared(1, id.get()),
        Key::User(id) => shared(2, id.get()),
        Key::Account(id) => shared(3, id.get()),
        _ => return None,
    })
}

/// Ids carry their time in the high bits; the mix spreads a burst of them.
fn shared(kind: u64, id: i64) -> Stripe {
    let mixed = (id.cast_unsigned() ^ (kind << 60)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let place = mixed % u64::from(STRIPES - OWN_STRIPES);
    Stripe(OWN_STRIPES + u16::try_from(place).unwrap_or_default())
}

impl Changes for Following {
    fn changed(&self, key: &Key) {
        if let Some(stripe) = stripe(key) {
            self.view.change(stripe);
        }
    }

    fn all_changed(&self) {
        self.view.change_all();
    }

    fn proven(&self, instant: Instant) {
        if let Some(gap) = self.age(self.proof()) {
            self.gaps.observe(gap);
        }
        self.view.prove(self.nanos(instant));
    }

    fn always_proven(&self) {
        self.view.prove(ALWAYS);
    }
}
