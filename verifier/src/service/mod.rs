//! The gRPC face: bytes become questions here, and what was found becomes bytes.
//!
//! `quick` answers nearly every call; the rest of the module answers the same, with
//! every limit checked and every fault named.

pub(crate) mod answer;
mod failure;
mod fields;
mod question;
mod quick;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use prost::{Message as _, bytes::Bytes};
use tessera_proto::v1::{
    BatchVerifyRequest, Principal, VerifyRequest, verifier_service_server::SERVICE_NAME,
};
use tessera_shared::{
    clock::Clock,
    examine::{self, Reason},
    role::ScopeSet,
    store::StoreError,
    usage::UsageNotes,
};
use tonic::{Status, server::NamedService};

pub(crate) use self::failure::{DOMAIN, tell_of_a_fault};
pub(crate) use self::quick::Unanswered;
use self::{
    answer::Answer,
    failure::{Failure, Violation, Violations},
    question::Asked,
};
use crate::{
    memory::{Found, Granted, Memory},
    metrics::Verdicts,
};

/// Questions in one batch.
const LARGEST_BATCH: usize = 1_000;
/// The largest message that is read, in bytes: a full batch of the largest questions,
/// about 17 MB.
pub(crate) const LARGEST_MESSAGE: usize =
    LARGEST_BATCH * question::field(question::LARGEST_QUESTION);

/// The service's name, where health is told.
pub(crate) struct Named;

impl NamedService for Named {
    const NAME: &'static str = SERVICE_NAME;
}

/// Answers questions about tokens.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) memory: Arc<Memory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) require_audience: bool,
    pub(crate) usage: Arc<UsageNotes>,
    pub(crate) verdicts: Verdicts,
}

/// A question, with every limit checked.
pub(crate) struct Question {
    token: String,
    asked: examine::Question,
    /// How old the view may be that the answer is given from.
    limit: Duration,
}

impl Question {
    /// A question of this process's own: nothing of it but the token may break a limit.
    pub(crate) fn of(token: &str, asked: examine::Question) -> Self {
        Self { token: token.to_owned(), asked, limit: Duration::MAX }
    }

    pub(crate) fn required_scopes(&self) -> &[String] {
        &self.asked.required_scopes
    }
}

impl Api {
    /// Answers a `VerifyRequest`.
    ///
    /// # Errors
    /// When the question is wrong, or can't be answered.
    pub(crate) async fn verify(
        &self,
        message: &[u8],
        unanswered: Unanswered,
    ) -> Result<Bytes, Status> {
        let question = self.question(VerifyRequest::decode(message).map_err(unreadable)?);
        let question = question.map_err(Failure::from)?;
        let (token, limit) = (&question.token, question.limit);
        let found = match unanswered {
            Unanswered::NotHeld(hash) => self.memory.find_unheld(token, hash, limit).await,
            Unanswered::OutOfTheOrdinary => self.memory.find(token, limit).await,
        };
        let found = found.map_err(Failure::from)?;
        Ok(self.answer(&question, &found).into_message())
    }

    /// Answers a `BatchVerifyRequest`. An entry that asks a wrong question spoils no other.
    ///
    /// # Errors
    /// When the batch is too large or empty, or can't be answered.
    pub(crate) async fn batch_verify(&self, message: &[u8]) -> Result<Bytes, Status> {
        let requests = BatchVerifyRequest::decode(message).map_err(unreadable)?.requests;
        if !(1..=LARGEST_BATCH).contains(&requests.len()) {
            return Err(Failure::from(Violation::new("requests", "1 to 1,000 questions")).into());
        }
        let questions: Vec<_> =
            requests.into_iter().map(|request| self.question(request)).collect();
        let right = questions.iter().flatten();
        let right: Vec<_> =
            right.map(|question| (question.token.as_str(), question.limit)).collect();
        let found = self.memory.find_all(&right).await.map_err(Failure::from)?;
        let mut found = found.iter();
        let answers = questions.into_iter().enumerate().map(|(place, question)| match question {
            Ok(question) => match found.next() {
                Some(found) => self.answer(&question, found),
                None => Answer::wrong_question(std::iter::empty()),
            },
            Err(violations) => Answer::wrong_question(
                violations.0.into_iter().map(|v| v.within(format_args!("requests[{place}]"))),
            ),
        });
        Ok(answer::batch_message(answers.collect()))
    }

    /// So many tokens were granted by [`Self::quick_answer`] or [`Self::quick_batch`]. Apart
    /// from them, since the hot path counts in a place of its own.
    pub(crate) fn count_from_memory(&self, tokens: u64) {
        self.memory.counts.hits(tokens);
        self.verdicts.granted(tokens);
    }

    /// The scopes of a token that proves its caller; `None`: it is not good, or only in
    /// networks, of which nothing is known here.
    ///
    /// # Errors
    /// When that can't be answered.
    pub(crate) async fn scopes_of(&self, token: &str) -> Result<Option<ScopeSet>, Status> {
        let found = self.memory.find(token, Duration::MAX).await.map_err(Failure::from)?;
        let terms = found.verdict(self.clock.now()).ok().map(|granted| granted.terms());
        Ok(terms.filter(|terms| terms.networks.is_none()).map(|terms| terms.scopes.clone()))
    }

    /// Who the token of the question speaks for, or why it is refused; for those who ask
    /// within this process. To be granted is a use.
    ///
    /// # Errors
    /// When the question can't be answered.
    pub(crate) async fn examine(
        &self,
        question: &Question,
    ) -> Result<Result<Principal, Reason>, StoreError> {
        let found = self.memory.find(&question.token, question.limit).await?;
        Ok(self.judge(question, &found).map(answer::principal_of))
    }

    /// Checks every limit of a question.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn question(&self, mut request: VerifyRequest) -> Result<Question, Violations> {
        let token = std::mem::take(&mut request.token);
        let Asked { question: asked, max_staleness } =
            Asked::try_from(request).map_err(Violations)?;
        if self.require_audience && asked.audience.is_none() {
            let what = "required here: the service that asks";
            return Err(Violations(vec![Violation::new("audience", what)]));
        }
        Ok(Question { token, asked, limit: max_staleness.unwrap_or(Duration::MAX) })
    }

    fn answer<'a>(&self, question: &Question, found: &'a Found) -> Answer<'a> {
        match self.judge(question, found) {
            Ok(granted) => Answer::Granted(granted, found.as_of),
            Err(reason) => Answer::denied(reason, found.as_of),
        }
    }

    /// What follows from what was found, and notes it.
    fn judge<'a>(&self, question: &Question, found: &'a Found) -> Result<&'a Granted, Reason> {
        let verdict = self.weigh(question, found);
        match &verdict {
            Ok(_) => self.verdicts.granted(1),
            Err(reason) => self.verdicts.denied(*reason),
        }
        verdict
    }

    fn weigh<'a>(&self, question: &Question, found: &'a Found) -> Result<&'a Granted, Reason> {
        let now = self.clock.now();
        let granted =
            found.verdict(now).inspect_err(|reason| self.usage.note_refusal(*reason, now))?;
        if let Some(reason) = granted.refusal_of(&question.asked) {
            return Err(reason);
        }
        found.note_use(&self.usage, now);
        Ok(granted)
    }
}

/// Not the bytes of the message that the contract names.
fn unreadable(_: prost::DecodeError) -> Status {
    Status::invalid_argument("the request is not the message of the contract")
}
