//! Failed logins slow down whoever makes them.
//!
//! Two measures. Of one name from one network (/24 of IPv4, /64 of IPv6), some failures
//! in a window, and then one for each share of the window that has passed. Of one name
//! from everywhere, the same with more of them, for networks that never logged in with
//! it: so that many addresses together can't guess, and can't lock out the user who is
//! where the user always is. Nobody is locked out for good.
//!
//! An attempt counts from its beginning, so that many at the same time don't slip
//! through, and is given back unless it fails. A count is one number: when the last of
//! what was counted will be forgiven (the generic cell rate algorithm). All of it is in memory,
//! for each issuer its own; the names in it are as they were typed, and so never logged.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use tessera_shared::clock::Timestamp;

/// Entries of each kind. A hash at a time, no attacker fails often enough to fill it;
/// if it is full all the same, those who failed least are forgotten.
const MOST_ENTRIES: usize = 65_536;

/// How many failures, and in what time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// With one name from one network.
    pub(crate) failures: u32,
    /// With one name from all networks that never logged in with it.
    pub(crate) failures_per_user: u32,
    /// The time in which all of them are forgiven.
    pub(crate) window: Duration,
}

/// A network, as far as one caller is likely to have it alone; `None`: not known.
type Network = Option<IpNet>;

/// Counts failures.
pub(crate) struct Throttle {
    limits: Limits,
    most_entries: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    pairs: HashMap<(String, Network), Pair>,
    names: HashMap<String, Forgiven>,
}

/// When all failures will be forgiven.
#[derive(Clone, Copy, Default)]
struct Forgiven(i64);

/// A name used from a network.
#[derive(Clone, Copy, Default)]
struct Pair {
    failures: Forgiven,
    /// Whether it was the right one once.
    is_known: bool,
}

/// A login that is under way, and counted as a failure until it is found to be none.
#[derive(Debug)]
pub(crate) struct Attempt {
    name: String,
    network: Network,
    of_the_name: bool,
}

impl Throttle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, most_entries: MOST_ENTRIES, counts: Mutex::default() }
    }

    /// Counts an attempt, or says how long to wait until there may be one.
    pub(crate) fn begin(
        &self,
        name: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Attempt, Duration> {
        let network = address.map(network_of);
        let mut counts = self.counts();
        counts.make_room(self.most_entries, now, self.window());
        let key = (name.to_owned(), network);
        let (mut pair, of_name) = counts.of(&key, now.millis() + self.window());
        pair.failures = pair.failures.one_more(now, self.share(), self.window())?;
        let of_the_name = !pair.is_known;
        if of_the_name {
            let of_name = of_name.one_more(now, self.share_of_name(), self.window())?;
            counts.names.insert(name.to_owned(), of_name);
        }
        // Written last: who is refused leaves nothing behind.
        counts.pairs.insert(key, pair);
        Ok(Attempt { name: name.to_owned(), network, of_the_name })
    }

    /// The attempt was a login: its network is known from now on.
    pub(crate) fn succeeded(&self, attempt: Attempt) {
        let mut counts = self.counts();
        let pair = counts.pairs.entry((attempt.name.clone(), attempt.network)).or_default();
        pair.is_known = true;
        self.give_back(&mut counts, &attempt);
    }

    /// Nobody knows whether the attempt was right: an outage, or the end of a queue.
    pub(crate) fn unanswered(&self, attempt: &Attempt) {
        self.give_back(&mut self.counts(), attempt);
    }

    fn give_back(&self, counts: &mut Counts, attempt: &Attempt) {
        if let Some(pair) = counts.pairs.get_mut(&(attempt.name.clone(), attempt.network)) {
            pair.failures.0 -= self.share();
        }
        if attempt.of_the_name
            && let Some(of_name) = counts.names.get_mut(&attempt.name)
        {
            of_name.0 -= self.share_of_name();
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Each change is whole: what a panic elsewhere left behind is usable.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self) -> i64 {
        i64::try_from(self.limits.window.as_millis()).unwrap_or(i64::MAX / 4)
    }

    /// The milliseconds after which one failure is forgiven.
    fn share(&self) -> i64 {
        (self.window() / i64::from(self.limits.failures)).max(1)
    }

    fn share_of_name(&self) -> i64 {
        (self.window() / i64::from(self.limits.failures_per_user)).max(1)
    }
}

impl Forgiven {
    /// With one more of this share, or how long until that fits into the window.
    fn one_more(self, now: Timestamp, share: i64, window: i64) -> Result<Self, Duration> {
        let left = (self.0 - now.millis()).max(0);
        match u64::try_from(left + share - window) {
            Ok(wait @ 1..) => Err(Duration::from_millis(wait)),
            _ => Ok(Self(now.millis() + left + share)),
        }
    }

    fn be_over_by(&mut self, latest: i64) {
        self.0 = self.0.min(latest);
    }

    const fn is_over(self, now: Timestamp) -> bool {
        self.0 <= now.millis()
    }
}

impl Counts {
    /// What is counted, none of it to be forgiven later than `latest`: no clock that was
    /// set back makes anybody wait for longer than the window.
    fn of(&mut self, key: &(String, Network), latest: i64) -> (Pair, Forgiven) {
        let pair = self.pairs.get_mut(key).map(|pair| {
            pair.failures.be_over_by(latest);
            *pair
        });
        let of_name = self.names.get_mut(&key.0).map(|of_name| {
            of_name.be_over_by(latest);
            *of_name
        });
        (pair.unwrap_or_default(), of_name.unwrap_or_default())
    }

    /// Makes an eighth of the room free once there is none: first goes what has nothing to
    /// remember, then what has the least.
    fn make_room(&mut self, most: usize, now: Timestamp, window: i64) {
        if self.pairs.len() >= most {
            self.pairs.retain(|_, pair| pair.is_known || !pair.failures.is_over(now));
            forget_least(&mut self.pairs, most - most / 8, now, window, |pair| pair.failures);
        }
        if self.names.len() >= most {
            forget_least(&mut self.names, most - most / 8, now, window, |forgiven| *forgiven);
        }
    }
}

fn forget_least<K: Eq + Hash, V>(
    entries: &mut HashMap<K, V>,
    most: usize,
    now: Timestamp,
    window: i64,
    failures: impl Fn(&V) -> Forgiven,
) {
    for eighths in 0..=8 {
        if entries.len() <= most {
            return;
        }
        let later = Timestamp::from_millis(now.millis() + window / 8 * eighths);
        entries.retain(|_, entry| !failures(entry).is_over(later));
    }
}

/// An IPv4 caller is likely to have a few addresses of one /24, an IPv6 one a whole /64.
fn network_of(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { 24 } else { 64 };
    IpNet::new(address, length).map_or_else(|_| address.into(), |network| network.trunc())
}
