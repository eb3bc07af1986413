//! The one thread that writes.

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    file::{DatabaseFile, unavailable},
    tables::Writing,
};
use crate::{sparing::Sparing, store::StoreError};

/// Changes that may wait for the disk before callers wait for a place.
const QUEUE: usize = 1024;

/// Changes that are made durable together at most.
const BATCH: usize = 256;

/// Between two attempts to open a file that the disk failed on: each may have to
/// read all of it.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// The thread's queue. Dropping it waits until the thread has answered all.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(file: Arc<DatabaseFile>) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("tessera-store".to_owned())
            .spawn(move || Worker { file, jobs, next_attempt: Instant::now() }.run())?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Applies `change`, waits until it is durable, and calls `tell` before answering.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send + 'static,
        tell: impl FnOnce() + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Request { state: State::Waiting(change), tell, reply });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(job).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Makes the thread look whether the file is open. Does not wait.
    pub(super) fn nudge(&self) {
        if let Some(queue) = &self.queue {
            // A full queue will make it look as well.
            let _ = queue.try_send(Box::new(Nudge));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread had panicked");
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store's thread has stopped".to_owned())
}

/// A change that waits for its turn, then for its durability.
trait Job: Send {
    fn apply(&mut self, tables: &mut Writing<'_>) -> Result<(), redb::Error>;
    fn answer(self: Box<Self>, failure: Option<&redb::Error>);
}

struct Request<F, T, N> {
    state: State<F, T>,
    tell: N,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

enum State<F, T> {
    Waiting(F),
    Applied(T),
    Failed,
}

impl<F, T, N> Job for Request<F, T, N>
where
    F: FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send,
    T: Send,
    N: FnOnce() + Send,
{
    fn apply(&mut self, tables: &mut Writing<'_>) -> Result<(), redb::Error> {
        if let State::Waiting(change) = std::mem::replace(&mut self.state, State::Failed) {
            self.state = State::Applied(change(tables)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<&redb::Error>) {
        let answer = match (self.state, failure) {
            (_, Some(error)) => Err(unavailable(error)),
            (State::Applied(value), None) => Ok(value),
            (State::Waiting(_) | State::Failed, None) => Err(stopped()),
        };
        // Also after a failure, which may have left the change on the disk.
        (self.tell)();
        // The caller may have given up.
        let _ = self.reply.send(answer);
    }
}

struct Nudge;

impl Job for Nudge {
    fn apply(&mut self, _: &mut Writing<'_>) -> Result<(), redb::Error> {
        Ok(())
    }

    fn answer(self: Box<Self>, _: Option<&redb::Error>) {}
}

struct Worker {
    file: Arc<DatabaseFile>,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    next_attempt: Instant,
}

impl Worker {
    fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(job) = self.jobs.try_recv()
            {
                batch.push(job);
            }
            if !self.file.is_open() {
                self.reopen();
            }
            let failure = commit(&self.file, &mut batch).err();
            if let Some(error) = &failure {
                static FAILED: Sparing = Sparing::new();
                if let Some(left_out) = FAILED.turn() {
                    tracing::error!(%error, left_out, "the embedded store failed to write");
                }
                self.file.close_if_broken(error);
            }
            for job in batch {
                job.answer(failure.as_ref());
            }
        }
    }

    fn reopen(&mut self) {
        if Instant::now() < self.next_attempt {
            return;
        }
        match self.file.open_again() {
            Ok(()) => tracing::info!("the embedded store is open again"),
            Err(error) => {
                static FAILED: Sparing = Sparing::new();
                if let Some(left_out) = FAILED.turn() {
                    tracing::error!(%error, left_out, "can't open the embedded store again");
                }
            }
        }
        self.next_attempt = Instant::now() + REOPEN_PAUSE;
    }
}

/// Makes the whole batch durable, or nothing of it.
fn commit(file: &DatabaseFile, batch: &mut [Box<dyn Job>]) -> Result<(), redb::Error> {
    let transaction = file.begin_write()?;
    let mut tables = Writing::of(&transaction)?;
    for job in batch {
        job.apply(&mut tables)?;
    }
    let changed = tables.changed;
    drop(tables);
    if changed {
        transaction.commit()?;
    } else {
        // All that was found is durable already.
        transaction.abort()?;
    }
    Ok(())
}
