//! Finding out what there is to know of a string: memory first, else the store.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use tessera_shared::{
    examine::Reason,
    jwt,
    opaque::{Form, LONGEST_TOKEN, Presented, TokenHash},
    store::StoreError,
};

use super::{Digest, Found, Known, Memory, facts::Source, following::Proof, learning::rare};

/// Look-ups of one batch that are under way at the same time: enough for a store to
/// pipeline them, and few enough that a batch leaves room for others.
const SIDE_BY_SIDE: usize = 256;
/// How often what has aged while a batch was worked on is looked for again.
const ROUNDS: usize = 3;
/// Signatures of one batch that are checked in a row: about a millisecond of work.
pub(super) const CHECKS_AT_A_TIME: usize = 16;

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
        // Access tokens, and what must be read alone; then what has aged meanwhile.
        for _ in 0..ROUNDS {
            self.find_missing(questions, &mut found).await?;
            for place in &mut found {
                place.take_if(|found| !self.is_fresh(found.proof, self.bound));
            }
            if found.iter().all(Option::is_some) {
                return Ok(found.into_iter().flatten().collect());
            }
        }
        Err(StoreError::Unavailable("the batch took too long to answer".to_owned()))
    }

    /// Finds what is missing, side by side.
    async fn find_missing(
        self: &Arc<Self>,
        questions: &[(&str, Duration)],
        found: &mut [Option<Found>],
    ) -> Result<(), StoreError> {
        let mut missing = questions.iter().zip(found).filter(|(_, found)| found.is_none());
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
                return Ok(());
            }
            for (place, one) in places.into_iter().zip(try_join_all(finding).await?) {
                *place = Some(one);
            }
            // Other calls of this thread need not wait for all signatures of a batch.
            tokio::task::yield_now().await;
        }
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
        Ok(age.map(|age| Found { known: Some(known), refusal, as_of: now.before(age), proof }))
    }

    /// Learns from the store alone: true of it now, whatever was told.
    async fn learn_alone(self: &Arc<Self>, asked: &Asked) -> Result<Found, StoreError> {
        // Before the read: what the store says afterwards is at least this young.
        let (as_of, proof) = (self.clock.now(), self.following.of_a_read());
        let known = self.learn(Source::Store, asked).await?;
        let refusal = match known.at(as_of) {
            Err(reason) => Some(reason),
            Ok(granted) => match granted.revocable() {
                Some(revocable) => self.facts.end(revocable).await?,
                None => None,
            },
        };
        if !self.is_fresh(proof, self.bound) {
            return Err(StoreError::Unavailable("the store took too long to answer".to_owned()));
        }
        Ok(Found { known: Some(known), refusal, as_of, proof })
    }
}
