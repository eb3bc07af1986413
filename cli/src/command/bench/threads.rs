//! The threads that send, each with a runtime and connections of its own: a call never
//! moves from one core to another.

use std::{
    io,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    task::{JoinSet, LocalSet},
};

use super::job::Job;
use crate::{failure::Failure, server::Server};

/// How many of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crew {
    /// Threads, at most as many as connections.
    pub(super) threads: usize,
    /// Connections, all threads together.
    pub(super) connections: usize,
    /// Requests in flight on each connection.
    pub(super) concurrency: usize,
}

/// Threads at work.
pub(super) struct Threads {
    handles: Vec<JoinHandle<Result<(), Failure>>>,
    ready: mpsc::Receiver<Result<(), Failure>>,
    /// Closed when the last thread has ended, by whatever cause.
    alive: watch::Receiver<()>,
}

impl Threads {
    /// Starts them; they connect, and wait for the job to begin.
    ///
    /// # Errors
    /// What `connect` says; a runtime does not start.
    pub(super) fn start(
        job: &Arc<Job>,
        crew: Crew,
        connect: impl Fn() -> Result<Server, Failure>,
    ) -> Result<Self, Failure> {
        let (tell_ready, ready) = mpsc::channel(crew.threads);
        let (living, alive) = watch::channel(());
        let mut handles = Vec::new();
        for number in 0..crew.threads {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(Failure::Runtime)?;
            let servers = {
                // A connection belongs to the runtime in which it is made.
                let _inside = runtime.enter();
                let own = (number..crew.connections).step_by(crew.threads);
                own.map(|_| connect()).collect::<Result<Vec<_>, _>>()
            };
            let servers = match servers {
                Ok(servers) => servers,
                Err(failure) => {
                    runtime.shutdown_background();
                    return Err(failure);
                }
            };
            let (job, tell_ready, living) = (job.clone(), tell_ready.clone(), living.clone());
            handles.push(thread::spawn(move || {
                let _living = living;
                run(&runtime, &job, servers, crew.concurrency, tell_ready)
            }));
        }
        Ok(Self { handles, ready, alive })
    }

    /// Waits until each connection has had an answer.
    ///
    /// # Errors
    /// A first call failed: with an error from the verifier, or for want of one.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        for _ in 0..self.handles.len() {
            let lost = || Failure::Runtime(io::Error::other("a thread ended"));
            self.ready.recv().await.unwrap_or_else(|| Err(lost()))?;
        }
        Ok(())
    }

    /// Waits for the end of all threads.
    pub(super) async fn done(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }

    /// How they ended, once they are [`Self::done`].
    ///
    /// # Errors
    /// An answer was not what the contract promises.
    pub(super) fn outcome(self) -> Result<(), Failure> {
        let lost = |_| Err(Failure::Runtime(io::Error::other("a thread panicked")));
        self.handles.into_iter().try_for_each(|handle| handle.join().unwrap_or_else(lost))
    }
}

fn run(
    runtime: &Runtime,
    job: &Arc<Job>,
    servers: Vec<Server>,
    concurrency: usize,
    ready: mpsc::Sender<Result<(), Failure>>,
) -> Result<(), Failure> {
    LocalSet::new().block_on(runtime, async {
        let first = first_calls(job, &servers).await;
        let may_begin = first.is_ok();
        if ready.send(first).await.is_err() || !may_begin {
            return Ok(());
        }
        tokio::select! {
            done = work(job, servers, concurrency) => done,
            () = job.abandoned() => Ok(()),
        }
    })
}

/// A server that is not there, or can't be asked, is found before anything is measured.
async fn first_calls(job: &Job, servers: &[Server]) -> Result<(), Failure> {
    let uncounted = Mutex::new(super::tally::new()?);
    for server in servers {
        job.ask(server, 0, &uncounted).await?;
    }
    Ok(())
}

async fn work(job: &Arc<Job>, servers: Vec<Server>, concurrency: usize) -> Result<(), Failure> {
    let mut workers = JoinSet::new();
    for server in servers {
        let tally = job.new_tally()?;
        for _ in 0..concurrency {
            let (job, server, tally) = (job.clone(), server.clone(), tally.clone());
            workers.spawn_local(async move { job.work(&server, &tally).await });
        }
    }
    let mut outcome = Ok(());
    while let Some(ended) = workers.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(Failure::Runtime(error.into())));
        if ended.is_err() {
            job.give_up();
            outcome = ended;
        }
    }
    outcome
}
