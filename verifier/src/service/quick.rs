//! The hot path: a question as it lies in the buffer, answered from memory.
//!
//! Nearly every call ends here. It allocates the answer and nothing else: the token is
//! hashed where it lies, the principal is copied as it was encoded once. What is out
//! of the ordinary in any way (a refusal, an address, a limit on staleness, a field that
//! is wrong or new) is `None`, and takes the ordinary path, which gives the same answers.

use std::{sync::Arc, time::Duration};

use prost::bytes::Bytes;
use tessera_shared::{examine::Reason, jwt, opaque::TokenHash};

use super::{
    Api, LARGEST_BATCH,
    answer::{Answer, batch_message},
    fields::{Entries, Question},
    question::LONGEST_AUDIENCE,
};
use crate::memory::{Digest, Known, Look};

/// A good token alone is longer, in bytes.
const SHORTEST_ENTRY: usize = 64;

/// Why the hot path gives no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unanswered {
    /// The token with this hash was looked for in memory, and there is nothing to tell from
    /// there.
    NotHeld(TokenHash),
    /// Nothing was looked for, or what was found is no plain grant.
    OutOfTheOrdinary,
}

impl Api {
    /// The answer to `Verify`, if the token is good for what is asked, and is held or is an
    /// access token whose signature can be checked at once.
    ///
    /// # Errors
    /// Why the ordinary path must answer.
    #[inline]
    pub(crate) fn quick_answer(&self, message: &[u8]) -> Result<Bytes, Unanswered> {
        let look = self.memory.look(self.clock.now());
        let question = self.quick_question(message).ok_or(Unanswered::OutOfTheOrdinary)?;
        let hash = TokenHash::of_bytes(question.token);
        let digest = Digest::from(&hash);
        let found = look.at(&digest).or_else(|| first_seen(&look, question.token, digest));
        let (known, refusal) = found.ok_or(Unanswered::NotHeld(hash))?;
        let answer = || {
            let granted = known.at(look.now()).ok().filter(|_| refusal.is_none())?;
            let as_of =
                question.is_met_by(&granted.terms()).then(|| look.as_of(Duration::MAX))??;
            known.note_use(&self.usage, look.now());
            Some(Answer::Granted(granted, as_of).into_message())
        };
        answer().ok_or(Unanswered::OutOfTheOrdinary)
    }

    /// The answer to `BatchVerify`, if all its tokens are held and good for what is asked.
    pub(crate) fn quick_batch(&self, message: &[u8]) -> Option<Bytes> {
        let look = self.memory.look(self.clock.now());
        let mut known = Vec::with_capacity(LARGEST_BATCH.min(message.len() / SHORTEST_ENTRY));
        for entry in Entries::of(message) {
            known.push(self.quick_look(&look, entry?)?);
        }
        if !(1..=LARGEST_BATCH).contains(&known.len()) {
            return None;
        }
        let as_of = look.as_of(Duration::MAX)?;
        let granted: Result<Vec<_>, _> = known.iter().map(|known| known.at(look.now())).collect();
        let answers = granted.ok()?.into_iter().map(|granted| Answer::Granted(granted, as_of));
        known.iter().for_each(|known| known.note_use(&self.usage, look.now()));
        self.count_from_memory(known.len() as u64);
        Some(batch_message(answers.collect()))
    }

    #[inline]
    fn quick_look(&self, look: &Look<'_>, message: &[u8]) -> Option<Arc<Known>> {
        let question = self.quick_question(message)?;
        let (known, refusal) = look.at(&Digest::from(&TokenHash::of_bytes(question.token)))?;
        let granted = known.at(look.now()).ok().filter(|_| refusal.is_none())?;
        question.is_met_by(&granted.terms()).then_some(known)
    }

    #[inline]
    fn quick_question<'a>(&self, message: &'a [u8]) -> Option<Question<'a>> {
        let question = Question::parse(message)?;
        let names_audience = !question.audience.is_empty();
        let is_allowed = names_audience || !self.require_audience;
        (is_allowed && question.audience.len() <= LONGEST_AUDIENCE).then_some(question)
    }
}

/// Not on the way of what is held.
#[cold]
fn first_seen(
    look: &Look<'_>,
    token: &[u8],
    digest: Digest,
) -> Option<(Arc<Known>, Option<Reason>)> {
    let token = std::str::from_utf8(token).ok().filter(|token| jwt::looks_like_jwt(token))?;
    look.at_signature(token, digest)
}
