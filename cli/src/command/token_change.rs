//! `tessera token update`, `rotate` and `revoke`.

use std::time::Duration;

use clap::{ArgGroup, Args};
use prost_types::FieldMask;
use tessera_proto::v1::{
    RevokePermanentTokenRequest, RotatePermanentTokenRequest, UpdatePermanentTokenRequest,
    issuer_service_client::IssuerServiceClient,
};
use tessera_shared::clock::Timestamp;

use super::{
    present,
    token::Which,
    token_create::{Expiry, show_once},
};
use crate::{context::Context, failure::Failure, secret::Secret, when};

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("change").required(true).multiple(true).args([
        "name", "description", "role", "audiences", "no_audience", "allowed_cidrs",
        "any_address", "expires_in", "expires_at", "never",
    ]),
    after_help = "\
Only what is given changes.

Examples:
  tessera token update 42 --name purge --expires-in 30d
  tessera token update 42 --allow-cidr 10.0.0.0/8 --allow-cidr 192.0.2.7/32
  tessera token update 42 --any-address --never"
)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    which: Which,

    /// The new name
    #[arg(long)]
    name: Option<String>,

    /// The new description
    #[arg(long)]
    description: Option<String>,

    /// The new role, at most yours
    #[arg(long)]
    role: Option<String>,

    /// A service at which it may be used; may be repeated; replaces all
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,

    /// Let it be used at no service
    #[arg(long, conflicts_with = "audiences")]
    no_audience: bool,

    /// A network it may be used from; may be repeated; replaces all
    #[arg(long = "allow-cidr", value_name = "CIDR")]
    allowed_cidrs: Vec<String>,

    /// Let it be used from any address
    #[arg(long, conflicts_with = "allowed_cidrs")]
    any_address: bool,

    #[command(flatten)]
    expiry: Expiry,
}

impl UpdateArgs {
    fn request(self, now: Timestamp) -> UpdatePermanentTokenRequest {
        let changes = [
            ("name", self.name.is_some()),
            ("description", self.description.is_some()),
            ("role", self.role.is_some()),
            ("audiences", self.no_audience || !self.audiences.is_empty()),
            ("allowed_cidrs", self.any_address || !self.allowed_cidrs.is_empty()),
            ("expires_at", self.expiry.is_given()),
        ];
        let paths = changes.into_iter().filter(|(_, changes)| *changes);
        UpdatePermanentTokenRequest {
            id: self.which.id(),
            name: self.name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            role: self.role.unwrap_or_default(),
            audiences: self.audiences,
            allowed_cidrs: self.allowed_cidrs,
            expires_at: self.expiry.instant(now).map(when::to_wire),
            update_mask: Some(FieldMask {
                paths: paths.map(|(name, _)| name.to_owned()).collect(),
            }),
        }
    }
}

pub(crate) async fn update(args: UpdateArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let answer = context
        .caller(&file)?
        .call(args.request(context.now()), async |channel, request| {
            IssuerServiceClient::new(channel).update_permanent_token(request).await
        })
        .await?;
    let record = present(answer.permanent_token, "permanent_token")?;
    context.output.record(&record)
}

#[derive(Debug, Args)]
#[command(after_help = "\
The new token is shown once, as `tessera token create` shows it. Only the token's owner
may rotate it, or the token itself.

Examples:
  tessera token rotate 42 --overlap 1h
  TESSERA_TOKEN_FILE=token.txt tessera token rotate --overlap 5m > new-token.txt")]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    which: Which,

    /// For how long the present secret still works: 0 (at once) to 30d
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = when::duration)]
    overlap: Duration,
}

pub(crate) async fn rotate(args: RotateArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let request = RotatePermanentTokenRequest {
        id: args.which.id(),
        overlap: Some(when::span_to_wire(args.overlap)),
    };
    let answer = context
        .caller(&file)?
        .call(request, async |channel, request| {
            IssuerServiceClient::new(channel).rotate_permanent_token(request).await
        })
        .await?;
    let record = present(answer.permanent_token, "permanent_token")?;
    show_once(&record, &Secret::new(answer.token), context)
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tessera token revoke 42")]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    which: Which,
}

pub(crate) async fn revoke(args: RevokeArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let request = RevokePermanentTokenRequest { id: args.which.id() };
    let answer = context
        .caller(&file)?
        .call(request, async |channel, request| {
            IssuerServiceClient::new(channel).revoke_permanent_token(request).await
        })
        .await?;
    let record = present(answer.permanent_token, "permanent_token")?;
    context.output.record(&record)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: UpdateArgs,
    }

    fn request(line: &str) -> Result<UpdatePermanentTokenRequest, clap::Error> {
        let parsed = Line::try_parse_from(std::iter::once("update").chain(line.split(' ')))?;
        Ok(parsed.args.request(Timestamp::from_millis(1000)))
    }

    fn mask(line: &str) -> Vec<String> {
        request(line).unwrap().update_mask.unwrap().paths
    }

    #[test]
    fn the_mask_names_what_is_given_and_nothing_else() {
        assert_eq!(mask("42 --name x"), ["name"]);
        assert_eq!(mask("42 --any-address --never"), ["allowed_cidrs", "expires_at"]);
        assert_eq!(mask("42 --no-audience"), ["audiences"]);
    }

    #[test]
    fn never_is_an_absent_expiry() {
        assert_eq!(request("42 --never").unwrap().expires_at, None);
        let soon = request("42 --expires-in 1s").unwrap().expires_at;
        assert_eq!(soon, Some(when::to_wire(Timestamp::from_millis(2000))));
    }

    #[test]
    fn an_update_of_nothing_or_of_contradictions_is_wrong_usage() {
        for line in
            ["42", "42 --never --expires-in 1d", "42 --any-address --allow-cidr ::/0", "0 --name x"]
        {
            assert!(request(line).is_err(), "{line}");
        }
    }
}
