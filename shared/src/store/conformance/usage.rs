//! When tokens are used.

use super::{Failure, Outcome, Subject, fresh, same, together};
use crate::{
    clock::Timestamp,
    id::TokenId,
    store::{Key, Swap},
    usage::Usage,
};

const NOW: Timestamp = at(10_000);
const NONE: Usage = Usage::from_seconds((0, 0));

pub(super) async fn unused_tokens_have_no_usage(store: Subject) -> Outcome {
    store.report_usage(&[]).await?;
    gather(&store).await?;
    same("no tokens", store.usage(&[]).await?, vec![])?;
    same("unused", usage(&store, token(&store).await?).await?, NONE)?;
    same("not there", usage(&store, fresh()?).await?, NONE)
}

pub(super) async fn usage_is_merged_by_maximum(store: Subject) -> Outcome {
    let token = token(&store).await?;
    for (reported, known) in [(5, 5), (3, 5), (5, 5), (9, 9), (8, 9)] {
        store.report_usage(&[(token, Usage::use_at(at(reported)))]).await?;
        gather(&store).await?;
        same("one by one", usage(&store, token).await?, Usage::use_at(at(known)))?;
    }
    let together = [10, 30, 20].map(|second| (token, Usage::use_at(at(second))));
    store.report_usage(&together).await?;
    for second in [25, 40, 35] {
        store.report_usage(&[(token, Usage::use_at(at(second)))]).await?;
    }
    gather(&store).await?;
    same("at once", usage(&store, token).await?, Usage::use_at(at(40)))
}

pub(super) async fn use_and_reuse_are_apart(store: Subject) -> Outcome {
    let token = token(&store).await?;
    store.report_usage(&[(token, Usage::reuse_at(at(7)))]).await?;
    gather(&store).await?;
    same("reuse", usage(&store, token).await?, Usage::reuse_at(at(7)))?;
    let both = Usage::use_at(at(2)).merged(Usage::reuse_at(at(3)));
    store.report_usage(&[(token, both)]).await?;
    gather(&store).await?;
    same("both", usage(&store, token).await?, Usage::use_at(at(2)).merged(Usage::reuse_at(at(7))))?;
    store.report_usage(&[(token, Usage::use_at(at(9)))]).await?;
    gather(&store).await?;
    same("use", usage(&store, token).await?, Usage::use_at(at(9)).merged(Usage::reuse_at(at(7))))
}

pub(super) async fn usage_is_in_the_order_that_was_asked_for(store: Subject) -> Outcome {
    let mut notes = Vec::new();
    for second in 1..=1500 {
        notes.push((token(&store).await?, Usage::use_at(at(second))));
    }
    for report in notes.chunks(20) {
        store.report_usage(report).await?;
    }
    gather(&store).await?;
    notes.reverse();
    let (tokens, wanted): (Vec<_>, Vec<_>) = notes.into_iter().unzip();
    same("all as reported", store.usage(&tokens).await? == wanted, true)
}

pub(super) async fn concurrent_reports_and_merges_lose_nothing(store: Subject) -> Outcome {
    let mut tokens = Vec::new();
    for _ in 0..10 {
        tokens.push(token(&store).await?);
    }
    together(50, |second| {
        let (store, tokens) = (store.clone(), tokens.clone());
        async move {
            for round in 0..10 {
                let usage = Usage::use_at(at(second * 10 + round));
                let notes: Vec<_> = tokens.iter().map(|token| (*token, usage)).collect();
                store.report_usage(&notes).await?;
                store.merge_reported(NOW).await?;
            }
            Ok(())
        }
    })
    .await?;
    gather(&store).await?;
    same("the last of all", store.usage(&tokens).await?, vec![Usage::use_at(at(499)); 10])
}

pub(super) async fn usage_of_tokens_that_are_not_there_is_not_kept(store: Subject) -> Outcome {
    let (absent, present): (TokenId, _) = (fresh()?, token(&store).await?);
    let used = Usage::use_at(at(5));
    store.report_usage(&[(absent, used), (present, used)]).await?;
    gather(&store).await?;
    same("usage", store.usage(&[absent, present]).await?, vec![NONE, used])
}

pub(super) async fn usage_leaves_the_record_alone(store: Subject) -> Outcome {
    let token = token(&store).await?;
    store.report_usage(&[(token, Usage::use_at(at(5)))]).await?;
    gather(&store).await?;
    let key = Key::Token(token);
    same("record", store.read(std::slice::from_ref(&key)).await?, vec![Some(b"token".to_vec())])?;
    same("swap", store.swap(&key, Some(b"token"), Some(b"new"), None).await?, Swap::Done)?;
    same("usage", usage(&store, token).await?, Usage::use_at(at(5)))
}

pub(super) async fn forgotten_usage_is_gone(store: Subject) -> Outcome {
    let [gone, kept] = [token(&store).await?, token(&store).await?];
    let used = Usage::use_at(at(5));
    store.report_usage(&[(gone, used), (kept, used)]).await?;
    gather(&store).await?;
    for _ in 0..2 {
        store.forget_usage(&[gone]).await?;
        same("usage", store.usage(&[gone, kept]).await?, vec![NONE, used])?;
    }
    Ok(())
}

const fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + second * 1000)
}

/// A token with a record.
async fn token(store: &Subject) -> Result<TokenId, Failure> {
    let token: TokenId = fresh()?;
    store.swap(&Key::Token(token), None, Some(b"token"), None).await?;
    Ok(token)
}

/// Merges all that was reported.
async fn gather(store: &Subject) -> Outcome {
    while store.merge_reported(NOW).await? {}
    Ok(())
}

async fn usage(store: &Subject, token: TokenId) -> Result<Usage, Failure> {
    let usage = store.usage(&[token]).await?;
    usage.first().copied().ok_or_else(|| Failure::Rule("no answer for a token".to_owned()))
}
