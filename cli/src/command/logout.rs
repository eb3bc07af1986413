//! `tessera logout`.

use clap::Args;
use tessera_proto::v1::{LogoutRequest, issuer_service_client::IssuerServiceClient};

use crate::{context::Context, credentials::Credentials, failure::Failure};

#[derive(Debug, Args)]
#[command(after_help = "\
Ends the session in the session file, its access tokens included, and removes the
file. Permanent tokens live on: end one with `tessera token revoke`.")]
pub(crate) struct LogoutArgs {
    /// End all sessions of the user, on every machine
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: LogoutArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let caller = context.caller_with(Credentials::Session, &file)?;
    let ended = caller
        .call(LogoutRequest { all: args.all }, async |channel, request| {
            IssuerServiceClient::new(channel).logout(request).await
        })
        .await;
    match ended {
        Ok(_) => {
            file.remove()?;
            context.output.done(if args.all {
                "all sessions are ended"
            } else {
                "the session is ended"
            })
        }
        // The session is over already: what was asked for is so, unless others were
        // to end as well.
        Err(failure) if failure.is_unauthenticated() && !args.all => {
            file.remove()?;
            context.output.done("the session was over already")
        }
        Err(failure) => Err(failure),
    }
}
