//! `tessera password`, and how a new password is asked for.

use clap::Args;
use tessera_proto::v1::{ChangePasswordRequest, issuer_service_client::IssuerServiceClient};

use crate::{ask, context::Context, credentials::Credentials, failure::Failure, secret::Secret};

/// The variable that holds a password to set; `_FILE` names a file that does.
const NEW_PASSWORD: &str = "TESSERA_NEW_PASSWORD";

#[derive(Debug, Args)]
#[command(after_help = "\
Both passwords are asked for without echo. Without a terminal, the present one is read
from TESSERA_PASSWORD or TESSERA_PASSWORD_FILE and the new one from
TESSERA_NEW_PASSWORD or TESSERA_NEW_PASSWORD_FILE; or both, a line each and the present
one first, from standard input with --password-stdin.

The user's other sessions are ended.")]
pub(crate) struct PasswordArgs {
    /// Read the present and the new password from two lines of standard input
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) async fn run(args: PasswordArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let caller = context.caller_with(Credentials::Session, &file)?;
    let current = current(args.password_stdin, context)?;
    let new = new(args.password_stdin, context)?;
    let request = ChangePasswordRequest {
        current_password: current.expose().to_owned(),
        new_password: new.expose().to_owned(),
    };
    caller
        .call(request, async |channel, request| {
            IssuerServiceClient::new(channel).change_password(request).await
        })
        .await?;
    // Said before the refresh, which may fail: the password is changed all the same.
    context.output.done("the password is changed; other sessions are ended")?;
    // Access tokens made before the change are denied from now on.
    caller.renew().await
}

fn current(from_stdin: bool, context: &Context) -> Result<Secret, Failure> {
    if from_stdin {
        return ask::input_line("Present password");
    }
    match ask::variable(&context.env, "TESSERA_PASSWORD")? {
        Some(password) => Ok(password),
        None => ask::prompt(
            "Present password",
            "set TESSERA_PASSWORD or TESSERA_PASSWORD_FILE, or give --password-stdin",
        ),
    }
}

/// A password to set: from a line of standard input, from TESSERA_NEW_PASSWORD or
/// the file that TESSERA_NEW_PASSWORD_FILE names, or entered twice.
///
/// # Errors
/// None of these gives one.
pub(crate) fn new(from_stdin: bool, context: &Context) -> Result<Secret, Failure> {
    if from_stdin {
        return ask::input_line("New password");
    }
    match ask::variable(&context.env, NEW_PASSWORD)? {
        Some(password) => Ok(password),
        None => ask::prompt_twice(
            "New password",
            "set TESSERA_NEW_PASSWORD or TESSERA_NEW_PASSWORD_FILE, or give --password-stdin",
        ),
    }
}
