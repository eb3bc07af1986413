//! `tessera admin export`, `import` and `copy`: on the stores themselves, with no service.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use ring::rand::SystemRandom;
use tessera_shared::{
    backup::{self, BackupError, Counts, Filled, Kind, Scope},
    clock::{Clock as _, SystemClock},
    keys::KeyEncryptionKey,
    store::{self, OpenStore, StoreOptions, StoreUrl},
};

use crate::{
    ask,
    context::Context,
    failure::Failure,
    record::{Field, Fields, Record, fields},
    secret::Secret,
    store::StoreArgs,
};

/// As NIST SP 800-63B-4 has it for a password that stands alone.
const SHORTEST_PASSPHRASE: usize = 15;

/// What seals a backup, for `--help`.
const PASSPHRASE: &str = "\
The passphrase is in TESSERA_BACKUP_PASSPHRASE or the file that TESSERA_BACKUP_PASSPHRASE_FILE
names: 15 characters or more, such as `openssl rand -hex 32` gives. Without it the backup does
not open; the issuer's key-encryption key is not in it, so keep that too.";

#[derive(Debug, Args)]
#[command(after_help = format!("\
Every record as it is when it is read: accounts, users, password hashes, permanent tokens with
their last use, revocations, roles, signing keys. There is no plain token in it. An issuer may go
on working meanwhile; an embedded store must be at rest.

{PASSPHRASE}

A signing key that is not sealed in the store goes into a plain backup only if
TESSERA_KEY_ENCRYPTION_KEY (or ..._FILE) is there to seal it.

Examples:
  tessera admin export --store redis://issuer@redis:6379/0 tessera.backup
  tessera admin export --store embedded:./tessera-data --plain tessera.backup"))]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// The file to write; what is there is replaced once all of it is written
    file: PathBuf,

    /// Do not seal it: names, roles and hashes are readable
    #[arg(long)]
    plain: bool,

    /// Sessions too, so that those who are logged in stay so
    #[arg(long)]
    sessions: bool,
}

#[derive(Debug, Args)]
#[command(after_help = format!("\
All of the file is read and checked first, and compared with the store: if anything is wrong,
nothing is written. Nothing in the store is written over, so an import that was cut short is
completed by the same command. Into an empty store: import before the first start of its issuer.

{PASSPHRASE}

Examples:
  tessera admin import --store redis://issuer@redis:6379/0 tessera.backup
  tessera admin import --check tessera.backup"))]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    target: Target,

    /// The backup
    file: PathBuf,
}

/// Into which store, if any.
#[derive(Debug, Args)]
struct Target {
    #[command(flatten)]
    store: Option<StoreArgs>,

    /// Only read the backup and check its digest
    #[arg(long)]
    check: bool,

    /// Add what is missing though other records differ, and leave those as they are. What was
    /// revoked and forgotten since the backup comes back
    #[arg(long)]
    merge: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The same as an export and an import, with no file between: the way from the embedded store to
Redis. Tokens stay as they are. Stop `tessera up`, copy, start an issuer at the new store.

The password of --store is in TESSERA_STORE_PASSWORD, that of --from in TESSERA_FROM_PASSWORD, or in
the files that ..._FILE name. The signing keys of `tessera up` are not sealed: into a Redis they go with
TESSERA_KEY_ENCRYPTION_KEY (or ..._FILE), the one that the issuer will have.

Example:
  tessera admin copy --from embedded:./tessera-data --store redis://issuer@redis:6379/0 --sessions")]
pub(crate) struct CopyArgs {
    /// The store to read
    #[arg(long, value_name = "URL")]
    from: String,

    #[command(flatten)]
    store: StoreArgs,

    /// Sessions too, so that those who are logged in stay so
    #[arg(long)]
    sessions: bool,

