//! The verifier's memory: what was found about tokens, and whether it still holds.
//!
//! | module | what lives there |
//! |---|---|
//! | `view` | the core: births, stripes, proof; no clock, no store |
//! | `following` | the view as the store's follower |
//! | `known` | what is held of one token, with its answer encoded |
//! | `facts` | what many tokens share: owners, catalogue, keys, revocations |
//! | `flights` | look-ups under way: once for all who ask the same, together for who ask at once |
//! | `foreign` | strings of other systems |
//! | `finding` | what a question gets: from memory, or else from the store |
//! | `learning` | asking the store |
//! | `counts` | how often memory could answer, for the metrics |
//!
//! An answer is given from memory only if, *after* it was worked out, the proof that it
//! began from is younger than the staleness bound (or than the caller's own). Else, and
//! whenever nothing is held, the store is read. Errors are never held.

mod counts;
mod facts;
mod finding;
mod flights;
mod following;
mod foreign;
mod known;
mod learning;
#[cfg(test)]
mod tests;
mod view;

/// The view's primitives: the test of its interleavings puts others in their place.
mod sync {
    pub(super) use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };
}

use std::{hash::Hash, sync::Arc, time::Duration};

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use tessera_shared::{
    clock::{Clock, Timestamp},
    examine::Reason,
    opaque::Opaque,
    store::{Changes, StoreError, StoreReader},
    usage::UsageNotes,
};

pub(crate) use self::known::{Digest, Granted, Known};
use self::{
    counts::Counts,
    facts::Facts,
    flights::Flights,
    following::{Following, Proof},
    known::Grant,
};

/// How many times in a staleness bound it is looked whether the view is complete.
const LOOKS_PER_BOUND: u32 = 16;
/// Of the memory for tokens, the part for refused ones: a flood of them can push out
/// each other, and no good one.
const REFUSED_PART: u64 = 16;
/// Of the memory for tokens, the part for combinations of role, scopes and audiences, which
/// are held once for all their tokens.
const GRANTS_PART: u64 = 16;
/// What a token takes, about, and a grant, in bytes.
const TOKEN: u64 = 300;
const GRANT: u64 = 1000;
/// For how many entries a map is laid out at least.
const FEWEST: usize = 1000;
/// What one more token costs in the map itself, in bytes, as measured.
const MAP_OVERHEAD: usize = 80;

type Tokens = Cache<Digest, Arc<Known>, Size>;

/// What a verifier knows.
pub(crate) struct Memory {
    store: Arc<dyn StoreReader>,
    clock: Arc<dyn Clock>,
    opaque: Opaque,
    bound: Duration,
    following: Arc<Following>,
    facts: Facts,
    granted: Tokens,
    refused: Tokens,
    grants: Cache<Box<[u8]>, Arc<Grant>, Size>,
    flights: Flights,
    /// Of questions that ask for the store as it is now.
    strong_flights: Flights,
    pub(crate) counts: Counts,
}

/// What was found, whatever was asked.
pub(crate) struct Found {
    /// `None`: the form alone decides.
    known: Option<Arc<Known>>,
    /// Why the token is refused, if it is.
    refusal: Option<Reason>,
    /// The answer is true of the store at this instant or later.
    pub(crate) as_of: Timestamp,
    /// The same instant, of a clock that nobody sets.
    proof: Proof,
}

impl Found {
    fn of_form(reason: Reason, now: Timestamp) -> Self {
        Self { known: None, refusal: Some(reason), as_of: now, proof: Proof::NEVER_OLD }
    }

    /// Notes that it was granted at `now`.
    pub(crate) fn note_use(&self, notes: &UsageNotes, now: Timestamp) {
        if let Some(known) = &self.known {
            known.note_use(notes, now);
        }
    }

    /// What is granted, or why the token is refused, whatever is asked.
    #[inline]
    pub(crate) fn verdict(&self, now: Timestamp) -> Result<&Granted, Reason> {
        match (&self.known, self.refusal) {
            (Some(known), None) => known.at(now),
            (_, refusal) => Err(refusal.unwrap_or(Reason::Unknown)),
        }
    }
}

#[derive(Clone)]
struct Size;

impl Weighter<Digest, Arc<Known>> for Size {
    fn weight(&self, _: &Digest, known: &Arc<Known>) -> u64 {
        (known.size() + MAP_OVERHEAD) as u64
    }
}

impl Weighter<Box<[u8]>, Arc<Grant>> for Size {
    fn weight(&self, key: &Box<[u8]>, grant: &Arc<Grant>) -> u64 {
        (grant.size() + key.len() + MAP_OVERHEAD) as u64
    }
}

