//! The first turn of a call, in the task of its connection.
//!
//! A call that needs to wait for nobody, as nearly all do that memory answers, ends in its
//! first turn. As a task of its own it would first be made one, listed, queued, woken and
//! removed again, which costs more than the answer. So a call becomes a task only when its
//! first turn leaves it waiting.
//!
//! The turns are taken after the connection's own, not within: there each answer would be
//! written to the socket by itself.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use hyper::rt::Executor;

/// Calls of one connection that get their first turn in a row; more become tasks at once, so that other
/// connections need not wait for all of them.
const IN_A_ROW: usize = 128;

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls of one connection that have not had their first turn.
#[derive(Clone, Default)]
pub struct FirstTurns(Arc<Mutex<Vec<Call>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for FirstTurns {
    fn execute(&self, call: F) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() < IN_A_ROW {
            calls.push(Box::pin(call));
        } else {
            drop(tokio::spawn(call));
        }
    }
}

impl FirstTurns {
    /// Drives `connection`, and after each of its turns the calls that came with it.
    pub(crate) async fn drive<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        let mut spare = Vec::new();
        std::future::poll_fn(|context| {
            let ended = connection.as_mut().poll(context);
            self.take(&mut spare);
            ended
        })
        .await
    }

    fn take(&self, spare: &mut Vec<Call>) {
        std::mem::swap(spare, &mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for mut call in spare.drain(..) {
            // Whom it waits for it will tell its task, when that has its first turn.
            let mut nobody = Context::from_waker(Waker::noop());
            // As in a task of its own, what fails takes nobody along.
            let turn = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut nobody)));
            if let Ok(Poll::Pending) = turn {
                drop(tokio::spawn(call));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::mpsc, time::Duration};

    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// A connection that brings these calls, and ends.
    async fn bring(turns: &FirstTurns, calls: Vec<Call>) {
        let bringing = async { calls.into_iter().for_each(|call| turns.execute(call)) };
        turns.drive(pin!(bringing)).await;
    }

    #[tokio::test]
    async fn a_call_that_waits_for_nobody_ends_with_the_turn_that_brought_it() {
        let turns = FirstTurns::default();
        let (told, ends) = mpsc::channel();
        bring(&turns, vec![Box::pin(async move { told.send("now").unwrap() })]).await;
        assert_eq!(ends.try_recv(), Ok("now"));
    }

    #[tokio::test]
    async fn a_call_that_waits_goes_on_in_a_task_of_its_own() {
        let turns = FirstTurns::default();
        let (answer, answered) = oneshot::channel();
        let (told, ended) = oneshot::channel();
        let waits = async move { told.send(answered.await.unwrap()).unwrap() };
        bring(&turns, vec![Box::pin(waits)]).await;
        answer.send("later").unwrap();
        assert_eq!(timeout(SOON, ended).await.unwrap(), Ok("later"));
    }

    #[tokio::test]
    async fn a_call_that_fails_takes_no_other_along() {
        let turns = FirstTurns::default();
        let (told, ends) = mpsc::channel();
        let fails = Box::pin(async { panic!("as the test wants") });
        bring(&turns, vec![fails, Box::pin(async move { told.send("still").unwrap() })]).await;
        assert_eq!(ends.try_recv(), Ok("still"));
    }

    #[tokio::test]
    async fn more_than_one_turn_has_room_for_are_tasks_at_once() {
        let turns = FirstTurns::default();
        let (told, ends) = mpsc::channel();
        let call = |_| -> Call {
            let told = told.clone();
            Box::pin(async move { told.send(()).unwrap() })
        };
        bring(&turns, (0..IN_A_ROW + 10).map(call).collect()).await;
        assert_eq!(ends.try_iter().count(), IN_A_ROW, "no other task had a turn yet");
        drop(told);
        let rest = tokio::task::spawn_blocking(move || ends.iter().count());
        assert_eq!(timeout(SOON, rest).await.unwrap().unwrap(), 10);
    }
}
