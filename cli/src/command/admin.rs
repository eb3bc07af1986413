//! `tessera admin ...`: accounts, users, roles, signing keys and backups.

use clap::Subcommand;
use tessera_proto::v1::{ListRolesRequest, admin_service_client::AdminServiceClient};

use super::{
    account::{self, AccountCommand},
    backup::{self, CopyArgs, ExportArgs, ImportArgs},
    drop_signing_keys::{self, DropSigningKeysArgs},
    import_hashes::{self, ImportHashesArgs},
    key::{self, KeyCommand},
    reset_password::{self, ResetPasswordArgs},
    user::{self, UserCommand},
};
use crate::{context::Context, failure::Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Accounts: the customers that tokens belong to
    #[command(subcommand)]
    Account(AccountCommand),
    /// Users: the people who log in
    #[command(subcommand)]
    User(UserCommand),
    /// Roles: named sets of scopes
    #[command(subcommand)]
    Role(RoleCommand),
    /// Signing keys: what access tokens are signed with
    #[command(subcommand)]
    Key(KeyCommand),
    /// Write all of a store into a backup file
    Export(ExportArgs),
    /// Fill a store from a backup file
    Import(ImportArgs),
    /// Take in tokens of another system by their SHA-256, so that their holders keep them
    ImportHashes(ImportHashesArgs),
    /// Set a password on the store itself, where no administrator can log in any more
    ResetPassword(ResetPasswordArgs),
    /// Fill a store from another
    Copy(CopyArgs),
    /// Begin anew with signing keys whose key-encryption key is lost; all access tokens end
    DropSigningKeys(DropSigningKeysArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// List the role catalogue
    List,
}

pub(crate) async fn run(command: AdminCommand, context: &Context) -> Result<(), Failure> {
    match command {
        AdminCommand::Account(command) => account::run(command, context).await,
        AdminCommand::User(command) => user::run(command, context).await,
        AdminCommand::Role(RoleCommand::List) => roles(context).await,
        AdminCommand::Key(command) => key::run(command, context).await,
        AdminCommand::Export(args) => Box::pin(backup::export(args, context)).await,
        AdminCommand::Import(args) => Box::pin(backup::import(args, context)).await,
        AdminCommand::ImportHashes(args) => Box::pin(import_hashes::run(args, context)).await,
        AdminCommand::ResetPassword(args) => Box::pin(reset_password::run(args, context)).await,
        AdminCommand::DropSigningKeys(args) => {
            Box::pin(drop_signing_keys::run(args, context)).await
        }
        AdminCommand::Copy(args) => Box::pin(backup::copy(args, context)).await,
    }
}

async fn roles(context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let answer = context
        .caller(&file)?
        .call(ListRolesRequest {}, async |channel, request| {
            AdminServiceClient::new(channel).list_roles(request).await
        })
        .await?;
    context.output.list(&answer.roles)
}
