//! Records: reading, and compare-and-swap.

use super::{Failure, Outcome, Subject, fresh, same, together};
use crate::store::{Key, StoreError, Swap};

const MEBIBYTE: usize = 1 << 20;

pub(super) async fn absent_records_read_as_none(store: Subject) -> Outcome {
    let keys = [Key::Token(fresh()?), Key::PrivateKey("no such kid".to_owned())];
    same("no keys", store.read(&[]).await?, vec![])?;
    same("one key", store.read(keys.get(..1).unwrap_or_default()).await?, vec![None])?;
    same("two keys", store.read(&keys).await?, vec![None, None])
}

pub(super) async fn many_keys_are_read_in_their_order(store: Subject) -> Outcome {
    let mut keys = Vec::new();
    let mut wanted = Vec::new();
    for number in 0..100_u8 {
        let key = Key::Token(fresh()?);
        let value = (number % 3 != 0).then(|| vec![number]);
        if let Some(value) = &value {
            make(&store, &key, value).await?;
        }
        keys.push(key);
        wanted.push(value);
    }
    // A key that is asked for twice is answered twice.
    keys.extend(keys.get(1).cloned());
    wanted.extend(wanted.get(1).cloned());
    same("values", store.read(&keys).await?, wanted)
}

pub(super) async fn each_kind_of_key_has_a_place_of_its_own(store: Subject) -> Outcome {
    let number: crate::id::TokenId = fresh()?;
    let name = number.to_string();
    let id = |kind: &str| Failure::Suite(format!("no {kind} id"));
    let keys = [
        Key::Account(number.get().try_into().map_err(|_| id("account"))?),
        Key::User(number.get().try_into().map_err(|_| id("user"))?),
        Key::Password(number.get().try_into().map_err(|_| id("user"))?),
        Key::Session(number.get().try_into().map_err(|_| id("session"))?),
        Key::Token(number),
        Key::Username(name.clone()),
        Key::Username(format!("{name} ünï:{{x}}*\r\n")),
        Key::Username("roles".to_owned()),
        Key::PrivateKey(name.clone()),
        Key::PrivateKey(format!("{name}:1")),
        Key::Roles,
        Key::KeySet,
        Key::Imports,
        Key::Foreign([7; 32]),
        Key::Foreign([8; 32]),
        Key::Revocations(0),
        Key::Revocations(1),
        Key::Revocations(255),
    ];
    let mut wanted = Vec::new();
    for (key, number) in keys.iter().zip(1..) {
        let old = value(&store, key).await?;
        let new = vec![number; 9];
        let swap = store.swap(key, old.as_deref(), Some(&new), None).await?;
        same("swap", swap, Swap::Done)?;
        wanted.push(Some(new));
    }
    same("values", store.read(&keys).await?, wanted.clone())?;
    for (key, value) in keys.iter().zip(&wanted) {
        same("removal", store.swap(key, value.as_deref(), None, None).await?, Swap::Done)?;
    }
    same("nothing is left", store.read(&keys).await?, vec![None; keys.len()])
}

pub(super) async fn swap_makes_replaces_and_removes_only_what_was_expected(
    store: Subject,
) -> Outcome {
    let key = Key::User(fresh()?);
    // Expected, new, how it ends, what there is then.
    let steps = [
        (Some("a"), Some("b"), Swap::Conflict, None),
        (Some("a"), None, Swap::Conflict, None),
        (None, None, Swap::Done, None),
        (None, Some("a"), Swap::Done, Some("a")),
        (None, Some("b"), Swap::Conflict, Some("a")),
        (None, None, Swap::Conflict, Some("a")),
        (Some("b"), Some("c"), Swap::Conflict, Some("a")),
        (Some("b"), None, Swap::Conflict, Some("a")),
        (Some("aa"), Some("c"), Swap::Conflict, Some("a")),
        (Some("a"), Some("a"), Swap::Done, Some("a")),
        (Some("a"), Some("b"), Swap::Done, Some("b")),
        (Some("b"), None, Swap::Done, None),
        (None, Some("c"), Swap::Done, Some("c")),
    ];
    for (expected, new, end, then) in steps {
        let step = format!("{expected:?} to {new:?}");
        let (expected, new) = (expected.map(str::as_bytes), new.map(str::as_bytes));
        same(&step, store.swap(&key, expected, new, None).await?, end)?;
        same(&step, value(&store, &key).await?, then.map(|text| text.as_bytes().to_vec()))?;
    }
    Ok(())
}

