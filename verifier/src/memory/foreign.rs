//! Strings that are of no form of ours: tokens that were imported by their hash, if any were.
//!
//! That none were is held, and told of when it changes: a flood of bogus strings then reads
//! nothing. Where some were, a string that is not held costs a read, as one of our own form
//! does; there is nothing to hold of one that leads nowhere.

use std::{sync::Arc, time::Duration};

use tessera_shared::{
    clock::Timestamp,
    examine::Reason,
    opaque::{Presented, TokenHash},
    record::Foreign,
    store::{Key, StoreError, records},
};

use super::{Digest, Found, Memory, facts::Source, finding::Asked};

/// Where a string leads.
enum Lead {
    To(Presented),
    /// Nowhere, as the store was at this instant or later.
    Nowhere(Timestamp),
}

impl Memory {
    /// What there is to know of a string that has no form of ours, for this `reason`.
    ///
    /// # Errors
    /// When the store had to be asked and could not answer.
    pub(super) async fn find_foreign(
        self: &Arc<Self>,
        token: &str,
        reason: Reason,
        limit: Duration,
    ) -> Result<Found, StoreError> {
        let now = self.clock.now();
        let Some(hash) = self.opaque.foreign(token) else { return Ok(Found::of_form(reason, now)) };
        if let Some(found) = self.recall(&Digest::from(&hash), now, limit) {
            return Ok(found);
        }
        match self.lead(&hash, limit).await? {
            Lead::To(presented) => self.seek(&Asked::Permanent(presented), limit).await,
            Lead::Nowhere(as_of) => Ok(Found::of_form(reason, as_of)),
        }
    }

    /// Where the string of this hash leads, from a view that has aged `limit` at most.
    async fn lead(&self, hash: &TokenHash, limit: Duration) -> Result<Lead, StoreError> {
        let proof = self.following.proof();
        let now = self.clock.now();
        let may_recall = self.is_fresh(proof, limit);
        let source = if may_recall { Source::Memory } else { Source::Store };
        if !self.facts.has_imports(source).await? {
            let age = self.following.age(proof).filter(|_| may_recall);
            return Ok(Lead::Nowhere(now.before(age.unwrap_or_default())));
        }
        let key = Key::Foreign(*hash.as_bytes());
        Ok(match records::load::<Foreign>(&*self.store, key).await? {
            Some(lead) => Lead::To(Presented { id: lead.id()?, hash: *hash }),
            None => Lead::Nowhere(now),
        })
    }
}
