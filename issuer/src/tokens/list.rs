//! Listing permanent tokens, a page at a time.

use tessera_shared::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    record::PermanentToken,
    store::{Index, Key, records},
};

use super::{State, reach::is_within_reach};
use crate::{caller::Caller, core::Core, failure::Failure, fields::Page};

/// Records read at a time.
const CHUNK: usize = 256;
/// Records looked at for one page, so that a filter that fits few of many can't hold
/// a call for ever; the page is short then, and names where to go on.
const LOOKED_AT: usize = 8 * CHUNK;

/// Which records to answer.
#[derive(Default)]
pub(crate) struct Filter {
    pub(crate) created_by: Option<i64>,
    pub(crate) role: Option<i64>,
    pub(crate) state: Option<State>,
    pub(crate) expires_before: Option<Timestamp>,
}

impl Filter {
    fn fits(&self, token: &PermanentToken, now: Timestamp) -> bool {
        self.created_by.is_none_or(|user| token.user == user)
            && self.role.is_none_or(|role| token.role == role)
            && self.state.is_none_or(|state| State::of(token, now) == state)
            && self
                .expires_before
                .is_none_or(|before| token.expires_at != 0 && token.expires_at < before.millis())
    }
}

impl Core {
    /// A page of the account's tokens that the caller may see, and the id to go on
    /// after, if there may be more.
    pub(crate) async fn list_tokens(
        &self,
        caller: &Caller,
        account: AccountId,
        filter: &Filter,
        page: Page,
    ) -> Result<(Vec<PermanentToken>, Option<i64>), Failure> {
        if account != caller.account() && !caller.administers(account) {
            return Err(Failure::NotPermitted);
        }
        let (now, mut after, mut found) = (self.now(), page.after, Vec::new());
        for _ in 0..LOOKED_AT / CHUNK {
            let ids = self.store.index_page(Index::TokensOf(account), after, CHUNK).await?;
            let is_last = ids.len() < CHUNK;
            let keys: Vec<Key> =
                ids.iter().filter_map(|id| TokenId::try_from(*id).ok()).map(Key::Token).collect();
            if keys.is_empty() {
                return Ok((found, None));
            }
            let records: Vec<Option<PermanentToken>> =
                records::load_all(&*self.store, &keys).await?;
            for (id, token) in ids.into_iter().zip(records) {
                if found.len() == page.size {
                    return Ok((found, Some(after)));
                }
                after = id;
                let fits = |t: &PermanentToken| {
                    t.account == account.get() && is_within_reach(caller, t) && filter.fits(t, now)
                };
                found.extend(token.filter(fits));
            }
            if is_last {
                return Ok((found, None));
            }
        }
        Ok((found, Some(after)))
    }
}
