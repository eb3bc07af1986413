//! Garbage: records whose time is over.

use std::time::Duration;

use super::{Outcome, Subject, fresh, records::value, same};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    store::{Key, Swap},
};

/// Longer than a store takes that waits for its replicas on a busy machine.
const SOON: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn garbage_goes_and_nothing_else(store: Subject) -> Outcome {
    let now = SystemClock.now();
    let times = [None, Some(Timestamp::NEVER), Some(now.after(HOUR)), Some(now.after(SOON))];
    let mut keys = Vec::new();
    for at in times {
        let key = Key::Session(fresh()?);
        same("made", store.swap(&key, None, Some(b"x"), at).await?, Swap::Done)?;
        keys.push(key);
    }
    for at in [now, Timestamp::from_millis(1), Timestamp::from_millis(-1)] {
        let key = Key::Session(fresh()?);
        same("long past", store.swap(&key, None, Some(b"x"), Some(at)).await?, Swap::Done)?;
        keys.push(key);
    }
    let kept = Some(b"x".to_vec());
    let mut wanted = vec![kept; 3];
    wanted.resize(keys.len(), None);
    let mut found = store.read(&keys).await?;
    while found != wanted && SystemClock.now() < now.after(PATIENCE) {
        store.collect_garbage(SystemClock.now()).await?;
        found = store.read(&keys).await?;
    }
    same("what is left", found, wanted)?;
    for key in &keys {
        // Made anew, it is no garbage.
        let old = value(&store, key).await?;
        same("anew", store.swap(key, old.as_deref(), Some(b"y"), None).await?, Swap::Done)?;
    }
    store.collect_garbage(SystemClock.now()).await?;
    same("what is made anew", store.read(&keys).await?, vec![Some(b"y".to_vec()); keys.len()])
}

pub(super) async fn new_value_has_its_own_time_of_garbage(store: Subject) -> Outcome {
    let now = SystemClock.now();
    let soon = Some(now.after(SOON));
    let (witness, cleared, moved) =
        (Key::Token(fresh()?), Key::Token(fresh()?), Key::Token(fresh()?));
    for key in [&cleared, &moved, &witness] {
        same("made", store.swap(key, None, Some(b"x"), soon).await?, Swap::Done)?;
    }
    let refused = store.swap(&witness, Some(b"z"), Some(b"y"), None).await?;
    same("a conflict changes no time", refused, Swap::Conflict)?;
    let end = store.swap(&cleared, Some(b"x"), Some(b"y"), None).await?;
    same("cleared", end, Swap::Done)?;
    let end = store.swap(&moved, Some(b"x"), Some(b"y"), Some(now.after(HOUR))).await?;
    same("moved", end, Swap::Done)?;
    while value(&store, &witness).await?.is_some() && SystemClock.now() < now.after(PATIENCE) {
        store.collect_garbage(SystemClock.now()).await?;
    }
    let kept = Some(b"y".to_vec());
    let left = store.read(&[witness, cleared, moved]).await?;
    same("what is left", left, vec![None, kept.clone(), kept])
}
