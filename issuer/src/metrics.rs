//! What the issuer tells of itself at `GET /metrics`.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tessera_serve::{
    metrics::{
        Calls, Collector, DescriptorEncoder, Metrics, NO_LABELS, Pages, StoreTimes, counter, gauge,
    },
    room::Rooms,
    tls::Tls,
    trace::Traces,
};
use tessera_shared::keys::KeyState;

use crate::{core::Core, durability::Found, failure::Failure};

/// How logins end: `failed` is a wrong name or password, `throttled` one too many of them,
/// `shed` a full queue of password checks, and `unanswered` anything else.
const ENDS: [&str; 5] = ["succeeded", "failed", "throttled", "shed", "unanswered"];

/// How often logins ended how.
#[derive(Debug, Default)]
pub(crate) struct Logins([AtomicU64; ENDS.len()]);

impl Logins {
    /// Counts one that ended so.
    pub(crate) fn count<T>(&self, ended: &Result<T, Failure>) {
        let place = match ended {
            Ok(_) => 0,
            Err(Failure::LoginFailed) => 1,
            Err(Failure::LoginThrottled(_)) => 2,
            Err(Failure::TooManyLogins) => 3,
            Err(_) => 4,
        };
        if let Some(count) = self.0.get(place) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// What is read at each scrape.
pub(crate) struct Read {
    pub(crate) core: Arc<Core>,
    pub(crate) durability: Found,
    pub(crate) calls: Arc<Calls>,
    pub(crate) pages: Arc<Pages>,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").finish_non_exhaustive()
    }
}

/// All metrics of an issuer.
pub(crate) fn all(
    read: Read,
    store: Arc<StoreTimes>,
    rooms: Rooms,
    tls: Option<Arc<Tls>>,
    traces: &Traces,
) -> Arc<Metrics> {
    let mut metrics = Metrics::new("issuer");
    metrics.collect(read.calls.clone());
    metrics.collect(read.pages.clone());
    metrics.collect(store);
    metrics.collect(rooms);
    if let Some(tls) = tls {
        metrics.collect(tls);
    }
    metrics.collect_traces(traces);
    metrics.collect(read.durability.clone());
    metrics.collect(read);
    Arc::new(metrics)
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let ends = ENDS.iter().zip(&self.core.logins.0);
        let logins = ends.map(|(end, count)| ([("result", *end)], count.load(Relaxed)));
        counter(&mut encoder, "tessera_issuer_logins", "Logins, by how they ended", logins)?;
        self.encode_keys(&mut encoder)
    }
}

impl Read {
    /// The states are those of the set as last read, which is a second old at most while the
    /// store answers.
    fn encode_keys(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(held) = self.core.keys.present() else { return Ok(()) };
        let keys = &held.set.keys;
        let states = [
            ("published", KeyState::Published),
            ("signing", KeyState::Signing),
            ("retired", KeyState::Retired),
        ];
        let counts = states.map(|(name, state)| {
            let count = keys.iter().filter(|entry| entry.state == state).count();
            ([("state", name)], count as f64)
        });
        gauge(encoder, "tessera_issuer_signing_keys", "Signing keys, by state", counts)?;
        let seconds = |millis: i64| millis as f64 / 1000.0;
        let now = self.core.now().millis();
        if let Some(signing) = held.set.signing() {
            let age = seconds(now - signing.signs_at.millis()).max(0.0);
            let help = "How long the key that signs has done so";
            gauge(encoder, "tessera_issuer_signing_key_age_seconds", help, [(NO_LABELS, age)])?;
        }
        let age = seconds(now - held.seen_at().millis()).max(0.0);
        let help =
            "How long ago the key set was read; nothing is signed under one older than a second";
        gauge(encoder, "tessera_issuer_key_set_age_seconds", help, [(NO_LABELS, age)])
    }
}
