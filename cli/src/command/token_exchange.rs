//! `tessera token exchange`.

use std::path::PathBuf;

use clap::Args;
use tessera_proto::v1::{
    ExchangeTokenRequest, ExchangeTokenResponse, issuer_service_client::IssuerServiceClient,
};
use tonic::Request;

use crate::{
    ask,
    context::Context,
    credentials::Credentials,
    failure::Failure,
    record::{Field, fields},
    secret::Secret,
};

#[derive(Debug, Args)]
#[command(after_help = "\
The permanent token is that of --token-file, or of TESSERA_TOKEN or TESSERA_TOKEN_FILE,
or the first line of standard input, or is asked for without echo. The access token is
printed alone on standard output, or as `access_token` with --output json.

Example:
  JWT=$(TESSERA_TOKEN_FILE=token.txt tessera token exchange)")]
pub(crate) struct ExchangeArgs {
    /// The file that holds the permanent token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(crate) async fn run(args: ExchangeArgs, context: &Context) -> Result<(), Failure> {
    let token = match args.token_file {
        Some(path) => ask::file_content(&path)?,
        None => match Credentials::find(&context.env)? {
            Credentials::Permanent(token) => token,
            Credentials::Session => ask::line_or_prompt("Permanent token")?,
        },
    };
    let request = ExchangeTokenRequest { token: token.expose().to_owned() };
    let (issuer, _) = context.login_issuer()?;
    let answer = issuer
        .call(Request::new(request), async |channel, request| {
            IssuerServiceClient::new(channel).exchange_token(request).await
        })
        .await?;
    show(answer, context)
}

fn show(answer: ExchangeTokenResponse, context: &Context) -> Result<(), Failure> {
    let expires_at = Field::time(answer.access_expires_at);
    let note = format!("expires: {}", expires_at.for_people());
    let shown = fields([
        ("access_token", Field::Text(answer.access_token.clone())),
        ("access_expires_at", expires_at),
    ]);
    context.output.secret("an access token", &Secret::new(answer.access_token), &note, shown)
}
