//! The gRPC face: requests become questions here, and verdicts become messages.

mod answer;
mod failure;
mod question;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tessera_proto::v1::{
    BatchVerifyRequest, BatchVerifyResponse, VerifyRequest, VerifyResponse,
    verifier_service_server::{VerifierService, VerifierServiceServer},
};
use tessera_shared::{
    clock::Clock,
    examine::{Examiner, Question},
};
use tonic::{Request, Response, Status};

use self::failure::{Failure, Violation};

/// Questions in one batch.
const LARGEST_BATCH: usize = 1_000;
/// Questions of one batch that are examined at the same time: enough for a store
/// to pipeline the look-ups, and few enough that a batch leaves room for others.
const BATCH_CONCURRENCY: usize = 256;
/// The largest message that is read, in bytes: a full batch of the largest questions,
/// about 17 MB.
const LARGEST_MESSAGE: usize = LARGEST_BATCH * question::field(question::LARGEST_QUESTION);

/// The service as tonic serves it.
pub(crate) type Server = VerifierServiceServer<VerifierApi>;

/// Answers questions about tokens.
pub(crate) struct VerifierApi {
    pub(crate) examiner: Examiner,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) require_audience: bool,
}

/// `api`, with the limits of the transport.
pub(crate) fn server(api: VerifierApi) -> Server {
    VerifierServiceServer::new(api).max_decoding_message_size(LARGEST_MESSAGE)
}

#[tonic::async_trait]
impl VerifierService for VerifierApi {
    async fn verify(
        &self,
        request: Request<VerifyRequest>,
    ) -> Result<Response<VerifyResponse>, Status> {
        Ok(Response::new(self.answer(request.into_inner()).await?))
    }

    async fn batch_verify(
        &self,
        request: Request<BatchVerifyRequest>,
    ) -> Result<Response<BatchVerifyResponse>, Status> {
        let requests = request.into_inner().requests;
        if !(1..=LARGEST_BATCH).contains(&requests.len()) {
            return Err(Failure::from(Violation::new("requests", "1 to 1,000 questions")).into());
        }
        let answers = requests.into_iter().enumerate().map(|(place, request)| async move {
            match self.answer(request).await {
                Err(Failure::InvalidFields(violations)) => Ok(answer::wrong_question(
                    violations.into_iter().map(|v| v.within(format_args!("requests[{place}]"))),
                )),
                other => other,
            }
        });
        let answers = stream::iter(answers).buffered(BATCH_CONCURRENCY);
        Ok(Response::new(BatchVerifyResponse { responses: answers.try_collect().await? }))
    }
}

impl VerifierApi {
    async fn answer(&self, mut request: VerifyRequest) -> Result<VerifyResponse, Failure> {
        let token = std::mem::take(&mut request.token);
        let question = Question::try_from(question::Asked(request))?;
        if self.require_audience && question.audience.is_none() {
            return Err(Violation::new("audience", "required here: the service that asks").into());
        }
        // Before the read: what the store said afterwards is at least this young.
        let as_of = self.clock.now();
        Ok(answer::verdict(self.examiner.examine(&token, &question, as_of).await?, as_of))
    }
}
