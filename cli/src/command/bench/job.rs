//! The work that all threads share: which request is next, and what came of each.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tessera_proto::v1::{BatchVerifyRequest, verifier_service_client::VerifierServiceClient};
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Request};

use super::{
    super::verify::QuestionArgs,
    schedule::Schedule,
    tally::{self, Tally},
};
use crate::{failure::Failure, secret::Secret, server::Server};

/// A server that refuses must not be run down.
const AFTER_A_FAILURE: Duration = Duration::from_millis(10);

/// Where the whole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preparing,
    Running(Instant),
    /// No answer is waited for any more.
    Abandoned,
}

/// The work that all threads share.
pub(super) struct Job {
    tokens: Vec<Secret>,
    question: QuestionArgs,
    batch: usize,
    schedule: Option<Schedule>,
    /// One for each request that is due; closed at the end, with a schedule or without.
    permits: Arc<Semaphore>,
    next: AtomicU64,
    stage: watch::Sender<Stage>,
    took: OnceLock<Duration>,
    pacer: Mutex<Option<JoinHandle<()>>>,
    /// One for each connection.
    tallies: Mutex<Vec<Arc<Mutex<Tally>>>>,
}

impl Job {
    pub(super) fn new(
        tokens: Vec<Secret>,
        question: QuestionArgs,
        batch: usize,
        schedule: Option<Schedule>,
    ) -> Self {
        Self {
            tokens,
            question,
            batch,
            schedule,
            permits: Arc::new(Semaphore::new(0)),
            next: AtomicU64::new(0),
            stage: watch::Sender::new(Stage::Preparing),
            took: OnceLock::new(),
            pacer: Mutex::new(None),
            tallies: Mutex::new(Vec::new()),
        }
    }

    /// Lets everybody begin.
    pub(super) fn begin(&self) -> tokio::time::Instant {
        let start = Instant::now();
        let pacer = self.schedule.map(|schedule| schedule.give(self.permits.clone(), start));
        *lock(&self.pacer) = pacer;
        self.stage.send_replace(Stage::Running(start));
        start.into()
    }

    /// Sends no more; what is in flight is still waited for.
    pub(super) fn end(&self) {
        if let Stage::Running(start) = *self.stage.borrow() {
            let _ = self.took.set(start.elapsed());
        }
        self.permits.close();
        if let Some(pacer) = lock(&self.pacer).take() {
            pacer.thread().unpark();
            let _ = pacer.join();
        }
    }

    /// Has everybody stop, since one found that it makes no sense to go on.
    pub(super) fn give_up(&self) {
        self.permits.close();
    }

    /// Waits for no answer any more.
    pub(super) fn abandon(&self) {
        self.stage.send_replace(Stage::Abandoned);
    }

    /// Waits for [`Self::abandon`].
    pub(super) async fn abandoned(&self) {
        let mut stage = self.stage.subscribe();
        let _ = stage.wait_for(|stage| *stage == Stage::Abandoned).await;
    }

    /// For how long requests were sent.
    pub(super) fn took(&self) -> Duration {
        self.took.get().copied().unwrap_or_default()
    }

    /// All that was counted so far; at the end, what was left behind too.
    pub(super) fn tally(&self) -> Result<Tally, Failure> {
        let mut all = tally::new()?;
        lock(&self.tallies).iter().for_each(|tally| all.add(&lock(tally)));
        if let (Some(schedule), Some(took)) = (self.schedule, self.took.get()) {
            all.left_behind(schedule, self.next.load(Relaxed), *took);
        }
        Ok(all)
    }

    /// A tally for one more connection.
    pub(super) fn new_tally(&self) -> Result<Arc<Mutex<Tally>>, Failure> {
        let tally = Arc::new(Mutex::new(tally::new()?));
        lock(&self.tallies).push(tally.clone());
        Ok(tally)
    }

    /// Sends requests to `server`, one at a time, until the end.
    ///
    /// # Errors
    /// An answer is not what the contract promises.
    pub(super) async fn work(&self, server: &Server, tally: &Mutex<Tally>) -> Result<(), Failure> {
        let start = loop {
            let mut stage = self.stage.subscribe();
            match stage.wait_for(|stage| *stage != Stage::Preparing).await.map(|stage| *stage) {
                Ok(Stage::Running(start)) => break start,
                Ok(Stage::Abandoned) | Err(_) => return Ok(()),
                Ok(Stage::Preparing) => {}
            }
        };
        while let Some((number, meant)) = self.turn(start).await {
            let asked = self.ask(server, number, tally).await;
            let latency = meant.elapsed();
            let status = match asked {
                Ok(()) => Code::Ok,
                Err(Failure::Rpc { status, .. }) => status.code(),
                Err(other) => return Err(other),
            };
            lock(tally).ended(status, latency);
            if status != Code::Ok && self.schedule.is_none() {
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
        Ok(())
    }

    /// The next request and when it is meant to be sent; `None` at the end.
    async fn turn(&self, start: Instant) -> Option<(u64, Instant)> {
        let Some(schedule) = self.schedule else {
            let number = (!self.permits.is_closed()).then(|| self.next.fetch_add(1, Relaxed));
            return number.map(|number| (number, Instant::now()));
        };
        self.permits.acquire().await.ok()?.forget();
        let number = self.next.fetch_add(1, Relaxed);
        Some((number, start + schedule.time_of(number)))
    }

    /// Sends request `number`, and counts the verdicts.
    pub(super) async fn ask(
        &self,
        server: &Server,
        number: u64,
        tally: &Mutex<Tally>,
    ) -> Result<(), Failure> {
        let first = usize::try_from(number).unwrap_or_default().wrapping_mul(self.batch);
        let places = (0..self.batch).map(|place| first.wrapping_add(place) % self.tokens.len());
        let tokens = places.filter_map(|place| self.tokens.get(place));
        let mut requests: Vec<_> = tokens.map(|token| self.question.about(token)).collect();
        if self.batch == 1
            && let Some(request) = requests.pop()
        {
            let call = server.call(Request::new(request), async |channel, request| {
                VerifierServiceClient::new(channel).verify(request).await
            });
            let answer = call.await?;
            return lock(tally).verdict(&answer);
        }
        let request = Request::new(BatchVerifyRequest { requests });
        let call = server.call(request, async |channel, request| {
            VerifierServiceClient::new(channel).batch_verify(request).await
        });
        let answers = call.await?.responses;
        if answers.len() != self.batch {
            return Err(Failure::Incomplete("answer for each token"));
        }
        let mut tally = lock(tally);
        answers.iter().try_for_each(|answer| tally.verdict(answer))
    }
}

/// What a thread that panicked left is still a count.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
