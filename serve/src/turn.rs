//! Where the calls of a connection have their turns: in tasks of their own, or in the task of
//! the connection.
//!
//! To be made a task, listed, queued, woken and removed again is part of what a call costs (how
//! much, says BENCHMARKS.md), and where one thread serves the connection it gains nothing. So
//! there a call is polled by its connection: for the first time when it has arrived, and then
//! whenever it is woken. Its waker belongs to a slot, which the next call takes over.
//!
//! Calls have their turns after the connection has had its own, not within: there each answer
//! would be written to the socket by itself.

#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::task::unconstrained;

use crate::STREAMS_PER_CONNECTION;

/// Calls that have their turns in a row; others wait for the next turn of the connection, so
/// that other connections need not wait for all of them.
const IN_A_ROW: usize = 128;

/// Calls that may wait for their first turn. A client that resets what it has begun makes more than it has
/// streams; more than these have their turns whatever others wait for.
const MOST_WAITING: usize = STREAMS_PER_CONNECTION as usize;

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the calls of one connection have their turns.
pub trait Turns {
    /// What hyper gives a call to when it has arrived.
    type Executor: Clone;

    /// That, for this connection.
    fn executor(&self) -> Self::Executor;

    /// Drives the connection, and the calls that came with it as far as nobody else does, to
    /// the end of the connection.
    fn drive<C: Future>(&mut self, connection: Pin<&mut C>) -> impl Future<Output = C::Output>;
}

/// In tasks of their own, for a runtime that has many threads.
#[derive(Debug)]
pub struct InTasks;

impl Turns for InTasks {
    type Executor = TokioExecutor;

    fn executor(&self) -> TokioExecutor {
        TokioExecutor::new()
    }

    fn drive<C: Future>(&mut self, connection: Pin<&mut C>) -> impl Future<Output = C::Output> {
        connection
    }
}

/// In the task of the connection, for a runtime that has one thread. They end with it.
#[derive(Default)]
pub struct InConnection {
    told: Arc<Told>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Between turns of the connection: what has not had its first one.
    arrived: Vec<Call>,
    /// The same: what was woken and has not had its turn.
    woken: Vec<usize>,
}

/// What others tell the task of the connection.
#[derive(Default)]
struct Told {
    arrived: Mutex<Vec<Call>>,
    /// Slots whose calls have something to do.
    woken: Mutex<Vec<usize>>,
    connection: Mutex<Option<Waker>>,
}

/// Takes the calls of one connection.
#[derive(Clone)]
pub struct Arrivals(Arc<Told>);

struct Slot {
    bell: Arc<Bell>,
    waker: Waker,
    call: Option<Call>,
}

/// Wakes the call in one slot, whichever it is by then.
struct Bell {
    told: Arc<Told>,
    slot: usize,
    rung: AtomicBool,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Arrivals {
    fn execute(&self, call: F) {
        lock(&self.0.arrived).push(Box::pin(call));
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, SeqCst) {
            return;
        }
        let mut woken = lock(&self.told.woken);
        woken.push(self.slot);
        // Who rang before it has woken the connection, which has not looked since.
        if woken.len() > 1 {
            return;
        }
        drop(woken);
        if let Some(connection) = &*lock(&self.told.connection) {
            connection.wake_by_ref();
        }
    }
}

impl Turns for InConnection {
    type Executor = Arrivals;

    fn executor(&self) -> Arrivals {
        Arrivals(self.told.clone())
    }

    async fn drive<C: Future>(&mut self, mut connection: Pin<&mut C>) -> C::Output {
        poll_fn(|context| {
            self.listen(context);
            // What they answer goes out with the connection's turn.
            self.unhurried(Self::go_on);
            let turn = connection.as_mut().poll(context);
            self.unhurried(Self::begin);
            if self.has_more() {
                context.waker().wake_by_ref();
            }
            turn
        })
        .await
    }
}

impl InConnection {
    fn listen(&self, context: &Context<'_>) {
        let mut connection = lock(&self.told.connection);
        if !connection.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *connection = Some(context.waker().clone());
        }
    }

    /// Gives turns which take nothing of what the runtime allows the connection's own: it
    /// would be used up by a few, and the others be woken for nothing.
    fn unhurried(&mut self, turns: fn(&mut Self)) {
        let turns = pin!(unconstrained(poll_fn(|_| {
            turns(self);
            Poll::Ready(())
        })));
        // Ready at once.
        let _ = turns.poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Not all that came with the last turn. What is an upgrade comes to hyper's executor in the
    /// turn of a call.
    fn has_more(&self) -> bool {
        !self.woken.is_empty() || !self.arrived.is_empty() || !lock(&self.told.arrived).is_empty()
    }

    /// A turn for calls that were woken.
    fn go_on(&mut self) {
        let mut woken = std::mem::take(&mut self.woken);
        woken.append(&mut lock(&self.told.woken));
        for number in woken.drain(..woken.len().min(IN_A_ROW)) {
            self.turn(number);
        }
        self.woken = woken;
    }

    /// The first turn of calls that have arrived.
    fn begin(&mut self) {
        let mut arrived = std::mem::take(&mut self.arrived);
        arrived.append(&mut lock(&self.told.arrived));
        let count = IN_A_ROW.max(arrived.len().saturating_sub(MOST_WAITING));
        for call in arrived.drain(..count.min(arrived.len())) {
            let number = self.free.pop().unwrap_or_else(|| self.add_slot());
            if let Some(slot) = self.slots.get_mut(number) {
                slot.call = Some(call);
            }
            self.turn(number);
        }
        self.arrived = arrived;
    }

    fn add_slot(&mut self) -> usize {
        let (told, slot) = (self.told.clone(), self.slots.len());
        let bell = Arc::new(Bell { told, slot, rung: AtomicBool::new(false) });
        let waker = Waker::from(bell.clone());
        self.slots.push(Slot { bell, waker, call: None });
        slot
    }

    fn turn(&mut self, number: usize) {
        let Some(slot) = self.slots.get_mut(number) else { return };
        // Before the turn, which sees what came before: what comes from now on asks for another.
        slot.bell.rung.swap(false, SeqCst);
        let Some(call) = &mut slot.call else { return };
        let mut context = Context::from_waker(&slot.waker);
        // As in a task of its own, what fails takes nobody along.
        let turn = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context)));
        if !matches!(turn, Ok(Poll::Pending)) {
            let ended = slot.call.take();
            self.free.push(number);
            // Nor does what fails when it is dropped, which has nobody to tell.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(ended)));
        }
    }
}

impl Drop for InConnection {
    /// A call may hold the executor, and that the call.
    fn drop(&mut self) {
        let arrived = std::mem::take(&mut *lock(&self.told.arrived));
        drop(arrived);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
