//! `tessera admin drop-signing-keys`: the way back when the key-encryption key is lost.

use clap::Args;
use tessera_shared::{
    keys::KeySet,
    store::{self, Key, StoreError, StoreWriter, Swap},
};

use crate::{
    context::Context,
    failure::Failure,
    record::{Field, Fields, Record, fields},
    store::StoreArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
For a lost key-encryption key, with which no issuer starts. Stop all issuers, drop the keys, and start
one with a new key-encryption key: it makes a signing key. Until then verifiers answer UNAVAILABLE
for access tokens, then they deny those that the dropped keys signed. Permanent tokens and
refresh tokens stay good all the time. Give that issuer the --issuer-url that this shows.

Example:
  tessera admin drop-signing-keys --store redis://issuer@redis:6379/0 --yes")]
pub(crate) struct DropSigningKeysArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Yes, all access tokens are to end
    #[arg(long, required = true)]
    yes: bool,
}

pub(crate) async fn run(args: DropSigningKeysArgs, context: &Context) -> Result<(), Failure> {
    let (url, options) = args.store.resolve(context)?;
    let store = store::open_existing(&url, options)?;
    let dropped = drop_all(&*store).await;
    let dropped = dropped.map_err(|error| Failure::StoreAway(error.to_string()))?;
    let dropped = dropped.ok_or_else(|| {
        Failure::BadStore(format!("--store: {url} holds no signing keys: is another store meant?"))
    })?;
    context.output.record(&dropped)
}

/// The private keys first, so that the same command completes one that was cut short.
async fn drop_all(store: &dyn StoreWriter) -> Result<Option<Dropped>, StoreError> {
    let Some(bytes) = store.read(&[Key::KeySet]).await?.pop().flatten() else { return Ok(None) };
    let set = KeySet::from_bytes(&bytes)?;
    for entry in &set.keys {
        let key = Key::PrivateKey(entry.public.kid().to_owned());
        if let Some(private) = store.read(std::slice::from_ref(&key)).await?.pop().flatten() {
            end(store, &key, &private).await?;
        }
    }
    end(store, &Key::KeySet, &bytes).await?;
    Ok(Some(Dropped { issuer: set.issuer, keys: set.keys.len() }))
}

async fn end(store: &dyn StoreWriter, key: &Key, value: &[u8]) -> Result<(), StoreError> {
    match store.swap(key, Some(value), None, None).await? {
        Swap::Done => Ok(()),
        // An issuer that runs.
        Swap::Conflict => Err(StoreError::Contended),
    }
}

struct Dropped {
    issuer: String,
    keys: usize,
}

impl Record for Dropped {
    const COLUMNS: &'static [&'static str] = &[];

    fn fields(&self) -> Fields {
        fields([
            ("issuer_url", Field::Text(self.issuer.clone())),
            ("dropped", Field::Number(i64::try_from(self.keys).unwrap_or(i64::MAX))),
        ])
    }
}
