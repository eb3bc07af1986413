//! `tessera verify`.

pub(crate) mod input;
mod question;

pub(crate) use question::QuestionArgs;

use std::path::PathBuf;

use clap::Args;
use tessera_proto::v1::{
    BatchVerifyRequest, VerifyRequest, VerifyResponse,
    verifier_service_client::VerifierServiceClient,
};
use tonic::{Code, Request};

use crate::{context::Context, failure::Failure, record::Verdict, server::Server};
use input::{Line, Tokens};

/// Answers of one call, in bytes: a principal of many scopes takes some kilobytes.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
The tokens are the lines of standard input or of --token-file, or one is asked for
without echo. One goes to Verify; more go to BatchVerify, up to 1,000 a call, and are
answered in order. Empty lines are passed over. With --output json each answer is an
object on a line of its own.

Exits with 0 if every token is granted, with 1 if one is denied, and as a gRPC failure
(`tessera --help` lists those) if the question could not be answered.

Examples:
  echo \"$TOKEN\" | tessera verify --audience cdn --scope cdn:purge
  tessera verify --token-file token.txt --client-address 192.0.2.7 --max-staleness 0
  tessera --output json verify < tokens.txt | jq -r .denial.reason")]
pub(crate) struct VerifyArgs {
    /// The file that holds the token, or tokens, one on each line
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    question: QuestionArgs,
}

/// How the tokens fared, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every one is granted.
    AllGranted,
    /// At least one is denied.
    SomeDenied,
    /// At least one question was wrong.
    Wrong(Code),
}

pub(crate) async fn run(args: VerifyArgs, context: &Context) -> Result<Outcome, Failure> {
    let verifier = context.verifier()?;
    let mut tokens = Tokens::open(args.token_file.as_deref())?;
    let mut chunk = tokens.chunk()?;
    if chunk.is_empty() {
        return Err(Failure::Empty("the list of tokens".to_owned()));
    }
    let mut all = Vec::new();
    let mut failure = None;
    while !chunk.is_empty() && failure.is_none() {
        match ask(&verifier, &args, chunk).await {
            Ok(verdicts) => {
                verdicts.iter().try_for_each(|it| context.output.json_line(it))?;
                all.extend(verdicts);
            }
            Err(error) => failure = Some(error),
        }
        chunk = if failure.is_none() { tokens.chunk()? } else { Vec::new() };
    }
    // What was answered is shown even if a later call failed.
    if !all.is_empty() {
        context.output.table(&all)?;
    }
    failure.map_or_else(|| Ok(outcome(&all)), Err)
}

async fn ask(
    verifier: &Server,
    args: &VerifyArgs,
    chunk: Vec<Line>,
) -> Result<Vec<Verdict>, Failure> {
    let numbers: Vec<usize> = chunk.iter().map(|line| line.number).collect();
    let requests = chunk.iter().map(|line| args.question.about(&line.token)).collect();
    let answers = answers(verifier, requests).await?;
    if answers.len() != numbers.len() {
        return Err(Failure::Incomplete("answer for each token"));
    }
    let pairs = numbers.into_iter().zip(answers);
    pairs.map(|(number, answer)| Verdict::new(number, answer)).collect()
}

async fn answers(
    verifier: &Server,
    requests: Vec<VerifyRequest>,
) -> Result<Vec<VerifyResponse>, Failure> {
    if let [one] = requests.as_slice() {
        let request = Request::new(one.clone());
        let answer = verifier.call(request, async |channel, request| {
            VerifierServiceClient::new(channel).verify(request).await
        });
        return answer.await.map(|answer| vec![answer]);
    }
    let request = Request::new(BatchVerifyRequest { requests });
    let answer = verifier.call(request, async |channel, request| {
        let client = VerifierServiceClient::new(channel);
        client.max_decoding_message_size(LARGEST_ANSWER).batch_verify(request).await
    });
    answer.await.map(|answer| answer.responses)
}

fn outcome(verdicts: &[Verdict]) -> Outcome {
    let wrong = verdicts.iter().find_map(Verdict::error);
    match wrong {
        Some(code) => Outcome::Wrong(code),
        None if verdicts.iter().all(Verdict::is_granted) => Outcome::AllGranted,
        None => Outcome::SomeDenied,
    }
}

#[cfg(test)]
mod tests {
    use tessera_proto::v1::{Denial, Principal, verify_response::Verdict as Wire};

    use super::*;

    fn outcome_of(wires: Vec<Wire>) -> Outcome {
        let verdict = |wire| {
            let response = VerifyResponse { verdict: Some(wire), as_of: None };
            Verdict::new(1, response).unwrap()
        };
        outcome(&wires.into_iter().map(verdict).collect::<Vec<_>>())
    }

    #[test]
    fn one_denial_among_grants_is_a_denial_and_a_wrong_question_is_more() {
        let granted = || Wire::Principal(Principal::default());
        let denied = || Wire::Denial(Denial { reason: 3 });
        let wrong = Wire::Error(tonic_types::Status { code: 3, ..Default::default() });
        assert_eq!(outcome_of(vec![granted(), granted()]), Outcome::AllGranted);
        assert_eq!(outcome_of(vec![granted(), denied()]), Outcome::SomeDenied);
        let all = vec![granted(), denied(), wrong];
        assert_eq!(outcome_of(all), Outcome::Wrong(Code::InvalidArgument));
    }
}
