//! A store's records, a page at a time, in the order in which they may be written: who
//! owns something before what is owned, private keys before the set that names them.

use std::collections::VecDeque;

use ring::rand::SecureRandom;

use super::{BackupError, PAGE, Scope, entry::Entry};
use crate::{
    id::{AccountId, SessionId, TokenId, UserId},
    keys::{self, KeySet},
    record::{PermanentToken, User},
    store::{Index, Key, REVOCATION_BUCKETS, StoreWriter, records},
};

/// What is still to be read.
enum Step {
    /// The catalogue and the revocations.
    Foundations,
    /// A page of a list, above an id.
    Page(Index, i64),
    /// The signing keys.
    Keys,
}

/// Walks over a store.
pub(super) struct Walk<'a> {
    store: &'a dyn StoreWriter,
    scope: &'a Scope,
    /// Whether unsealed private keys may lie open where this goes.
    is_safe: bool,
    rng: &'a dyn SecureRandom,
    steps: VecDeque<Step>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        store: &'a dyn StoreWriter,
        scope: &'a Scope,
        is_safe: bool,
        rng: &'a dyn SecureRandom,
    ) -> Self {
        let steps = [Step::Foundations, Step::Page(Index::Accounts, 0), Step::Keys].into();
        Self { store, scope, is_safe, rng, steps }
    }

    /// The next records, maybe none; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Entry>>, BackupError> {
        let Some(step) = self.steps.pop_front() else { return Ok(None) };
        Ok(Some(match step {
            Step::Foundations => {
                let buckets = (0..REVOCATION_BUCKETS).map(Key::Revocations);
                let keys: Vec<_> = [Key::Roles, Key::Imports].into_iter().chain(buckets).collect();
                self.read(keys).await?
            }
            Step::Page(index, after) => {
                let ids = self.store.index_page(index, after, PAGE).await?;
                // After what the page itself leads to, so that few steps wait at a time.
                if let Some(last) = ids.last().filter(|_| ids.len() == PAGE) {
                    self.steps.push_front(Step::Page(index, *last));
                }
                self.page(index, &ids).await?
            }
            Step::Keys => self.keys().await?,
        }))
    }

    async fn page(&mut self, index: Index, ids: &[i64]) -> Result<Vec<Entry>, BackupError> {
        match index {
            Index::Accounts => {
                let accounts: Vec<_> =
                    ids.iter().filter_map(|id| AccountId::try_from(*id).ok()).collect();
                for account in accounts.iter().rev() {
                    self.steps.push_front(Step::Page(Index::TokensOf(*account), 0));
                    self.steps.push_front(Step::Page(Index::UsersOf(*account), 0));
                }
                self.read(accounts.into_iter().map(Key::Account).collect()).await
            }
            Index::UsersOf(_) => self.users(ids).await,
            Index::SessionsOf(_) => {
                let ids = ids.iter().filter_map(|id| SessionId::try_from(*id).ok());
                self.read(ids.map(Key::Session).collect()).await
            }
            Index::TokensOf(_) => self.tokens(ids).await,
        }
    }

    async fn users(&mut self, ids: &[i64]) -> Result<Vec<Entry>, BackupError> {
        let ids: Vec<_> = ids.iter().filter_map(|id| UserId::try_from(*id).ok()).collect();
        if self.scope.sessions {
            for user in ids.iter().rev() {
                self.steps.push_front(Step::Page(Index::SessionsOf(*user), 0));
            }
        }
        let users = self.read(ids.iter().copied().map(Key::User).collect()).await?;
        let mut keys: Vec<_> = ids.into_iter().map(Key::Password).collect();
        for user in &users {
            keys.push(Key::Username(records::decode::<User>(&user.value)?.username));
        }
        let mut entries = self.read(keys).await?;
        entries.extend(users);
        Ok(entries)
    }

    async fn tokens(&self, ids: &[i64]) -> Result<Vec<Entry>, BackupError> {
        let ids: Vec<_> = ids.iter().filter_map(|id| TokenId::try_from(*id).ok()).collect();
        let mut entries = self.read(ids.iter().copied().map(Key::Token).collect()).await?;
        let mut leads = Vec::new();
        for token in &entries {
            let token: PermanentToken = records::decode(&token.value)?;
            // What leads to a token is written before it.
            leads.extend(token.imported_hash.as_slice().try_into().ok().map(Key::Foreign));
        }
        let mut found = self.read(leads).await?;
        found.append(&mut entries);
        entries = found;
        let usage = self.store.usage(&ids).await?;
        let used = ids.into_iter().zip(usage).filter(|(_, usage)| usage.to_seconds() != (0, 0));
        entries.extend(used.map(|(token, usage)| Entry::usage(token, usage)));
        Ok(entries)
    }

    /// The records that there are.
    async fn read(&self, keys: Vec<Key>) -> Result<Vec<Entry>, BackupError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values = self.store.read(&keys).await?;
        let found = keys.iter().zip(values);
        Ok(found.filter_map(|(key, value)| Some(Entry::record(key, value?))).collect())
    }

    async fn keys(&self) -> Result<Vec<Entry>, BackupError> {
        let mut set = self.read(vec![Key::KeySet]).await?;
        let Some(bytes) = set.first().map(|entry| entry.value.as_slice()) else {
            return Ok(Vec::new());
        };
        let kids = KeySet::from_bytes(bytes).map_err(crate::store::StoreError::from)?.keys;
        let kids = kids.into_iter().map(|key| Key::PrivateKey(key.public.kid().to_owned()));
        let mut entries = self.read(kids.collect()).await?;
        for entry in &mut entries {
            self.close(entry)?;
        }
        entries.append(&mut set);
        Ok(entries)
    }

    /// Seals a private key, unless it is so or may lie open.
    fn close(&self, entry: &mut Entry) -> Result<(), BackupError> {
        let Some(Key::PrivateKey(kid)) = entry.key()? else { return Ok(()) };
        // What stands in place of an imported key that has ended opens as none.
        let Ok(key) = keys::open(&entry.value, &kid, None) else { return Ok(()) };
        match &self.scope.sealer {
            Some(sealer) => entry.value = keys::seal(&key, Some(sealer), self.rng)?,
            None if self.is_safe => {}
            None => return Err(BackupError::OpenKey(kid)),
        }
        Ok(())
    }
}
