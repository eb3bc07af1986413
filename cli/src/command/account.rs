//! `tessera admin account ...`.

use clap::{Args, Subcommand};
use prost_types::FieldMask;
use tessera_proto::v1::{
    CreateAccountRequest, GetAccountRequest, ListAccountsRequest, UpdateAccountRequest,
    admin_service_client::AdminServiceClient,
};

use super::{PAGE, gather, present};
use crate::{caller::Caller, context::Context, failure::Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account
    Create {
        /// What people call it
        name: String,
    },
    /// List the accounts that you administer
    List {
        /// At most this many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show an account
    Show {
        /// The account's id [default: yours]
        #[arg(default_value_t, hide_default_value = true,
              value_parser = clap::value_parser!(i64).range(0..))]
        id: i64,
    },
    /// Rename an account
    Update {
        #[command(flatten)]
        which: Which,
        /// The new name
        #[arg(long)]
        name: String,
    },
    /// Deny everything of an account, its permanent tokens included
    Disable(Which),
    /// Undo `disable`
    Enable(Which),
}

/// Which account.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The account's id
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    id: i64,
}

pub(crate) async fn run(command: AccountCommand, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let caller = context.caller(&file)?;
    match command {
        AccountCommand::Create { name } => create(name, &caller, context).await,
        AccountCommand::List { limit } => list(limit, &caller, context).await,
        AccountCommand::Show { id } => show(id, &caller, context).await,
        AccountCommand::Update { which, name } => {
            let request = UpdateAccountRequest { id: which.id, name, ..masked("name") };
            update(request, &caller, context).await
        }
        AccountCommand::Disable(which) => set_disabled(which, true, &caller, context).await,
        AccountCommand::Enable(which) => set_disabled(which, false, &caller, context).await,
    }
}

async fn create(name: String, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let answer = caller
        .call(CreateAccountRequest { name }, async |channel, request| {
            AdminServiceClient::new(channel).create_account(request).await
        })
        .await?;
    context.output.record(&present(answer.account, "account")?)
}

async fn list(limit: Option<usize>, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let accounts = gather(limit, async |page_token| {
        let request = ListAccountsRequest { page_size: PAGE, page_token };
        let page = caller
            .call(request, async |channel, request| {
                AdminServiceClient::new(channel).list_accounts(request).await
            })
            .await?;
        Ok((page.accounts, page.next_page_token))
    })
    .await?;
    context.output.list(&accounts)
}

async fn show(id: i64, caller: &Caller<'_>, context: &Context) -> Result<(), Failure> {
    let answer = caller
        .call(GetAccountRequest { id }, async |channel, request| {
            AdminServiceClient::new(channel).get_account(request).await
        })
        .await?;
    context.output.record(&present(answer.account, "account")?)
}

async fn set_disabled(
    which: Which,
    disabled: bool,
    caller: &Caller<'_>,
    context: &Context,
) -> Result<(), Failure> {
    let request =
        UpdateAccountRequest { id: which.id, disabled: Some(disabled), ..masked("disabled") };
    update(request, caller, context).await
}

async fn update(
    request: UpdateAccountRequest,
    caller: &Caller<'_>,
    context: &Context,
) -> Result<(), Failure> {
    let answer = caller
        .call(request, async |channel, request| {
            AdminServiceClient::new(channel).update_account(request).await
        })
        .await?;
    context.output.record(&present(answer.account, "account")?)
}

fn masked(field: &str) -> UpdateAccountRequest {
    UpdateAccountRequest {
        update_mask: Some(FieldMask { paths: vec![field.to_owned()] }),
        ..UpdateAccountRequest::default()
    }
}