    /// Add what is missing though other records differ, and leave those as they are
    #[arg(long)]
    merge: bool,
}

pub(crate) async fn export(args: ExportArgs, context: &Context) -> Result<(), Failure> {
    let passphrase = passphrase(context)?;
    if passphrase.is_none() && !args.plain {
        return Err(BackupError::NoPassphrase.into());
    }
    let passphrase = passphrase.filter(|_| !args.plain);
    let passphrase = passphrase.as_ref().map(Secret::expose);
    let (url, options) = args.store.resolve(context)?;
    let store = source("--store", &url, options)?;
    let scope = Scope { sessions: args.sessions, sealer: sealer(context)? };
    // Beside it, so that no half of a backup is ever called one.
    let failed = |source| Failure::File { path: args.file.clone(), source };
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut made = tempfile::Builder::new();
    made.permissions(Permissions::from_mode(0o600));
    let new = made.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    let file = new.as_file().try_clone().map_err(failed)?;
    let rng = SystemRandom::new();
    let counts = backup::export(&*store, file, passphrase, &scope, &rng).await;
    let counts = counts.map_err(|error| refused("--store", &url, error))?;
    new.persist(&args.file).map_err(|error| failed(error.error))?;
    context.output.record(&counts)
}

pub(crate) async fn import(args: ImportArgs, context: &Context) -> Result<(), Failure> {
    let passphrase = passphrase(context)?;
    let passphrase = passphrase.as_ref().map(Secret::expose);
    let Target { store, check, merge } = args.target;
    if check {
        return context.output.record(&backup::check(&args.file, passphrase)?);
    }
    let store = store.ok_or_else(|| Failure::BadStore("--store: name the store".to_owned()))?;
    let store = open(&store, context)?;
    let now = SystemClock.now();
    let filled = backup::import(&*store, &args.file, passphrase, merge, now).await?;
    context.output.record(&filled)
}

pub(crate) async fn copy(args: CopyArgs, context: &Context) -> Result<(), Failure> {
    let from = StoreUrl::parse(&args.from);
    let from_url = from.map_err(|error| Failure::BadStore(format!("--from: {error}")))?;
    let password = ask::variable(&context.env, "TESSERA_FROM_PASSWORD")?;
    let password = password.map(|password| password.expose().to_owned());
    let options = StoreOptions { password, ..Default::default() };
    let from = source("--from", &from_url, options)?;
    let (url, options) = args.store.resolve(context)?;
    let to = store::open(&url, options)?;
    let scope = Scope { sessions: args.sessions, sealer: sealer(context)? };
    let is_a_folder = matches!(url, StoreUrl::Embedded(_));
    let (now, rng) = (SystemClock.now(), SystemRandom::new());
    let filled = backup::copy(&*from, &*to, &scope, is_a_folder, args.merge, now, &rng).await;
    let filled = filled.map_err(|error| match error {
        BackupError::OpenKey(kid) => unsealed(&kid),
        error => refused("--from", &from_url, error),
    })?;
    context.output.record(&filled)
}

/// The store to read from, which is there already.
fn source(flag: &str, url: &StoreUrl, options: StoreOptions) -> Result<OpenStore, Failure> {
    store::open_existing(url, options)
        .map_err(|error| Failure::BadStore(format!("{flag}: {error}")))
}

/// Names the store that was likely not meant.
fn refused(flag: &str, url: &StoreUrl, error: BackupError) -> Failure {
    match error {
        BackupError::NoAccount => Failure::BadStore(format!(
            "{flag}: {url} holds no account, so nothing is written: is another store meant, or another \
             database or ?prefix= of it?"
        )),
        error => error.into(),
    }
}

/// A passphrase seals a file; this goes into a store.
fn unsealed(kid: &str) -> Failure {
    Failure::BadStore(format!(
        "the signing key {kid} is not sealed, and would lie open in the other store: set \
         TESSERA_KEY_ENCRYPTION_KEY or TESSERA_KEY_ENCRYPTION_KEY_FILE to the key-encryption key that \
         the issuer there will have, such as `openssl rand -hex 32` gives"
    ))
}

fn open(store: &StoreArgs, context: &Context) -> Result<OpenStore, Failure> {
    let (url, options) = store.resolve(context)?;
    Ok(store::open(&url, options)?)
}

fn passphrase(context: &Context) -> Result<Option<Secret>, Failure> {
    const NAME: &str = "TESSERA_BACKUP_PASSPHRASE";
    let passphrase = ask::variable(&context.env, NAME)?;
    let is_short = |it: &Secret| it.expose().chars().count() < SHORTEST_PASSPHRASE;
    match passphrase {
        Some(passphrase) if is_short(&passphrase) => Err(Failure::BadStore(format!(
            "{NAME}: {SHORTEST_PASSPHRASE} characters at least, such as `openssl rand -hex 32` gives"
        ))),
        passphrase => Ok(passphrase),
    }
}

fn sealer(context: &Context) -> Result<Option<KeyEncryptionKey>, Failure> {
    const NAME: &str = "TESSERA_KEY_ENCRYPTION_KEY";
    let Some(text) = ask::variable(&context.env, NAME)? else { return Ok(None) };
    let key = text.expose().parse();
    key.map(Some).map_err(|error| Failure::BadStore(format!("{NAME}: {error}")))
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => Self::StoreAway(error.to_string()),
            BackupError::NoPassphrase => Self::BadStore(
                "no passphrase: set TESSERA_BACKUP_PASSPHRASE or TESSERA_BACKUP_PASSPHRASE_FILE; an \
                 export without one is made with --plain"
                    .to_owned(),
            ),
            BackupError::OpenKey(_) => Self::BadStore(format!(
                "{error}: TESSERA_KEY_ENCRYPTION_KEY or TESSERA_BACKUP_PASSPHRASE"
            )),
            error => Self::Backup(error),
        }
    }
}

fn counted(counts: &Counts) -> Vec<(&'static str, Field)> {
    let number = |count: u64| Field::Number(i64::try_from(count).unwrap_or(i64::MAX));
    counts.0.iter().map(|(kind, count): (&Kind, &u64)| (kind.name(), number(*count))).collect()
}

impl Record for Counts {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        fields(counted(self))
    }
}

impl Record for Filled {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        let number = |count: u64| Field::Number(i64::try_from(count).unwrap_or(i64::MAX));
        fields([
            ("written", Field::Record(fields(counted(&self.written)))),
            ("unchanged", number(self.unchanged)),
            ("kept_though_different", number(self.kept)),
        ])
    }
}
