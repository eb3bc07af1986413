use std::{
    task::{Context, Waker},
    time::Duration,
};

use async_trait::async_trait;

use super::*;
use crate::{store::Key, usage::report_during};

/// A store that keeps reports while it is up.
#[derive(Default)]
struct Reports {
    reports: Mutex<Vec<Vec<(TokenId, Usage)>>>,
    /// How many reports it takes before it fails.
    room: Mutex<Option<usize>>,
}

impl Reports {
    fn cut_after(&self, reports: usize) {
        *self.room.lock().unwrap() = Some(reports);
    }

    fn mend(&self) {
        *self.room.lock().unwrap() = None;
    }

    fn merged(&self) -> Notes {
        let mut merged = Notes::default();
        for (token, usage) in self.reports.lock().unwrap().iter().flatten() {
            let merged = merged.entry(*token).or_default();
            *merged = merged.merged(*usage);
        }
        merged
    }
}

#[async_trait]
impl StoreReader for Reports {
    async fn read(&self, _: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Err(StoreError::Unavailable("nothing is read here".to_owned()))
    }

    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        if let Some(room) = &mut *self.room.lock().unwrap() {
            *room = room
                .checked_sub(1)
                .ok_or_else(|| StoreError::Unavailable("an outage".to_owned()))?;
        }
        self.reports.lock().unwrap().push(notes.to_vec());
        Ok(())
    }
}

fn token(id: usize) -> TokenId {
    TokenId::try_from(i64::try_from(id).unwrap()).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + second * 1000)
}

#[tokio::test]
async fn uses_of_a_token_are_one_note_with_the_last_of_each_kind() {
    let (notes, store) = (UsageNotes::default(), Reports::default());
    for second in [3, 9, 6] {
        notes.note_use(token(1), at(second));
    }
    notes.note_refusal(Reason::Replaced(token(1)), at(4));
    notes.report(&store).await.unwrap();
    let usage = Usage::use_at(at(9)).merged(Usage::reuse_at(at(4)));
    assert_eq!(*store.reports.lock().unwrap(), [[(token(1), usage)]]);
    notes.report(&store).await.unwrap();
    assert_eq!(store.reports.lock().unwrap().len(), 1, "nothing is reported twice");
}

#[tokio::test]
async fn many_notes_are_few_reports() {
    let (notes, store) = (UsageNotes::default(), Reports::default());
    (1..=2 * REPORT + 1).for_each(|id| notes.note_use(token(id), at(1)));
    notes.report(&store).await.unwrap();
    let mut sizes: Vec<_> = store.reports.lock().unwrap().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, REPORT, REPORT]);
    assert_eq!(store.merged().len(), 2 * REPORT + 1);
}

#[tokio::test]
async fn what_an_outage_cuts_off_is_reported_later_with_what_came_since() {
    let (notes, store) = (UsageNotes::default(), Reports::default());
    let count = 3 * REPORT;
    (1..=count).for_each(|id| notes.note_use(token(id), at(1)));
    store.cut_after(1);
    for _ in 0..3 {
        assert!(notes.report(&store).await.is_err());
        notes.note_use(token(count + 1), at(2));
    }
    let before: Vec<_> = store.merged().into_keys().collect();
    assert_eq!(before.len(), REPORT);
    (1..=count).for_each(|id| notes.note_refusal(Reason::Replaced(token(id)), at(3)));
    store.mend();
    notes.report(&store).await.unwrap();
    let merged = store.merged();
    assert_eq!(merged.len(), count + 1);
    assert_eq!(merged[&token(count + 1)], Usage::use_at(at(2)));
    for id in 1..=count {
        assert_eq!(merged[&token(id)], Usage::use_at(at(1)).merged(Usage::reuse_at(at(3))));
    }
    assert_eq!((notes.held.load(Relaxed), notes.dropped()), (0, 0));
}

#[tokio::test]
async fn a_report_that_is_given_up_loses_nothing() {
    let (notes, store) = (UsageNotes::default(), Reports::default());
    notes.note_use(token(1), at(1));
    {
        let mut report = Box::pin(notes.report(&store));
        let mut context = Context::from_waker(Waker::noop());
        assert!(report.as_mut().poll(&mut context).is_pending());
    }
    notes.report(&store).await.unwrap();
    assert_eq!(store.merged().len(), 1);
}

#[tokio::test]
async fn memory_is_bounded_and_what_was_noted_first_stays() {
    let (notes, store) = (UsageNotes::default(), Reports::default());
    let note_all = |second| {
        (1..=MOST_TOKENS + 500).for_each(|id| notes.note_use(token(id), at(second)));
    };
    note_all(1);
    assert_eq!(notes.dropped(), 500);
    store.cut_after(0);
    // An outage in which the map is empty, for its notes are under way.
    let under_way = notes.take();
    note_all(2);
    assert_eq!(notes.dropped(), 1000 + MOST_TOKENS as u64);
    drop(under_way);
    assert!(notes.report(&store).await.is_err());
    assert_eq!(notes.held.load(Relaxed), MOST_TOKENS);
    let held: usize = notes.shards.iter().map(|shard| lock(shard).len()).sum();
    assert_eq!(held, MOST_TOKENS);
    note_all(3);
    store.mend();
    notes.report(&store).await.unwrap();
    let merged = store.merged();
    assert!((1..=MOST_TOKENS).all(|id| merged[&token(id)] == Usage::use_at(at(3))));
    assert_eq!((merged.len(), notes.held.load(Relaxed)), (MOST_TOKENS, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn notes_beside_reports_are_neither_lost_nor_counted_twice() {
    let notes = std::sync::Arc::new(UsageNotes::default());
    let store = std::sync::Arc::new(Reports::default());
    let noting: Vec<_> = (1..=4)
        .map(|thread| {
            let notes = notes.clone();
            std::thread::spawn(move || {
                for id in 1..=20_000 {
                    notes.note_use(token(id), at(thread));
                }
            })
        })
        .collect();
    while noting.iter().any(|thread| !thread.is_finished()) {
        store.cut_after(2);
        let _ = notes.report(&*store).await;
    }
    store.mend();
    notes.report(&*store).await.unwrap();
    let merged = store.merged();
    assert_eq!((merged.len(), notes.held.load(Relaxed)), (20_000, 0));
    assert!(merged.values().all(|usage| *usage == Usage::use_at(at(4))));
}

#[tokio::test]
async fn a_crowd_of_notes_is_reported_before_its_time() {
    let (notes, store) = (UsageNotes::default(), Reports::default());
    let work = async {
        (1..=CROWD + 1).for_each(|id| notes.note_use(token(id), at(1)));
        while store.merged().len() < CROWD {
            tokio::task::yield_now().await;
        }
    };
    let reporting = report_during(work, &notes, &store, Duration::from_hours(1));
    tokio::time::timeout(Duration::from_secs(30), reporting).await.unwrap();
    assert_eq!(store.merged().len(), CROWD + 1);
}
