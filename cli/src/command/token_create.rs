//! `tessera token create`.

use clap::Args;
use tessera_proto::v1::{
    CreatePermanentTokenRequest, PermanentToken, issuer_service_client::IssuerServiceClient,
};
use tessera_shared::clock::Timestamp;

use super::present;
use crate::{
    context::Context,
    failure::Failure,
    record::{Field, Record as _, fields},
    secret::Secret,
    when::{self, Moment},
};

#[derive(Debug, Args)]
#[command(after_help = "\
The token is shown once: with --output table alone on standard output, with --output
json as `token` beside `permanent_token`, its record. Only its hash is kept.

Examples:
  tessera token create purge-script --role Engineers --expires-in 30d
  TOKEN=$(tessera token create ci --audience cdn --allow-cidr 10.0.0.0/8)
  (umask 077 && tessera --output json token create ci --never > token.json)")]
pub(crate) struct CreateArgs {
    /// What to call it
    name: String,

    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,

    /// Its role, at most yours [default: your own]
    #[arg(long, default_value = "", hide_default_value = true)]
    role: String,

    /// A service at which it may be used; may be repeated [default: as configured]
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,

    /// A network it may be used from; may be repeated [default: any]
    #[arg(long = "allow-cidr", value_name = "CIDR")]
    allowed_cidrs: Vec<String>,

    /// When it becomes good: an RFC 3339 time, or a duration from now [default: at once]
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    not_before: Option<Moment>,

    #[command(flatten)]
    expiry: Expiry,
}

/// When a token expires.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Expiry {
    /// Expire that long from now: 30d, 12h, 1h30m (units w, d, h, m, s, ms)
    #[arg(long, value_name = "DURATION", value_parser = when::duration)]
    expires_in: Option<std::time::Duration>,

    /// Expire at that time, RFC 3339: 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = when::instant)]
    expires_at: Option<Timestamp>,

    /// Never expire; a new token does not, unless told otherwise
    #[arg(long)]
    never: bool,
}

impl Expiry {
    /// Whether any of them is given.
    pub(crate) fn is_given(&self) -> bool {
        self.never || self.expires_in.is_some() || self.expires_at.is_some()
    }

    /// The first instant at which the token is no longer good; `None` for never.
    pub(crate) fn instant(&self, now: Timestamp) -> Option<Timestamp> {
        self.expires_at.or_else(|| self.expires_in.map(|span| now.after(span)))
    }
}

pub(crate) async fn run(args: CreateArgs, context: &Context) -> Result<(), Failure> {
    let file = context.session_file()?;
    let now = context.now();
    let request = CreatePermanentTokenRequest {
        name: args.name,
        description: args.description,
        role: args.role,
        audiences: args.audiences,
        expires_at: args.expiry.instant(now).map(when::to_wire),
        not_before: args.not_before.map(|it| when::to_wire(it.instant(now))),
        allowed_cidrs: args.allowed_cidrs,
    };
    let answer = context
        .caller(&file)?
        .call(request, async |channel, request| {
            IssuerServiceClient::new(channel).create_permanent_token(request).await
        })
        .await?;
    let record = present(answer.permanent_token, "permanent_token")?;
    show_once(&record, &Secret::new(answer.token), context)
}

/// Shows a token's new plain string, for the only time.
pub(crate) fn show_once(
    record: &PermanentToken,
    token: &Secret,
    context: &Context,
) -> Result<(), Failure> {
    let until = Field::or_never(record.expires_at).for_people();
    let note = format!(
        "token {id} ({name}), role {role}, expires: {until}\n\
         Store it now: it is never shown again.",
        id = record.id,
        name = crate::record::printable(&record.name),
        role = record.role,
    );
    let shown = fields([
        ("permanent_token", Field::Record(record.fields())),
        ("token", Field::Text(token.expose().to_owned())),
    ]);
    context.output.secret(&format!("token {}", record.id), token, &note, shown)
}
