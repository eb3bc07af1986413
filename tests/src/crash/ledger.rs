//! What was acknowledged, and whether it is still true.

use std::{collections::HashMap, fmt};

use tessera_proto::v1::{BatchVerifyRequest, Principal};

use super::answered;
use crate::{
    ask::{self, ask},
    client::Verifier,
};

/// The most questions in one call.
const BATCH: usize = 1000;

/// What one writer was told.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Id → the plain string that is good.
    pub(super) good: HashMap<i64, String>,
    /// Plain strings that were revoked, or replaced with no overlap.
    pub(super) ended: Vec<String>,
    /// Creations that were acknowledged.
    pub(super) created: usize,
    /// Calls with no answer: they may be done or not.
    pub(super) doubtful: usize,
}

/// What is not as it was acknowledged.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    creations: usize,
    ends: usize,
    pub(super) unlisted: usize,
    pub(super) half_made: usize,
    pub(super) duplicate_ids: usize,
}

impl Losses {
    pub(super) fn none(&self) -> bool {
        let Self { creations, ends, unlisted, half_made, duplicate_ids } = self;
        creations + ends + unlisted + half_made + duplicate_ids == 0
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.creations += more.creations;
        self.ends += more.ends;
        self.unlisted += more.unlisted;
        self.half_made += more.half_made;
        self.duplicate_ids += more.duplicate_ids;
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "lost creations {}, lost ends {}, good and in no list {}, half-made records {}, \
             duplicate ids {}",
            self.creations, self.ends, self.unlisted, self.half_made, self.duplicate_ids
        )
    }
}

impl Ledger {
    /// Asks for everything.
    pub(super) async fn compare(&self, verifier: &Verifier) -> Losses {
        let good: Vec<_> = self.good.iter().collect();
        let mut losses = Losses::default();
        for part in good.chunks(BATCH) {
            let tokens: Vec<_> = part.iter().map(|(_, token)| token.as_str()).collect();
            let granted = granted(verifier, &tokens).await;
            for ((id, _), principal) in part.iter().zip(granted) {
                losses.creations += usize::from(principal.is_none_or(|it| it.token_id != **id));
            }
        }
        let ended: Vec<_> = self.ended.iter().map(String::as_str).collect();
        for part in ended.chunks(BATCH) {
            losses.ends += granted(verifier, part).await.iter().flatten().count();
        }
        losses
    }
}

/// Whom each token speaks for, if for anybody.
async fn granted(verifier: &Verifier, tokens: &[&str]) -> Vec<Option<Principal>> {
    let requests: Vec<_> = tokens.iter().map(|token| ask(token)).collect();
    let answers = answered("verdicts", || {
        let (mut verifier, requests) = (verifier.clone(), requests.clone());
        async move { verifier.batch_verify(BatchVerifyRequest { requests }).await }
    });
    let answers = answers.await.responses;
    assert_eq!(answers.len(), tokens.len());
    answers.into_iter().map(|answer| ask::verdict(answer).ok()).collect()
}
