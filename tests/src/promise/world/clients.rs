//! Those who ask, all the time.

use std::{sync::Arc, time::Duration};

use tessera_proto::v1::{
    BatchVerifyRequest, VerifyRequest, VerifyResponse, verify_response::Verdict,
};
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, Response, Status};

use super::{
    super::{
        dice::Dice,
        history::{Answer, CredentialNumber, Failure, Said, millis},
    },
    World, faults,
};
use crate::client::Verifier;

/// Questions of one task that wait for an answer at the same time. They are many, so
/// that those which need the store do not keep the others from being asked while it
/// is out of reach.
const UNANSWERED: usize = 128;

/// How old a view one task's questions allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowing {
    /// The staleness bound, and more, which is the bound.
    TheBound,
    /// Nothing, or a part of the bound.
    Less,
}

struct Asked {
    credential: CredentialNumber,
    max_staleness: Option<Duration>,
    required_scope: Option<String>,
}

impl World {
    /// Starts those who ask.
    pub(super) fn questions(
        self: &Arc<Self>,
        verifiers: &[Verifier],
        over: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (number, verifier) in verifiers.iter().enumerate() {
            for allowing in [Allowing::TheBound, Allowing::Less] {
                tasks.spawn(self.clone().ask_on(number, verifier.clone(), allowing, over.clone()));
            }
        }
        tasks
    }

    /// Asks one verifier one question after another until it is told to end.
    async fn ask_on(
        self: Arc<Self>,
        verifier: usize,
        client: Verifier,
        allowing: Allowing,
        mut over: watch::Receiver<bool>,
    ) {
        let task =
            200 + 2 * u64::try_from(verifier).unwrap() + u64::from(allowing == Allowing::Less);
        let mut dice = Dice::new(self.plan.seed, task);
        let mut asking = JoinSet::new();
        while faults::pause(dice.millis(1..=8), &mut over).await {
            while asking.len() >= UNANSWERED {
                asking.join_next().await.unwrap().unwrap();
            }
            while let Some(asked) = asking.try_join_next() {
                asked.unwrap();
            }
            let count = if dice.chance(10) { 2 + dice.below(8) } else { 1 };
            let questions = (0..count).map(|_| self.question(&mut dice, allowing)).collect();
            asking.spawn(self.clone().ask(verifier, client.clone(), questions));
        }
        asking.join_all().await;
    }

    fn question(&self, dice: &mut Dice, allowing: Allowing) -> (Asked, VerifyRequest) {
        let held = self.population.any(dice);
        let max_staleness = match (allowing, dice.chance(80)) {
            (Allowing::TheBound, true) => None,
            (Allowing::TheBound, false) => Some(self.plan.bound * 20),
            (Allowing::Less, true) => Some(Duration::ZERO),
            (Allowing::Less, false) => Some(self.plan.bound / 4),
        };
        let required_scope = dice.chance(20).then(|| self.recorder.any_scope(dice));
        let request = VerifyRequest {
            token: held.plain.clone(),
            required_scopes: required_scope.iter().cloned().collect(),
            max_staleness: max_staleness.map(|span| span.try_into().unwrap()),
            ..VerifyRequest::default()
        };
        (Asked { credential: held.number, max_staleness, required_scope }, request)
    }

    /// Asks, in one batch if there are several questions, and notes the answers.
    async fn ask(
        self: Arc<Self>,
        verifier: usize,
        mut client: Verifier,
        questions: Vec<(Asked, VerifyRequest)>,
    ) {
        let (asked, mut requests): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
        let start = self.recorder.moment();
        let answers = if requests.len() == 1 {
            client.verify(requests.remove(0)).await.map(|answer| vec![answer.into_inner()])
        } else {
            let request = BatchVerifyRequest { requests };
            client
                .batch_verify(request)
                .await
                .map(Response::into_inner)
                .map(|batch| batch.responses)
        };
        let end = self.recorder.moment();
        let said = said(answers, asked.len());
        self.recorder.answers(asked.into_iter().zip(said).map(|(asked, said)| {
            let Asked { credential, max_staleness, required_scope } = asked;
            Answer { verifier, credential, max_staleness, required_scope, start, end, said }
        }));
    }
}

fn said(answers: Result<Vec<VerifyResponse>, Status>, count: usize) -> Vec<Said> {
    match answers {
        Ok(answers) => {
            assert_eq!(answers.len(), count, "one answer for each question");
            answers.into_iter().map(verdict).collect()
        }
        Err(status) => vec![Said::Failed(Failure::from(&status)); count],
    }
}

fn verdict(answer: VerifyResponse) -> Said {
    let as_of = answer.as_of.as_ref().map(millis);
    match (answer.verdict, as_of) {
        (Some(Verdict::Principal(principal)), Some(as_of)) => {
            Said::Granted { principal: Box::new(principal), as_of }
        }
        (Some(Verdict::Denial(denial)), Some(as_of)) => {
            Said::Denied { reason: denial.reason(), as_of }
        }
        (Some(Verdict::Error(error)), _) => {
            let code = Code::from_i32(error.code);
            Said::Failed(Failure { code, is_lost: false, message: error.message })
        }
        (verdict, as_of) => {
            let message = format!("no answer of the contract: {verdict:?}, as_of {as_of:?}");
            Said::Failed(Failure { code: Code::DataLoss, is_lost: false, message })
        }
    }
}
