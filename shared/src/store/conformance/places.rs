//! The count of an account's live tokens.

use super::{Failure, Outcome, Subject, fresh, same, together};
use crate::{
    clock::Timestamp,
    id::{AccountId, TokenId},
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_800_000_000_001);
const LATEST: Timestamp = Timestamp::from_millis(1_800_000_000_002);

pub(super) async fn limit_holds_under_concurrency(store: Subject) -> Outcome {
    for limit in [0, 1, 50] {
        let account: AccountId = fresh()?;
        let answers = together(100, |_| {
            let store = store.clone();
            async move {
                let token: TokenId = fresh()?;
                Ok((token, store.reserve(account, token, LATER, NOW, limit).await?))
            }
        })
        .await?;
        let mut places: Vec<i64> =
            answers.iter().filter(|(_, got)| *got).map(|(token, _)| token.get()).collect();
        places.sort_unstable();
        same("places", u32::try_from(places.len()).unwrap_or(u32::MAX), limit)?;
        same("who has them", reserved(&store, account, NOW).await?, places)?;
    }
    Ok(())
}

pub(super) async fn counted_token_keeps_one_place(store: Subject) -> Outcome {
    let (account, [first, second, third]) = three_tokens()?;
    for until in [LATER, Timestamp::NEVER, LATEST] {
        same("again", store.reserve(account, first, until, NOW, 2).await?, true)?;
    }
    same("second", store.reserve(account, second, LATER, NOW, 2).await?, true)?;
    same("at the limit, again", store.reserve(account, first, LATEST, NOW, 2).await?, true)?;
    same("at the limit, another", store.reserve(account, third, LATER, NOW, 2).await?, false)?;
    same("both", reserved(&store, account, NOW).await?, sorted([first, second]))?;
    same("the last time counts", reserved(&store, account, LATER).await?, sorted([first]))
}

pub(super) async fn expired_token_frees_its_place(store: Subject) -> Outcome {
    let (account, [first, second, third]) = three_tokens()?;
    same("first", store.reserve(account, first, LATER, NOW, 1).await?, true)?;
    same("before expiry", store.reserve(account, second, LATEST, NOW, 1).await?, false)?;
    same("live", reserved(&store, account, NOW).await?, sorted([first]))?;
    // Expired is: now is the expiry, or after it.
    same("expired", reserved(&store, account, LATER).await?, vec![])?;
    let forever = Timestamp::NEVER;
    same("at expiry", store.reserve(account, second, forever, LATER, 1).await?, true)?;
    same("live again", reserved(&store, account, LATER).await?, sorted([second]))?;
    let far = Timestamp::from_millis(1 << 52);
    same("never is never", store.reserve(account, third, forever, far, 1).await?, false)?;
    same("for ever", reserved(&store, account, far).await?, sorted([second]))
}

pub(super) async fn release_frees_a_place(store: Subject) -> Outcome {
    let (account, [first, second, third]) = three_tokens()?;
    store.release(account, first).await?;
    same("first", store.reserve(account, first, Timestamp::NEVER, NOW, 1).await?, true)?;
    store.release(account, second).await?;
    same("another's release", store.reserve(account, second, LATER, NOW, 1).await?, false)?;
    for _ in 0..2 {
        store.release(account, first).await?;
    }
    same("after release", store.reserve(account, third, LATER, NOW, 1).await?, true)?;
    same("released twice", store.reserve(account, second, LATER, NOW, 1).await?, false)?;
    let (other, _) = three_tokens()?;
    same("another account", store.reserve(other, second, LATER, NOW, 1).await?, true)
}

pub(super) async fn lowered_limit_changes_nothing_that_is_counted(store: Subject) -> Outcome {
    let (account, [first, second, third]) = three_tokens()?;
    for token in [first, second, third] {
        same("reserved", store.reserve(account, token, LATER, NOW, 3).await?, true)?;
    }
    same("two others", store.reserve(account, first, LATEST, NOW, 2).await?, false)?;
    same("all three", reserved(&store, account, NOW).await?, sorted([first, second, third]))?;
    same("unchanged time", reserved(&store, account, LATER).await?, vec![])?;
    same("at most", store.reserved(account, NOW, 2).await?.len(), 2)
}

fn three_tokens() -> Result<(AccountId, [TokenId; 3]), Failure> {
    Ok((fresh()?, [fresh()?, fresh()?, fresh()?]))
}

async fn reserved(
    store: &Subject,
    account: AccountId,
    now: Timestamp,
) -> Result<Vec<i64>, Failure> {
    let mut tokens = store.reserved(account, now, 1000).await?;
    tokens.sort_unstable();
    Ok(tokens)
}

fn sorted<const N: usize>(tokens: [TokenId; N]) -> Vec<i64> {
    let mut tokens = tokens.map(TokenId::get).to_vec();
    tokens.sort_unstable();
    tokens
}
