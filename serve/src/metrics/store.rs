//! Round trips to the store: how many, how long, and how they fail; a span for each that a
//! traced request makes.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tessera_shared::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    store::{Changes, Index, Key, StoreError, StoreReader, StoreWriter, Swap},
    usage::Usage,
};

use super::{
    Collector, DescriptorEncoder,
    exposition::{counter, histogram},
    times::Times,
};
use crate::trace::StoreSpans;

/// What is asked of a store; what an index or a count is asked is one.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Read,
    Swap,
    Index,
    Reserve,
    Beat,
    Usage,
    Garbage,
    Confirm,
}

const OPERATIONS: [(Operation, &str); 8] = [
    (Operation::Read, "read"),
    (Operation::Swap, "swap"),
    (Operation::Index, "index"),
    (Operation::Reserve, "reserve"),
    (Operation::Beat, "beat"),
    (Operation::Usage, "usage"),
    (Operation::Garbage, "garbage"),
    (Operation::Confirm, "confirm"),
];

impl Operation {
    fn name(self) -> &'static str {
        OPERATIONS.get(self as usize).map_or("", |(_, name)| name)
    }
}

const ERRORS: [&str; 4] = ["unavailable", "contended", "damaged", "not_confirmed"];

const fn place_of(error: &StoreError) -> usize {
    match error {
        StoreError::Unavailable(_) => 0,
        StoreError::Contended => 1,
        StoreError::Damaged(_) => 2,
        StoreError::NotConfirmed(_) => 3,
    }
}

fn name_of(error: &StoreError) -> &'static str {
    ERRORS.get(place_of(error)).copied().unwrap_or_default()
}

#[derive(Debug, Default)]
struct Tries {
    times: Times,
    errors: [AtomicU64; ERRORS.len()],
}

/// What was measured of one store.
#[derive(Debug, Default)]
pub struct StoreTimes([Tries; OPERATIONS.len()]);

impl StoreTimes {
    async fn measure<T>(
        &self,
        operation: Operation,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let answer = asked.await;
        if let Some(tries) = self.0.get(operation as usize) {
            tries.times.observe(begun.elapsed());
            let error = answer.as_ref().err().and_then(|error| tries.errors.get(place_of(error)));
            if let Some(errors) = error {
                errors.fetch_add(1, Relaxed);
            }
        }
        answer
    }
}

impl Collector for StoreTimes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let each = || OPERATIONS.iter().zip(&self.0).map(|((_, name), tries)| (*name, tries));
        let times = each().map(|(name, tries)| ([("operation", name)], vec![(&tries.times, 1)]));
        let help = "How long round trips to the store took, failed ones included";
        histogram(&mut encoder, "tessera_store_round_trip_duration_seconds", help, times)?;
        let errors = each().flat_map(|(name, tries)| {
            ERRORS.iter().zip(&tries.errors).map(move |(error, count)| {
                ([("operation", name), ("error", *error)], count.load(Relaxed))
            })
        });
        let help = "Round trips to the store that failed, by what was wrong";
        counter(&mut encoder, "tessera_store_errors", help, errors)
    }
}

/// A store whose round trips are measured and traced.
pub struct MeasuredStore<S: ?Sized> {
    store: Arc<S>,
    times: Arc<StoreTimes>,
    spans: StoreSpans,
}

impl<S: ?Sized> MeasuredStore<S> {
    /// Measures `store`, and traces it.
    pub fn new(store: Arc<S>, times: Arc<StoreTimes>, spans: StoreSpans) -> Self {
        Self { store, times, spans }
    }

    async fn measure<T>(
        &self,
        operation: Operation,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let span = self.spans.begin(operation.name());
        let answer = self.times.measure(operation, asked).await;
        if let Some(span) = span {
            span.end(answer.as_ref().map(drop).map_err(name_of));
        }
        answer
    }
}

#[async_trait]
impl<S: StoreReader + ?Sized> StoreReader for MeasuredStore<S> {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.measure(Operation::Read, self.store.read(keys)).await
    }

    fn follow(&self, changes: Arc<dyn Changes>, interval: Duration) {
        self.store.follow(changes, interval);
    }

    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        self.measure(Operation::Usage, self.store.report_usage(notes)).await
    }
}

#[async_trait]
impl<S: StoreWriter + ?Sized> StoreWriter for MeasuredStore<S> {
    async fn swap(
        &self,
        key: &Key,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        garbage_at: Option<Timestamp>,
    ) -> Result<Swap, StoreError> {
        let asked = self.store.swap(key, expected, new, garbage_at);
        self.measure(Operation::Swap, asked).await
    }

    async fn index_add(&self, index: Index, id: i64) -> Result<(), StoreError> {
        self.measure(Operation::Index, self.store.index_add(index, id)).await
    }

    async fn index_remove(&self, index: Index, id: i64) -> Result<(), StoreError> {
        self.measure(Operation::Index, self.store.index_remove(index, id)).await
    }

    async fn index_page(
        &self,
        index: Index,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        self.measure(Operation::Index, self.store.index_page(index, after, limit)).await
    }

    async fn reserve(
        &self,
        account: AccountId,
        token: TokenId,
        live_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<bool, StoreError> {
        let asked = self.store.reserve(account, token, live_until, now, limit);
        self.measure(Operation::Reserve, asked).await
    }

    async fn release(&self, account: AccountId, token: TokenId) -> Result<(), StoreError> {
        self.measure(Operation::Reserve, self.store.release(account, token)).await
    }

    async fn reserved(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        self.measure(Operation::Reserve, self.store.reserved(account, now, limit)).await
    }

    async fn confirm(&self, key: &Key) -> Result<(), StoreError> {
        self.measure(Operation::Confirm, self.store.confirm(key)).await
    }

    async fn beat(&self) -> Result<(), StoreError> {
        self.measure(Operation::Beat, self.store.beat()).await
    }

    async fn merge_reported(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.measure(Operation::Usage, self.store.merge_reported(now)).await
    }

    async fn usage(&self, tokens: &[TokenId]) -> Result<Vec<Usage>, StoreError> {
        self.measure(Operation::Usage, self.store.usage(tokens)).await
    }

    async fn forget_usage(&self, tokens: &[TokenId]) -> Result<(), StoreError> {
        self.measure(Operation::Usage, self.store.forget_usage(tokens)).await
    }

    async fn collect_garbage(&self, now: Timestamp) -> Result<(), StoreError> {
        self.measure(Operation::Garbage, self.store.collect_garbage(now)).await
    }
}