pub(super) async fn one_of_many_concurrent_swaps_wins(store: Subject) -> Outcome {
    let key = Key::Username(fresh::<crate::id::UserId>()?.to_string());
    for expected in [None, Some(b"first".to_vec())] {
        let ends = together(100, |number| {
            let (store, key, expected) = (store.clone(), key.clone(), expected.clone());
            async move {
                let new = number.to_string().into_bytes();
                let end = store.swap(&key, expected.as_deref(), Some(&new), None).await?;
                Ok((end == Swap::Done).then_some(new))
            }
        })
        .await?;
        let winners: Vec<_> = ends.into_iter().flatten().collect();
        same("winners", winners.len(), 1)?;
        let stored = value(&store, &key).await?;
        same("what the winner wrote", stored.as_ref(), winners.first())?;
        let reset = store.swap(&key, stored.as_deref(), Some(b"first"), None).await?;
        same("reset", reset, Swap::Done)?;
    }
    Ok(())
}

pub(super) async fn chained_concurrent_swaps_lose_no_update(store: Subject) -> Outcome {
    let key = Key::Account(fresh()?);
    make(&store, &key, b"0").await?;
    together(20, |_| increment(store.clone(), key.clone())).await?;
    same("sum", value(&store, &key).await?, Some(b"20".to_vec()))
}

async fn increment(store: Subject, key: Key) -> Outcome {
    loop {
        let old = value(&store, &key).await?.unwrap_or_default();
        let number: u32 = String::from_utf8_lossy(&old).parse().unwrap_or_default();
        let new = (number + 1).to_string();
        if store.swap(&key, Some(&old), Some(new.as_bytes()), None).await? == Swap::Done {
            return Ok(());
        }
    }
}

pub(super) async fn values_are_any_bytes_up_to_a_mebibyte(store: Subject) -> Outcome {
    let all_bytes: Vec<u8> = (0..=u8::MAX).cycle().take(MEBIBYTE).collect();
    let values = [vec![0], vec![0; 8], vec![0xff; 3], b"\r\n$-1\r\n".to_vec(), all_bytes];
    for bytes in values {
        let key = Key::Session(fresh()?);
        make(&store, &key, &bytes).await?;
        same("value", value(&store, &key).await?.as_ref(), Some(&bytes))?;
        let mut other = bytes.clone();
        other.push(0);
        let longer = store.swap(&key, Some(&other), None, None).await?;
        same("one byte more is another value", longer, Swap::Conflict)?;
        let removed = store.swap(&key, Some(&bytes), None, None).await?;
        same("the same bytes are the same value", removed, Swap::Done)?;
    }
    Ok(())
}

pub(super) async fn empty_values_are_refused(store: Subject) -> Outcome {
    let key = Key::Token(fresh()?);
    let end = store.swap(&key, None, Some(b""), None).await;
    same("empty new", matches!(end, Err(StoreError::Damaged(_))), true)?;
    same("empty expected", store.swap(&key, Some(b""), Some(b"a"), None).await?, Swap::Conflict)?;
    same("nothing is stored", value(&store, &key).await?, None)
}

/// The value under one key.
pub(super) async fn value(store: &Subject, key: &Key) -> Result<Option<Vec<u8>>, Failure> {
    Ok(store.read(std::slice::from_ref(key)).await?.pop().flatten())
}

/// Stores a value where there is none.
async fn make(store: &Subject, key: &Key, value: &[u8]) -> Outcome {
    same("making", store.swap(key, None, Some(value), None).await?, Swap::Done)
}
