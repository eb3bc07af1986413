//! The look-ups under way, so that many who ask the same ask once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use tessera_shared::store::StoreError;

use super::{Digest, Known};

/// Below this many, none is let go of that nobody waits for.
const FEW: usize = 1024;

pub(super) type Learned = Result<Arc<Known>, StoreError>;
pub(super) type Flight = Shared<BoxFuture<'static, Learned>>;

/// The look-ups under way.
pub(super) struct Flights(Mutex<UnderWay>);

struct UnderWay {
    flights: HashMap<Digest, WeakShared<BoxFuture<'static, Learned>>>,
    /// When there are so many, those are let go of that nobody waits for. It is twice what
    /// was left the last time: to look through them all costs each a constant share, also
    /// when a store that hangs holds up every one.
    crowd: usize,
}

impl Flights {
    pub(super) fn new() -> Self {
        Self(Mutex::new(UnderWay { flights: HashMap::new(), crowd: FEW }))
    }

    /// The look-up under way for this, or else `start`ed now. It goes on for as long as
    /// one of those who wait for it does.
    pub(super) fn join(
        &self,
        digest: Digest,
        start: impl FnOnce() -> BoxFuture<'static, Learned>,
    ) -> Flight {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.flights.get(&digest).and_then(WeakShared::upgrade) {
            return flight;
        }
        if under_way.flights.len() >= under_way.crowd {
            under_way.flights.retain(|_, flight| flight.upgrade().is_some());
            under_way.crowd = FEW.max(2 * under_way.flights.len());
        }
        let flight = start().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.flights.insert(digest, weak);
        }
        flight
    }

    pub(super) fn landed(&self, digest: &Digest) {
        self.lock().flights.remove(digest);
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tessera_shared::opaque::TokenHash;

    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::from(&TokenHash::of(&number.to_string()))
    }

    fn begin(flights: &Flights, numbers: std::ops::Range<usize>) -> Vec<Flight> {
        numbers.map(|number| flights.join(digest(number), || pending().boxed())).collect()
    }

    #[test]
    fn many_under_way_are_seldom_looked_through() {
        let flights = Flights::new();
        let mut waiting = Vec::new();
        let mut looks = 0;
        for number in 0..20 * FEW {
            let before = flights.lock().crowd;
            waiting.extend(begin(&flights, number..number + 1));
            looks += usize::from(flights.lock().crowd != before);
        }
        assert_eq!(looks, 5, "at 1, 2, 4, 8 and 16 times as many");
    }

    #[test]
    fn those_that_nobody_waits_for_are_let_go_of() {
        let flights = Flights::new();
        let come_and_go = |numbers: std::ops::Range<usize>| {
            for number in numbers {
                drop(begin(&flights, number..number + 1));
            }
            assert!(flights.lock().flights.len() <= FEW);
        };
        come_and_go(0..10 * FEW);
        let crowd = begin(&flights, 10 * FEW..20 * FEW);
        assert!(flights.lock().flights.len() >= crowd.len());
        drop(crowd);
        come_and_go(20 * FEW..50 * FEW);
    }
}
