//! `tessera token list`.

use clap::{Args, ValueEnum};
use tessera_proto::v1::{
    ListPermanentTokensRequest, PermanentTokenState, issuer_service_client::IssuerServiceClient,
};

use super::{PAGE, gather};
use crate::{
    context::Context,
    failure::Failure,
    when::{self, Moment},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tessera token list --state active --expires-before 7d
  tessera --output json token list --role Engineers | jq '.[].id'")]
pub(crate) struct ListArgs {
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,

    /// Only those of this role
    #[arg(long, default_value = "", hide_default_value = true)]
    role: String,

    /// Only those made by the user with this id
    #[arg(long, value_name = "USER", default_value_t, hide_default_value = true,
          value_parser = clap::value_parser!(i64).range(0..))]
    created_by: i64,

    /// Only those that expire before: an RFC 3339 time, or a duration from now
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    expires_before: Option<Moment>,

    /// The account with this id [default: yours]
    #[arg(long, value_name = "ACCOUNT", default_value_t, hide_default_value = true,
          value_parser = clap::value_parser!(i64).range(0..))]
    account: i64,

    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Where a token is in its life.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Good now
    Active,
    /// Not good yet
    NotYetValid,
    /// Its time is over
    Expired,
    /// Ended on purpose
    Revoked,
}

impl From<State> for PermanentTokenState {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::NotYetValid => Self::NotYetValid,
            State::Expired => Self::Expired,
            State::Revoked => Self::Revoked,
        }
    }
}

pub(crate) async fn run(args: ListArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let caller = context.caller(&file)?;
    let state = args.state.map_or(PermanentTokenState::Unspecified, Into::into);
    let first = ListPermanentTokensRequest {
        page_size: PAGE,
        page_token: String::new(),
        created_by: args.created_by,
        role: args.role,
        state: state.into(),
        expires_before: args.expires_before.map(|it| when::to_wire(it.instant(context.now()))),
        account_id: args.account,
    };
    let tokens = gather(args.limit, async |page_token| {
        let request = ListPermanentTokensRequest { page_token, ..first.clone() };
        let page = caller
            .call(request, async |channel, request| {
                IssuerServiceClient::new(channel).list_permanent_tokens(request).await
            })
            .await?;
        Ok((page.permanent_tokens, page.next_page_token))
    })
    .await?;
    context.output.list(&tokens)
}
