//! Asking the store: what memory has not, or may not say.

use std::{pin::Pin, slice, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use tessera_shared::{
    clock::Timestamp,
    examine::{
        Finding, Reason,
        access::{self, Revocable},
        permanent::Claimed,
    },
    jwt::{self, Rejection, VerifyingKeys},
    opaque::{Form, LONGEST_TOKEN, Presented, TokenHash},
    record::PermanentToken,
    store::{Key, StoreError, records},
};

use super::{
    Digest, Found, Known, Memory,
    facts::Source,
    flights::Flight,
    following::{KEY_SET, Proof, ROLES, stripe},
    view::Birth,
};

/// A store that answers with another number of values than it was asked for.
const SHORT: StoreError = StoreError::Damaged("an answer of the store");
/// Look-ups of one batch that are under way at the same time: enough for a store to
/// pipeline them, and few enough that a batch leaves room for others.
const SIDE_BY_SIDE: usize = 256;
/// Signatures of one batch that are checked in a row: about a millisecond of work.
pub(super) const CHECKS_AT_A_TIME: usize = 16;

/// A step that few questions take, in a box: else each question would carry the room for it
/// from place to place.
fn rare<F: Future>(step: F) -> Pin<Box<F>> {
    Box::pin(step)
}

/// A token that may be good, by its form.
#[derive(Clone)]
pub(crate) enum Asked {
    Permanent(Presented),
    Access(Arc<str>, TokenHash),
}

impl Asked {
    pub(crate) fn digest(&self) -> Digest {
        match self {
            Self::Permanent(presented) => Digest::from(&presented.hash),
            Self::Access(_, hash) => Digest::from(hash),
        }
    }
}

impl Memory {
    /// What a string has the form of.
    ///
    /// # Errors
    /// Why it can't be good, whatever the store says.
    pub(crate) fn asked(&self, token: &str) -> Result<Asked, Reason> {
        self.asked_hashed(token, || TokenHash::of(token))
    }

    fn asked_hashed(&self, token: &str, hash: impl Fn() -> TokenHash) -> Result<Asked, Reason> {
        if token.len() > LONGEST_TOKEN {
            return Err(Reason::Malformed);
        }
        match self.opaque.parse_hashed(token, &hash) {
            Some(Form::Permanent(presented)) => Ok(Asked::Permanent(presented)),
            Some(Form::Refresh(_)) => Err(Reason::WrongType),
            None if jwt::looks_like_jwt(token) => Ok(Asked::Access(token.into(), hash())),
            None => Err(Reason::Malformed),
        }
    }

    /// What there is to know of the token, from a view that has aged `limit` at most, and
    /// never more than the bound.
    ///
    /// # Errors
    /// When the store had to be asked and could not answer.
    pub(crate) async fn find(
        self: &Arc<Self>,
        token: &str,
        limit: Duration,
    ) -> Result<Found, StoreError> {
        let now = self.clock.now();
        let asked = match self.asked(token) {
            Ok(asked) => asked,
            Err(reason) => return rare(self.find_foreign(token, reason, limit)).await,
        };
        match self.recall(&asked.digest(), now, limit) {
            Some(found) => Ok(found),
            None => self.seek(&asked, limit).await,
        }
    }

    /// As [`Self::find`], of a token that was just looked for in vain by its `hash`.
    ///
    /// # Errors
    /// When the store had to be asked and could not answer.
    pub(crate) async fn find_unheld(
        self: &Arc<Self>,
        token: &str,
        hash: TokenHash,
        limit: Duration,
    ) -> Result<Found, StoreError> {
        match self.asked_hashed(token, || hash) {
            Ok(asked) => self.seek(&asked, limit).await,
            Err(reason) => rare(self.find_foreign(token, reason, limit)).await,
        }
    }

    /// Learns the token, from what is held or at least from the store.
    ///
    /// # Errors
    /// When the store had to be asked and could not answer.
    pub(super) async fn seek(
        self: &Arc<Self>,
        asked: &Asked,
        limit: Duration,
    ) -> Result<Found, StoreError> {
        self.counts.misses(1);
        match self.learn_together(asked, limit).await? {
            Some(found) => Ok(found),
            None => rare(self.learn_alone(asked)).await,
        }
    }

    /// As [`Self::find`] for each, and all permanent tokens in one look-up.
    ///
    /// # Errors
    /// When the store had to be asked and could not answer.
    pub(crate) async fn find_all(
        self: &Arc<Self>,
        questions: &[(&str, Duration)],
    ) -> Result<Vec<Found>, StoreError> {
        let proof = self.following.proof();
        let now = self.clock.now();
        let mut found: Vec<Option<Found>> = Vec::with_capacity(questions.len());
        let mut missing = Vec::new();
        for (place, (token, limit)) in questions.iter().enumerate() {
            found.push(match self.asked(token) {
                // What may be of another system is asked for below.
                Err(reason) => {
                    let is_foreign = self.opaque.foreign(token).is_some();
                    (!is_foreign).then(|| Found::of_form(reason, now))
                }
                Ok(asked) => {
                    let recalled = self.recall(&asked.digest(), now, *limit);
                    if let (None, Asked::Permanent(presented)) = (&recalled, asked)
                        && self.is_fresh(proof, *limit)
                    {
                        missing.push((place, presented));
                    }
                    recalled
                }
            });
        }
        let presented: Vec<_> = missing.iter().map(|(_, presented)| presented.clone()).collect();
        let learned = self.learn_permanent(Source::Memory, &presented).await?;
        for ((place, _), known) in missing.into_iter().zip(learned) {
            let limit = questions.get(place).map_or(Duration::ZERO, |(_, limit)| *limit);
            if let Some(place) = found.get_mut(place) {
                *place = self.conclude(known, proof, limit).await?;
                // What is not concluded is found, and counted, below.
                self.counts.misses(u64::from(place.is_some()));
            }
        }
        // Access tokens, and what must be read alone: those are asked side by side.
        let mut missing = questions.iter().zip(&mut found).filter(|(_, found)| found.is_none());
        loop {
            let (mut places, mut finding, mut checks) = (Vec::new(), Vec::new(), 0);
            while places.len() < SIDE_BY_SIDE
                && checks < CHECKS_AT_A_TIME
                && let Some(((token, limit), place)) = missing.next()
            {
                checks += usize::from(jwt::looks_like_jwt(token));
                places.push(place);
                finding.push(self.find(token, *limit));
            }
            if places.is_empty() {
                break;
            }
            for (place, one) in places.into_iter().zip(try_join_all(finding).await?) {
                *place = Some(one);
            }
            // Other calls of this thread need not wait for all signatures of a batch.
            tokio::task::yield_now().await;
        }
        found.into_iter().map(|found| found.ok_or(SHORT)).collect()
    }

    /// Learns from what is held and from the store. `None`: the view is too old for that,
    /// or changed meanwhile.
    async fn learn_together(
        self: &Arc<Self>,
        asked: &Asked,
        limit: Duration,
    ) -> Result<Option<Found>, StoreError> {
        let proof = self.following.proof();
        if !self.is_fresh(proof, limit) {
            return Ok(None);
        }
        let known = self.learn(Source::Memory, asked).await?;
        self.conclude(known, proof, limit).await
    }

    /// Whether `known`, learned since `proof` was taken, may be told. Its read may have
    /// been sent before the question came: then a change told meanwhile speaks against it.
    async fn conclude(
        &self,
        known: Arc<Known>,
        proof: Proof,
        limit: Duration,
    ) -> Result<Option<Found>, StoreError> {
        let now = self.clock.now();
        if !self.holds(&known) {
            return Ok(None);
        }
        let refusal = match known.at(now) {
            Err(reason) => Some(reason),
            Ok(granted) => match granted.revocable() {
                Some(revocable) => match self.facts.known_end(revocable) {
                    Some(end) => end,
                    None => rare(self.facts.end(revocable)).await?,
                },
                None => None,
            },
        };
        let age = self.following.age(proof).filter(|age| *age <= limit.min(self.bound));
        Ok(age.map(|age| Found { known: Some(known), refusal, as_of: now.before(age) }))
    }

    /// Learns from the store alone: true of it now, whatever was told.
    async fn learn_alone(self: &Arc<Self>, asked: &Asked) -> Result<Found, StoreError> {
        // Before the read: what the store says afterwards is at least this young.
        let as_of = self.clock.now();
        let known = self.learn(Source::Store, asked).await?;
        let refusal = match known.at(as_of) {
            Err(reason) => Some(reason),
            Ok(granted) => match granted.revocable() {
                Some(revocable) => self.facts.end(revocable).await?,
                None => None,
            },
        };
        Ok(Found { known: Some(known), refusal, as_of })
    }

    async fn learn(
        self: &Arc<Self>,
        source: Source,
        asked: &Asked,
    ) -> Result<Arc<Known>, StoreError> {
        let presented = match asked {
            Asked::Permanent(presented) => presented,
            // A check of a signature waits for nobody, so nobody else can begin it meanwhile.
            Asked::Access(token, hash) => {
                return rare(self.learn_access(source, token, hash)).await;
            }
        };
        let seat = match source {
            Source::Memory => self.flights.share(presented, |flight| self.fly(source, flight)),
            Source::Store => {
                self.strong_flights.board(presented, |flight| self.fly(source, flight))
            }
        };
        match seat.landed().await? {
            Some(known) => Ok(known),
            None => {
                let alone = rare(self.learn_permanent(source, slice::from_ref(presented)));
                alone.await?.pop().ok_or(SHORT)
            }
        }
    }

    fn fly(self: &Arc<Self>, source: Source, flight: Arc<Flight>) {
        let memory = self.clone();
        tokio::spawn(async move {
            let flights = match source {
                Source::Memory => &memory.flights,
                Source::Store => &memory.strong_flights,
            };
            flight
                .fly(flights, async |passengers| memory.learn_permanent(source, passengers).await)
                .await;
        });
    }

    async fn learn_permanent(
        &self,
        source: Source,
        presented: &[Presented],
    ) -> Result<Vec<Arc<Known>>, StoreError> {
        if presented.is_empty() {
            return Ok(Vec::new());
        }
        let birth = self.following.birth();
        let keys: Vec<Key> = presented.iter().map(|presented| presented.id.into()).collect();
        let values = self.store.read(&keys).await?;
        let mut claims = Vec::with_capacity(presented.len());
        for (presented, value) in presented.iter().zip(values) {
            let token: Option<PermanentToken> =
                value.as_deref().map(records::decode).transpose()?;
            claims.push(Claimed::of(presented, token));
        }
        let owners: Result<Vec<_>, _> = claims.iter().flatten().map(Claimed::owner).collect();
        let owner_ids = owners?;
        let (owners, catalogue) = match owner_ids.as_slice() {
            [] => (Vec::new(), None),
            some => {
                let (owners, catalogue) = self.facts.owners(source, some).await?;
                (owners, Some(catalogue))
            }
        };
        let mut owners = owner_ids.into_iter().zip(owners);
        let mut learned = Vec::with_capacity(presented.len());
        for (presented, claim) in presented.iter().zip(claims) {
            let token = stripe(&presented.id.into()).unwrap_or(ROLES);
            let known = match claim {
                Err(reason) => Known::refused(reason, birth, [token; 4]),
                Ok(claimed) => {
                    let ((account, user), owner) = owners.next().ok_or(SHORT)?;
                    let catalogue = catalogue.as_ref().ok_or(SHORT)?;
                    let finding = claimed.finding(&owner, &catalogue.value)?;
                    let of = |key: Key| stripe(&key).unwrap_or(ROLES);
                    let stripes = [token, of(account.into()), of(user.into()), ROLES];
                    Known::found(finding, None, birth, stripes, |grant| self.share(grant))
                }
            };
            let known = Arc::new(known);
            self.hold(Digest::from(&presented.hash), &known);
            learned.push(known);
        }
        Ok(learned)
    }

    async fn learn_access(
        &self,
        source: Source,
        token: &str,
        hash: &TokenHash,
    ) -> Result<Arc<Known>, StoreError> {
        let birth = self.following.birth();
        let keys = self.facts.keys(source).await?;
        Ok(self.learn_signed(token, Digest::from(hash), birth, &keys))
    }

    /// What there is to know of an access token under the keys that are held.
    /// `None`: none are.
    pub(super) fn learn_at_once(&self, token: &str, digest: Digest) -> Option<Arc<Known>> {
        let birth = self.following.birth();
        let keys = self.facts.held_keys(Source::Memory)?;
        Some(self.learn_signed(token, digest, birth, &keys))
    }

    fn learn_signed(
        &self,
        token: &str,
        digest: Digest,
        birth: Birth,
        keys: &VerifyingKeys,
    ) -> Arc<Known> {
        let stripes = [KEY_SET; 4];
        let claims = match jwt::verify_signature(token, keys) {
            Ok(claims) => claims,
            Err(rejection) => {
                let known = Arc::new(Known::refused(rejection.into(), birth, stripes));
                // What cost a signature check is kept; the rest is as quickly said again.
                if matches!(rejection, Rejection::BadSignature | Rejection::WrongIssuer) {
                    self.hold(digest, &known);
                }
                return known;
            }
        };
        let revocable = Revocable::from(&claims);
        let good = access::good(claims);
        let token = good.principal.proof.token();
        let finding = Finding { token, replaced_at: Timestamp::NEVER, outcome: Ok(good) };
        let share = |grant| self.share(grant);
        let known = Arc::new(Known::found(finding, Some(revocable), birth, stripes, share));
        self.hold(digest, &known);
        known
    }
}
