//! Asking the store: what memory has not, or may not say.

use std::{pin::Pin, slice, sync::Arc};

use tessera_shared::{
    clock::Timestamp,
    examine::{
        Finding,
        access::{self, Revocable},
        permanent::Claimed,
    },
    jwt::{self, Rejection, VerifyingKeys},
    opaque::{Presented, TokenHash},
    record::PermanentToken,
    store::{Key, StoreError, records},
};

use super::{
    Digest, Known, Memory,
    facts::Source,
    finding::Asked,
    flights::Flight,
    following::{KEY_SET, ROLES, stripe},
    view::Birth,
};

/// A store that answers with another number of values than it was asked for.
pub(super) const SHORT: StoreError = StoreError::Damaged("an answer of the store");

/// A step that few questions take, in a box: else each question would carry the room for it
/// from place to place.
pub(super) fn rare<F: Future>(step: F) -> Pin<Box<F>> {
    Box::pin(step)
}

impl Memory {
    pub(super) async fn learn(
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

    pub(super) async fn learn_permanent(
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
