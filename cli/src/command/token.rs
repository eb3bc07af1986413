//! `tessera token ...`: the commands about permanent tokens.

use clap::{Args, Subcommand};
use tessera_proto::v1::{GetPermanentTokenRequest, issuer_service_client::IssuerServiceClient};

use super::{
    present,
    token_change::{self, RevokeArgs, RotateArgs, UpdateArgs},
    token_create::{self, CreateArgs},
    token_exchange::{self, ExchangeArgs},
    token_list::{self, ListArgs},
};
use crate::{context::Context, failure::Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a permanent token, and show it for the only time
    Create(CreateArgs),
    /// List tokens: your own, or the account's if you administer it
    List(ListArgs),
    /// Show one token's record
    Show(ShowArgs),
    /// Change a token's name, description, role, audiences, networks or expiry
    Update(UpdateArgs),
    /// Give a token a new secret, and show it for the only time
    Rotate(RotateArgs),
    /// End a token
    Revoke(RevokeArgs),
    /// Trade a permanent token for a short-lived access token (JWT)
    Exchange(ExchangeArgs),
}

/// Which token.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The token's id; without it, the token of TESSERA_TOKEN
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    id: Option<i64>,
}

impl Which {
    /// The id for a request: 0 is the token that the call comes with.
    pub(crate) fn id(&self) -> i64 {
        self.id.unwrap_or_default()
    }
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    which: Which,
}

pub(crate) async fn run(command: TokenCommand, context: &Context) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => token_create::run(args, context).await,
        TokenCommand::List(args) => token_list::run(args, context).await,
        TokenCommand::Show(args) => show(args, context).await,
        TokenCommand::Update(args) => token_change::update(args, context).await,
        TokenCommand::Rotate(args) => token_change::rotate(args, context).await,
        TokenCommand::Revoke(args) => token_change::revoke(args, context).await,
        TokenCommand::Exchange(args) => token_exchange::run(args, context).await,
    }
}

async fn show(args: ShowArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let request = GetPermanentTokenRequest { id: args.which.id() };
    let answer = context
        .caller(&file)?
        .call(request, async |channel, request| {
            IssuerServiceClient::new(channel).get_permanent_token(request).await
        })
        .await?;
    let record = present(answer.permanent_token, "permanent_token")?;
    context.output.record(&record)
}
