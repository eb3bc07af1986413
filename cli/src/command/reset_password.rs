//! `tessera admin reset-password`: for who is let into the store, and nowhere else any more.

use clap::Args;
use ring::rand::SystemRandom;
use tessera_issuer::{Reset, ResetError, ResetUser};
use tessera_shared::{opaque, store};

use super::password;
use crate::{
    context::Context,
    failure::Failure,
    record::{Field, Fields, Record, fields},
    secret::Secret,
    store::StoreArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Sets the password, enables the user and ends its sessions, on the store itself, as the issuer's
user there. Issuers and verifiers may go on meanwhile; an embedded store must be at rest.

The password is entered twice without echo, read from TESSERA_NEW_PASSWORD or the file that
TESSERA_NEW_PASSWORD_FILE names, or made. It has 15 characters at least. Should the store not
confirm, the same command again does what is left.

Examples:
  tessera admin reset-password --store embedded:./tessera-data admin --generate
  tessera admin reset-password --store redis://issuer@redis:6379/0 admin --role Administrators")]
pub(crate) struct ResetPasswordArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Whose password
    username: String,

    /// Give the user this role, too
    #[arg(long, value_name = "NAME")]
    role: Option<String>,

    /// Read the password from a line of standard input
    #[arg(long)]
    password_stdin: bool,

    /// Make a password, and show it once
    #[arg(long, conflicts_with = "password_stdin")]
    generate: bool,
}

pub(crate) async fn run(args: ResetPasswordArgs, context: &Context) -> Result<(), Failure> {
    let password = if args.generate {
        let made = opaque::random_password(&SystemRandom::new());
        let made = made.map_err(|error| Failure::StoreAway(error.to_string()))?;
        Secret::new(made.as_str().to_owned())
    } else {
        password::new(args.password_stdin, context)?
    };
    let (url, options) = args.store.resolve(context)?;
    let store = store::open_existing(&url, options)?;
    let reset =
        Reset { username: &args.username, password: password.expose(), role: args.role.as_deref() };
    let user = tessera_issuer::reset_password(store, &reset).await?;
    if !args.generate {
        return context.output.record(&user);
    }
    let note = format!("the password of {}, shown this once", user.username);
    let shown = fields([
        ("user", Field::Record(user.fields())),
        ("password", Field::Text(password.expose().to_owned())),
    ]);
    context.output.secret("the password", &password, &note, shown)
}

impl Record for ResetUser {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        fields([
            ("id", Field::Number(self.id)),
            ("account_id", Field::Number(self.account)),
            ("username", Field::Text(self.username.clone())),
            ("role", Field::Text(self.role.clone())),
        ])
    }
}

impl From<ResetError> for Failure {
    fn from(error: ResetError) -> Self {
        match error {
            ResetError::Refused(what) => Self::BadStore(what),
            ResetError::Store(what) => Self::StoreAway(what),
        }
    }
}
