//! Indexes: ordered sets of ids.

use super::{Failure, Outcome, Subject, fresh, same};
use crate::{id::AccountId, store::Index};

pub(super) async fn index_is_ascending_and_paged(store: Subject) -> Outcome {
    let index = Index::TokensOf(fresh()?);
    same("empty", store.index_page(index, 0, 10).await?, vec![])?;
    // 9 and 10 are in another order as text; the last is the greatest id there is.
    let greatest = (1 << 53) - 1;
    for id in [10, 1000, 9, greatest, 1, 11] {
        store.index_add(index, id).await?;
    }
    let all = vec![1, 9, 10, 11, 1000, greatest];
    same("all", store.index_page(index, 0, 100).await?, all.clone())?;
    same("all, without limit", store.index_page(index, 0, usize::MAX).await?, all)?;
    same("none", store.index_page(index, 0, 0).await?, vec![])?;
    same("first page", store.index_page(index, 0, 2).await?, vec![1, 9])?;
    same("next page", store.index_page(index, 9, 2).await?, vec![10, 11])?;
    same("after an id that is not there", store.index_page(index, 12, 1).await?, vec![1000])?;
    same("before the greatest", store.index_page(index, greatest - 1, 2).await?, vec![greatest])?;
    same("after the last", store.index_page(index, greatest, 2).await?, vec![])
}

pub(super) async fn index_changes_are_idempotent(store: Subject) -> Outcome {
    let index = Index::SessionsOf(fresh()?);
    store.index_remove(index, 1).await?;
    for id in [2, 1, 2] {
        store.index_add(index, id).await?;
    }
    same("added twice", store.index_page(index, 0, 10).await?, vec![1, 2])?;
    for _ in 0..2 {
        store.index_remove(index, 1).await?;
    }
    same("removed twice", store.index_page(index, 0, 10).await?, vec![2])
}

pub(super) async fn indexes_are_apart(store: Subject) -> Outcome {
    let (account, other): (AccountId, AccountId) = (fresh()?, fresh()?);
    let user = account.get().try_into().map_err(|_| Failure::Suite("no user id".to_owned()))?;
    store.index_add(Index::TokensOf(account), 1).await?;
    store.index_add(Index::UsersOf(account), 2).await?;
    store.index_add(Index::SessionsOf(user), 3).await?;
    store.index_add(Index::Accounts, account.get()).await?;
    same("tokens", store.index_page(Index::TokensOf(account), 0, 9).await?, vec![1])?;
    same("users", store.index_page(Index::UsersOf(account), 0, 9).await?, vec![2])?;
    same("sessions", store.index_page(Index::SessionsOf(user), 0, 9).await?, vec![3])?;
    same("another owner", store.index_page(Index::TokensOf(other), 0, 9).await?, vec![])?;
    let accounts = store.index_page(Index::Accounts, account.get() - 1, 1).await?;
    same("accounts", accounts, vec![account.get()])?;
    Ok(store.index_remove(Index::Accounts, account.get()).await?)
}
