//! `tessera whoami` and `tessera sessions`.

use tessera_proto::v1::{
    ListSessionsRequest, WhoAmIRequest, issuer_service_client::IssuerServiceClient,
};

use super::{PAGE, gather, present};
use crate::{context::Context, failure::Failure};

/// Shows the caller's principal.
pub(crate) async fn whoami(context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let answer = context
        .caller(&file)?
        .call(WhoAmIRequest {}, async |channel, request| {
            IssuerServiceClient::new(channel).who_am_i(request).await
        })
        .await?;
    context.output.record(&present(answer.principal, "principal")?)
}

/// Lists the caller's live sessions.
pub(crate) async fn sessions(context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let caller = context.caller(&file)?;
    let sessions = gather(None, async |page_token| {
        let request = ListSessionsRequest { page_size: PAGE, page_token };
        let page = caller
            .call(request, async |channel, request| {
                IssuerServiceClient::new(channel).list_sessions(request).await
            })
            .await?;
        Ok((page.sessions, page.next_page_token))
    })
    .await?;
    context.output.list(&sessions)
}
