//! The sweep: mends what a crash between two writes left behind. Nothing that it
//! removes grants anything, so it may run late, twice, or on several issuers.

mod leads;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tessera_shared::{
    id::{AccountId, SessionId, TokenId, UserId, made_at},
    store::{Index, Key, records},
};

use crate::{core::Core, failure::Failure};

const PAGE: usize = 500;
/// Younger entries may belong to a call that is still under way: longer than one may take,
/// and than a claimed name lasts.
const MIN_AGE: Duration = Duration::from_mins(10);

impl Core {
    /// Removes entries that lead to no record, and what is past its keeping.
    pub(crate) async fn sweep(&self) -> Result<(), Failure> {
        self.store.collect_garbage(self.now()).await?;
        let mut accounts = Ids::of(Index::Accounts);
        while let Some(ids) = accounts.next(self).await? {
            for account in ids.iter().filter_map(|id| AccountId::try_from(*id).ok()) {
                self.sweep_tokens(account).await?;
                self.sweep_users(account).await?;
            }
            let account = |id| AccountId::try_from(id).ok().map(Key::Account);
            for id in self.missing(&ids, account).await? {
                self.store.index_remove(Index::Accounts, id).await?;
            }
        }
        Ok(())
    }

    async fn sweep_tokens(&self, account: AccountId) -> Result<(), Failure> {
        let token = |id| TokenId::try_from(id).ok().map(Key::Token);
        let mut listed = Ids::of(Index::TokensOf(account));
        while let Some(ids) = listed.next(self).await? {
            self.date_leads(&ids).await?;
            let missing = self.missing(&ids, token).await?;
            // First, since the index is what leads here.
            let gone: Vec<_> =
                missing.iter().filter_map(|id| TokenId::try_from(*id).ok()).collect();
            self.store.forget_usage(&gone).await?;
            for id in missing {
                self.store.index_remove(Index::TokensOf(account), id).await?;
            }
        }
        let reserved = self.store.reserved(account, self.now(), PAGE).await?;
        for id in self.missing(&reserved, token).await? {
            if let Ok(id) = TokenId::try_from(id) {
                self.store.release(account, id).await?;
            }
        }
        Ok(())
    }

    async fn sweep_users(&self, account: AccountId) -> Result<(), Failure> {
        let user = |id| UserId::try_from(id).ok().map(Key::User);
        let mut users = Ids::of(Index::UsersOf(account));
        while let Some(ids) = users.next(self).await? {
            for user in ids.iter().filter_map(|id| UserId::try_from(*id).ok()) {
                self.sweep_sessions(user).await?;
            }
            for id in self.missing(&ids, user).await? {
                // While it is listed, its password is found.
                if let Ok(user) = UserId::try_from(id) {
                    records::remove(&*self.store, Key::Password(user)).await?;
                }
                self.store.index_remove(Index::UsersOf(account), id).await?;
            }
        }
        Ok(())
    }

    async fn sweep_sessions(&self, user: UserId) -> Result<(), Failure> {
        let session = |id| SessionId::try_from(id).ok().map(Key::Session);
        let mut sessions = Ids::of(Index::SessionsOf(user));
        while let Some(ids) = sessions.next(self).await? {
            for id in self.missing(&ids, session).await? {
                self.store.index_remove(Index::SessionsOf(user), id).await?;
            }
        }
        Ok(())
    }

    /// Those of `ids` that are old enough to be there and are not.
    async fn missing(
        &self,
        ids: &[i64],
        key: impl Fn(i64) -> Option<Key>,
    ) -> Result<Vec<i64>, Failure> {
        let now = self.now();
        let old = ids.iter().copied().filter(|id| made_at(*id).after(MIN_AGE) < now);
        let (ids, keys): (Vec<_>, Vec<_>) = old.filter_map(|id| Some((id, key(id)?))).unzip();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values = self.store.read(&keys).await?;
        Ok(ids.into_iter().zip(values).filter(|(_, v)| v.is_none()).map(|(id, _)| id).collect())
    }
}

/// Walks an index page by page.
struct Ids {
    index: Index,
    after: Option<i64>,
}

impl Ids {
    const fn of(index: Index) -> Self {
        Self { index, after: Some(0) }
    }

    async fn next(&mut self, core: &Core) -> Result<Option<Vec<i64>>, Failure> {
        let Some(after) = self.after else { return Ok(None) };
        let ids = core.store.index_page(self.index, after, PAGE).await?;
        self.after = ids.last().copied().filter(|_| ids.len() == PAGE);
        Ok(Some(ids))
    }
}