impl Memory {
    /// A memory of at most about `bytes` for tokens, that follows `store`.
    pub(crate) fn new(
        store: Arc<dyn StoreReader>,
        clock: Arc<dyn Clock>,
        opaque: Opaque,
        bound: Duration,
        bytes: u64,
    ) -> Arc<Self> {
        let following = Arc::new(Following::new());
        let memory = Arc::new(Self {
            facts: Facts::new(store.clone(), following.clone()),
            store,
            clock,
            opaque,
            bound,
            following,
            granted: held(bytes - bytes / REFUSED_PART - bytes / GRANTS_PART, TOKEN),
            refused: held(bytes / REFUSED_PART, TOKEN),
            grants: held(bytes / GRANTS_PART, GRANT),
            flights: Flights::default(),
            strong_flights: Flights::default(),
            counts: Counts::default(),
        });
        let follower: Arc<dyn Changes> = memory.following.clone();
        memory.store.follow(follower, bound / LOOKS_PER_BOUND);
        memory
    }

    /// Reads what is small and always needed.
    pub(crate) async fn warm(&self) -> Result<(), StoreError> {
        self.facts.warm().await
    }

    /// Begins to look at what is held, at `now`.
    #[inline]
    pub(crate) fn look(&self, now: Timestamp) -> Look<'_> {
        // Before anything that it is to cover.
        Look { memory: self, proof: self.following.proof(), now }
    }

    /// What is known of the token with no look at the store; `None`: not enough. The
    /// view may have aged `limit` at most, and never more than the bound.
    fn recall(&self, digest: &Digest, now: Timestamp, limit: Duration) -> Option<Found> {
        let look = self.look(now);
        let (known, refusal) = look.at(digest)?;
        let as_of = look.as_of(limit)?;
        let found = Found { known: Some(known), refusal, as_of, proof: look.proof };
        self.counts.hits(1);
        Some(found)
    }

    /// Whether nothing that it rests on was told to have changed.
    #[inline]
    fn holds(&self, known: &Known) -> bool {
        let stripes = known.stripes().iter().copied();
        stripes.into_iter().all(|stripe| self.following.is_unchanged(stripe, known.birth()))
    }

    fn is_fresh(&self, proof: Proof, limit: Duration) -> bool {
        self.following.age(proof).is_some_and(|age| age <= limit.min(self.bound))
    }

    /// The one that stands for all grants like it, and whether that is this one.
    fn share(&self, grant: Grant) -> (Arc<Grant>, bool) {
        if let Some(shared) = self.grants.get(&grant.encoded) {
            return (shared, false);
        }
        let grant = Arc::new(grant);
        self.grants.insert(grant.encoded.clone(), grant.clone());
        (grant, true)
    }

    fn hold(&self, digest: Digest, known: &Arc<Known>) {
        if known.is_granted() {
            // A refusal that is still in the other map is not looked at before this.
            self.granted.insert(digest, known.clone());
        } else {
            self.refused.insert(digest, known.clone());
            self.granted.remove(&digest);
        }
    }
}

/// A look at what is held. What it finds may be told once [`Look::as_of`], called last,
/// says how old it is.
pub(crate) struct Look<'a> {
    memory: &'a Memory,
    proof: Proof,
    now: Timestamp,
}

impl Look<'_> {
    /// When it began.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// What is held of the token, and why it is refused, if it is; `None`: not enough is
    /// held.
    #[inline]
    pub(crate) fn at(&self, digest: &Digest) -> Option<(Arc<Known>, Option<Reason>)> {
        let Memory { granted, refused, .. } = self.memory;
        self.judge(granted.get(digest).or_else(|| refused.get(digest))?)
    }

    /// As [`Self::at`] of an access token that is not held, if its signature can be
    /// checked with what is.
    pub(crate) fn at_signature(
        &self,
        token: &str,
        digest: Digest,
    ) -> Option<(Arc<Known>, Option<Reason>)> {
        // Else all would be done again with what the store has.
        if !self.memory.is_fresh(self.proof, Duration::MAX) {
            return None;
        }
        self.judge(self.memory.learn_at_once(token, digest)?)
    }

    fn judge(&self, known: Arc<Known>) -> Option<(Arc<Known>, Option<Reason>)> {
        if !self.memory.holds(&known) {
            return None;
        }
        let refusal = match known.at(self.now) {
            Err(reason) => Some(reason),
            Ok(granted) => match granted.revocable() {
                Some(revocable) => self.memory.facts.known_end(revocable)?,
                None => None,
            },
        };
        Some((known, refusal))
    }

    /// The instant that all that was found is true of, or of a later one; `None`: by now
    /// that is longer ago than `limit` or the bound.
    #[inline]
    pub(crate) fn as_of(&self, limit: Duration) -> Option<Timestamp> {
        let age = self.memory.following.age(self.proof)?;
        (age <= limit.min(self.memory.bound)).then(|| self.now.before(age))
    }
}

/// Of at most so many bytes, in entries of about that size.
fn held<K: Eq + Hash, V: Clone>(bytes: u64, each: u64) -> Cache<K, V, Size>
where
    Size: Weighter<K, V>,
{
    let items = usize::try_from(bytes / each).unwrap_or(usize::MAX).max(FEWEST);
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(items).weight_capacity(bytes);
    match options.build() {
        Ok(options) => Cache::with_options(
            options,
            Size,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ),
        // Both that it asks for are given.
        Err(_) => Cache::with_weighter(items, bytes, Size),
    }
}
