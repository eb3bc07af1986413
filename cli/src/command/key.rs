//! `tessera admin key ...`.

use clap::{Args, Subcommand};
use tessera_proto::v1::{
    ListSigningKeysRequest, RetireSigningKeyRequest, RotateSigningKeyRequest,
    admin_service_client::AdminServiceClient,
};

use super::present;
use crate::{caller::Caller, context::Context, failure::Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the public keys that access tokens verify by, the newest first
    List,
    /// Publish a new key, which signs once every verifier has seen it
    #[command(after_help = "The present key then retires, and verifies until its last token has \
                            expired. While a key waits to sign, that one is answered.")]
    Rotate {
        /// ES256, EdDSA or RS256 [default: as the issuer is configured]
        #[arg(long, default_value_t, hide_default_value = true)]
        algorithm: String,
    },
    /// Take a key out of use
    #[command(
        after_help = "A key that waits to sign goes. The one that signs retires by `rotate`; \
                            for a key in wrong hands there is --now."
    )]
    Retire(RetireArgs),
}

/// Which key, and how.
#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    /// The key's kid
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Deny every token of the key at once; if it signs, another signs from now on
    #[arg(long)]
    now: bool,
}

pub(crate) async fn run(command: KeyCommand, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let caller = context.caller(&file)?;
    match command {
        KeyCommand::List => list(&caller, context).await,
        KeyCommand::Rotate { algorithm } => rotate(algorithm, &caller, context).await,
        KeyCommand::Retire(args) => retire(args, &caller, context).await,
    }
}

async fn list(caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let answer = caller
        .call(ListSigningKeysRequest {}, async |channel, request| {
            AdminServiceClient::new(channel).list_signing_keys(request).await
        })
        .await?;
    context.output.list(&answer.signing_keys)
}

async fn rotate(algorithm: String, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let answer = caller
        .call(RotateSigningKeyRequest { algorithm }, async |channel, request| {
            AdminServiceClient::new(channel).rotate_signing_key(request).await
        })
        .await?;
    context.output.record(&present(answer.signing_key, "signing_key")?)
}

async fn retire(args: RetireArgs, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let request = RetireSigningKeyRequest { kid: args.kid, now: args.now };
    let answer = caller
        .call(request, async |channel, request| {
            AdminServiceClient::new(channel).retire_signing_key(request).await
        })
        .await?;
    context.output.record(&present(answer.signing_key, "signing_key")?)?;
    if let Some(successor) = answer.successor {
        context.output.note(&format!("{} signs in its place.", successor.kid));
    }
    Ok(())
}
