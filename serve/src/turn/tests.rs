use std::{sync::mpsc, time::Duration};

use tokio::{sync::oneshot, task::yield_now, time::timeout};

use super::*;

const SOON: Duration = Duration::from_secs(30);

/// A connection that brings these calls, and then ends when `end` does.
async fn bring<E: Future>(calls: Vec<Call>, end: E) -> E::Output {
    let mut turns = InConnection::default();
    let executor = turns.executor();
    let connection = pin!(async move {
        calls.into_iter().for_each(|call| executor.execute(call));
        end.await
    });
    timeout(SOON, turns.drive(connection)).await.expect("an end")
}

#[tokio::test]
async fn a_call_that_waits_for_nobody_ends_with_the_turn_that_brought_it() {
    let (told, ends) = mpsc::channel();
    bring(vec![Box::pin(async move { told.send("now").unwrap() })], async {}).await;
    assert_eq!(ends.try_recv(), Ok("now"));
}

#[tokio::test]
async fn a_call_that_waits_is_woken_from_another_thread() {
    let (answer, answered) = oneshot::channel();
    let (told, ended) = oneshot::channel();
    let waits = async move { told.send(answered.await.unwrap()).unwrap() };
    std::thread::spawn(move || {
        std::thread::yield_now();
        answer.send("later").unwrap();
    });
    assert_eq!(bring(vec![Box::pin(waits)], ended).await, Ok("later"));
}

#[tokio::test]
async fn each_of_many_that_wait_is_woken_however_slots_are_taken_over() {
    let turns_each = [0, 1, 2, 3, 5, 8, 13];
    let calls = 10 * IN_A_ROW;
    let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let call = |number: usize| -> Call {
        let told = told.clone();
        Box::pin(async move {
            for _ in 0..turns_each[number % turns_each.len()] {
                yield_now().await;
            }
            told.send(number).unwrap();
        })
    };
    let calls = (0..calls).map(call).collect::<Vec<_>>();
    let count = calls.len();
    let all = async move {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(ended.recv().await.unwrap());
        }
        all
    };
    let mut all = bring(calls, all).await;
    all.sort_unstable();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_call_that_fails_takes_no_other_along() {
    let (told, ends) = mpsc::channel();
    let fails = Box::pin(async { panic!("as the test wants") });
    bring(vec![fails, Box::pin(async move { told.send("still").unwrap() })], async {}).await;
    assert_eq!(ends.try_recv(), Ok("still"));
}

#[tokio::test]
async fn other_tasks_have_their_turns_before_all_of_many_calls_had_theirs() {
    let (told, begun) = mpsc::channel();
    let calls = 3 * IN_A_ROW;
    let call = |_| -> Call {
        let told = told.clone();
        Box::pin(async move { told.send(()).unwrap() })
    };
    let other = tokio::spawn(async move { begun.try_iter().count() });
    assert_eq!(bring((0..calls).map(call).collect(), other).await.unwrap(), IN_A_ROW);
}

#[tokio::test]
async fn a_call_ends_with_its_connection() {
    let held = Arc::new(());
    let waits = {
        let held = held.clone();
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    };
    bring(vec![Box::pin(waits)], yield_now()).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn calls_that_come_faster_than_they_have_turns_are_no_more_than_may_wait() {
    let (arriving, begun) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let mut turns = InConnection::default();
    let executor = turns.executor();
    let mut most = 0;
    for _ in 0..100 {
        let connection = pin!(async {
            for _ in 0..2 * IN_A_ROW {
                let begun = begun.clone();
                *lock(&arriving) += 1;
                executor.execute(async move { *lock(&begun) += 1 });
            }
        });
        turns.drive(connection).await;
        most = most.max(*lock(&arriving) - *lock(&begun));
    }
    assert_eq!(most, MOST_WAITING);
}

#[tokio::test]
async fn a_call_that_fails_when_it_is_dropped_takes_no_other_along() {
    struct Fails;
    impl Drop for Fails {
        fn drop(&mut self) {
            panic!("as the test wants");
        }
    }
    let (told, ends) = mpsc::channel();
    let held = Fails;
    let mut fails = Box::pin(async move {
        let _held = &held;
        std::future::pending::<()>().await;
    });
    // Ends while what it holds is not dropped yet.
    let ends_with_it = Box::pin(poll_fn(move |context| {
        let _ = fails.as_mut().poll(context);
        Poll::Ready(())
    }));
    let other = Box::pin(async move { told.send("still").unwrap() });
    bring(vec![ends_with_it, other], async {}).await;
    assert_eq!(ends.try_recv(), Ok("still"));
}
