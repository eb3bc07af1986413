//! `tessera admin user ...`.

use clap::{Args, Subcommand};
use prost_types::FieldMask;
use tessera_proto::v1::{
    CreateUserRequest, EndUserSessionsRequest, GetUserRequest, ListUsersRequest,
    SetUserPasswordRequest, UpdateUserRequest, admin_service_client::AdminServiceClient,
};

use super::{PAGE, gather, password, present};
use crate::{caller::Caller, context::Context, failure::Failure};

/// Where a user's new password comes from, for `--help`.
const NEW_PASSWORD: &str = "\
The password is asked for without echo, or read from TESSERA_NEW_PASSWORD, from the file
that TESSERA_NEW_PASSWORD_FILE names, or from standard input with --password-stdin.";

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user
    #[command(after_help = NEW_PASSWORD)]
    Create(CreateArgs),
    /// List an account's users
    List(ListArgs),
    /// Show a user
    Show(Which),
    /// Change a user's role
    Update {
        #[command(flatten)]
        which: Which,
        /// The new role, at most yours
        #[arg(long)]
        role: String,
    },
    /// Shut a user out, their permanent tokens included
    Disable(Which),
    /// Undo `disable`
    Enable(Which),
    /// Set a user's password, and end their sessions
    #[command(after_help = NEW_PASSWORD)]
    SetPassword {
        #[command(flatten)]
        which: Which,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// End all sessions of a user
    EndSessions(Which),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The name to log in with
    username: String,

    /// The user's role, at most yours
    #[arg(long)]
    role: String,

    /// The account's id [default: yours]
    #[arg(long, value_name = "ACCOUNT", default_value_t, hide_default_value = true,
          value_parser = clap::value_parser!(i64).range(0..))]
    account: i64,

    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The account's id [default: yours]
    #[arg(long, value_name = "ACCOUNT", default_value_t, hide_default_value = true,
          value_parser = clap::value_parser!(i64).range(0..))]
    account: i64,

    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Which user.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The user's id
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    id: i64,
}

pub(crate) async fn run(command: UserCommand, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let caller = context.caller(&file)?;
    match command {
        UserCommand::Create(args) => create(args, &caller, context).await,
        UserCommand::List(args) => list(args, &caller, context).await,
        UserCommand::Show(which) => show(which, &caller, context).await,
        UserCommand::Update { which, role } => {
            let request = UpdateUserRequest { id: which.id, role, ..masked("role") };
            update(request, &caller, context).await
        }
        UserCommand::Disable(which) => set_disabled(which, true, &caller, context).await,
        UserCommand::Enable(which) => set_disabled(which, false, &caller, context).await,
        UserCommand::SetPassword { which, password_stdin } => {
            set_password(which, password_stdin, &caller, context).await
        }
        UserCommand::EndSessions(which) => end_sessions(which, &caller, context).await,
    }
}

async fn create(args: CreateArgs, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let password = password::new(args.password_stdin, context)?;
    let request = CreateUserRequest {
        account_id: args.account,
        username: args.username,
        password: password.expose().to_owned(),
        role: args.role,
    };
    let answer = caller
        .call(request, async |channel, request| {
            AdminServiceClient::new(channel).create_user(request).await
        })
        .await?;
    context.output.record(&present(answer.user, "user")?)
}

async fn list(args: ListArgs, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let users = gather(args.limit, async |page_token| {
        let account_id = args.account;
        let request = ListUsersRequest { account_id, page_size: PAGE, page_token };
        let page = caller
            .call(request, async |channel, request| {
                AdminServiceClient::new(channel).list_users(request).await
            })
            .await?;
        Ok((page.users, page.next_page_token))
    })
    .await?;
    context.output.list(&users)
}

async fn show(which: Which, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let answer = caller
        .call(GetUserRequest { id: which.id }, async |channel, request| {
            AdminServiceClient::new(channel).get_user(request).await
        })
        .await?;
    context.output.record(&present(answer.user, "user")?)
}

async fn set_disabled(
    which: Which,
    disabled: bool,
    caller: &Caller<'_>,
    context: &Context,
) -> Result<(), Failure> {
    let request =
        UpdateUserRequest { id: which.id, disabled: Some(disabled), ..masked("disabled") };
    update(request, caller, context).await
}

async fn update(
    request: UpdateUserRequest,
    caller: &Caller<'_>,
    context: &Context,
) -> Result<(), Failure> {
    let answer = caller
        .call(request, async |channel, request| {
            AdminServiceClient::new(channel).update_user(request).await
        })
        .await?;
    context.output.record(&present(answer.user, "user")?)
}

async fn set_password(
    which: Which,
    from_stdin: bool,
    caller: &Caller<'_>,
    context: &Context,
) -> Result<(), Failure> {
    let password = password::new(from_stdin, context)?;
    let request = SetUserPasswordRequest { id: which.id, password: password.expose().to_owned() };
    caller
        .call(request, async |channel, request| {
            AdminServiceClient::new(channel).set_user_password(request).await
        })
        .await?;
    context.output.done("the password is set; the user's sessions are ended")
}

async fn end_sessions(which: Which, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    caller
        .call(EndUserSessionsRequest { id: which.id }, async |channel, request| {
            AdminServiceClient::new(channel).end_user_sessions(request).await
        })
        .await?;
    context.output.done("the user's sessions are ended")
}

fn masked(field: &str) -> UpdateUserRequest {
    UpdateUserRequest {
        update_mask: Some(FieldMask { paths: vec![field.to_owned()] }),
        ..UpdateUserRequest::default()
    }
}
