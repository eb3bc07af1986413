//! What the verifier tells of itself at `GET /metrics`.
//!
//! The hot path pays one addition to a counter that its thread alone writes, and a look at
//! the clock for one call in 64 (`tessera_serve::metrics::Tally`). All else is counted on the ordinary path,
//! or read at the scrape.

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
        histogram,
    },
    room::Rooms,
    tls::Tls,
    trace::Traces,
};
use tessera_shared::examine::Reason;

use crate::{answers::GuardAnswers, front::VERIFY, memory::Memory};

/// The verdicts, with the names that the contract gives the reasons.
const VERDICTS: [&str; 13] = [
    "granted",
    "malformed",
    "unknown",
    "expired",
    "not_yet_valid",
    "revoked",
    "principal_disabled",
    "wrong_audience",
    "insufficient_scope",
    "address_not_allowed",
    "bad_signature",
    "wrong_type",
    "wrong_issuer",
];

/// The place of a reason among [`VERDICTS`].
const fn place_of(reason: Reason) -> usize {
    match reason {
        Reason::Malformed => 1,
        Reason::Unknown => 2,
        Reason::Expired => 3,
        Reason::NotYetValid => 4,
        Reason::Revoked | Reason::Replaced(_) => 5,
        Reason::PrincipalDisabled => 6,
        Reason::WrongAudience => 7,
        Reason::InsufficientScope => 8,
        Reason::AddressNotAllowed => 9,
        Reason::BadSignature => 10,
        Reason::WrongType => 11,
        Reason::WrongIssuer => 12,
    }
}

/// How often each verdict was given, the hot path's excepted, which are grants.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verdicts(Arc<[AtomicU64; VERDICTS.len()]>);

impl Verdicts {
    pub(crate) fn granted(&self, tokens: u64) {
        let [granted, ..] = &*self.0;
        granted.fetch_add(tokens, Relaxed);
    }

    pub(crate) fn denied(&self, reason: Reason) {
        if let Some(count) = self.0.get(place_of(reason)) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// What is read at each scrape.
pub(crate) struct Read {
    pub(crate) memory: Arc<Memory>,
    pub(crate) verdicts: Verdicts,
    pub(crate) calls: Arc<Calls>,
    pub(crate) pages: Arc<Pages>,
    pub(crate) answers: GuardAnswers,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").finish_non_exhaustive()
    }
}

/// All metrics of a verifier.
pub(crate) fn all(
    read: Read,
    store: Arc<StoreTimes>,
    rooms: Rooms,
    tls: Option<Arc<Tls>>,
    traces: &Traces,
) -> Arc<Metrics> {
    let mut metrics = Metrics::new("verifier");
    metrics.collect(read.calls.clone());
    metrics.collect(read.pages.clone());
    metrics.collect(read.answers.clone());
    metrics.collect(store);
    metrics.collect(rooms);
    if let Some(tls) = tls {
        metrics.collect(tls);
    }
    metrics.collect_traces(traces);
    metrics.collect(read);
    Arc::new(metrics)
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let quick = self.calls.tallied(VERIFY);
        self.encode_answers(&mut encoder, quick)?;
        self.encode_memory(&mut encoder, quick)
    }
}

impl Read {
    fn encode_answers(&self, encoder: &mut DescriptorEncoder<'_>, quick: u64) -> fmt::Result {
        let verdicts = VERDICTS.iter().zip(&*self.verdicts.0).map(|(reason, count)| {
            let more = if *reason == "granted" { quick } else { 0 };
            ([("reason", *reason)], count.load(Relaxed) + more)
        });
        let help = "Tokens examined: granted, or why they were denied";
        counter(encoder, "tessera_verifier_verdicts", help, verdicts)
    }

    fn encode_memory(&self, encoder: &mut DescriptorEncoder<'_>, quick: u64) -> fmt::Result {
        let memory = &self.memory;
        let [hits, misses] = memory.counts.hits_and_misses();
        let help =
            "Tokens answered without the store (hit), and those that it was asked for (miss)";
        let counts = [([("result", "hit")], hits + quick), ([("result", "miss")], misses)];
        counter(encoder, "tessera_verifier_cache_requests", help, counts)?;
        let held = memory.held();
        let entries = held.iter().map(|held| ([("kind", held.kind)], held.entries));
        gauge(encoder, "tessera_verifier_cache_entries", "Tokens held in memory", entries)?;
        let bytes = held.iter().map(|held| ([("kind", held.kind)], held.bytes));
        gauge(encoder, "tessera_verifier_cache_bytes", "Memory that held tokens take", bytes)?;
        let one = |value: f64| [(NO_LABELS, value)];
        let help =
            "How old the view of the store is; above the bound every question goes to the store";
        gauge(encoder, "tessera_verifier_view_age_seconds", help, one(memory.view_age_seconds()))?;
        let help = "How old the view had become each time before it was proven anew: no revocation took longer to be seen";
        let gaps = [(NO_LABELS, vec![(memory.view_gaps(), 1)])];
        histogram(encoder, "tessera_verifier_view_gap_seconds", help, gaps)?;
        let help = "How old the view may be that an answer is given from";
        let bound = one(memory.bound().as_secs_f64());
        gauge(encoder, "tessera_verifier_staleness_bound_seconds", help, bound)
    }
}
