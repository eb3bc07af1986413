//! `tessera login`.

use clap::Args;
use tessera_proto::v1::{LoginRequest, LoginResponse, issuer_service_client::IssuerServiceClient};
use tonic::Request;

use super::present;
use crate::{
    ask,
    context::Context,
    failure::Failure,
    record::{Field, Fields, Record, fields},
    secret::Secret,
    session::Session,
    when,
};

/// The variable that holds the password; `_FILE` names a file that does.
const PASSWORD: &str = "TESSERA_PASSWORD";

#[derive(Debug, Args)]
#[command(after_help = "\
The password is asked for without echo, or read from TESSERA_PASSWORD, from the file
that TESSERA_PASSWORD_FILE names, or from standard input with --password-stdin.

Examples:
  tessera login --username admin
  tessera login --username ci --password-stdin < password.txt
  tessera --issuer https://issuer.example.com login --username admin")]
pub(crate) struct LoginArgs {
    /// The user's name
    #[arg(long, short)]
    username: String,

    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) async fn run(args: LoginArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let (server, issuer) = context.login_issuer()?;
    let request = LoginRequest {
        username: args.username,
        password: password(args.password_stdin, context)?.expose().to_owned(),
    };
    let username = request.username.clone();
    let answer = server
        .call(Request::new(request), async |channel, request| {
            IssuerServiceClient::new(channel).login(request).await
        })
        .await?;
    let session = opened(issuer, answer)?;
    // Another process may be about to replace an older session.
    let _lock = file.lock().await?;
    file.save(&session)?;
    context.output.record(&Opened {
        username,
        session_file: file.path().display().to_string(),
        session,
    })
}

fn password(from_stdin: bool, context: &Context) -> Result<Secret, Failure> {
    if from_stdin {
        return ask::input_line("Password");
    }
    match ask::variable(&context.env, PASSWORD)? {
        Some(password) => Ok(password),
        None => ask::prompt(
            "Password",
            "set TESSERA_PASSWORD or TESSERA_PASSWORD_FILE, or give --password-stdin",
        ),
    }
}

fn opened(issuer: String, answer: LoginResponse) -> Result<Session, Failure> {
    let access = present(answer.access_expires_at, "access_expires_at")?;
    let refresh = present(answer.refresh_expires_at, "refresh_expires_at")?;
    Ok(Session {
        issuer,
        access_token: Secret::new(answer.access_token),
        access_expires_at: when::from_wire(access),
        refresh_token: Secret::new(answer.refresh_token),
        refresh_expires_at: when::from_wire(refresh),
    })
}

/// What a login tells: everything but the tokens.
struct Opened {
    username: String,
    session_file: String,
    session: Session,
}

impl Record for Opened {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        let session = &self.session;
        let time = |instant| Field::time(Some(when::to_wire(instant)));
        fields([
            ("username", Field::Text(self.username.clone())),
            ("issuer", Field::Text(session.issuer.clone())),
            ("access_expires_at", time(session.access_expires_at)),
            ("refresh_expires_at", time(session.refresh_expires_at)),
            ("session_file", Field::Text(self.session_file.clone())),
        ])
    }
}
