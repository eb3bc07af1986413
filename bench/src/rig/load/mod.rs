//! The load generator: one thread, a few connections, many streams in flight on each.
//! It reads of an answer only whether it grants, so that one core of it saturates a server.

mod bodies;
mod connection;
mod frames;
mod verdict;

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Instant,
};

use hdrhistogram::Histogram;
use tokio::task::{JoinSet, LocalSet};

pub(crate) use self::bodies::Bodies;
use crate::failure::{Failure, OrFail as _};

/// How a connection waits when it has nothing to do.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As many requests as there is room for.
    Full,
    /// So many a second in all, each sent at its time to the microsecond: the core spins.
    Exact(f64),
    /// So many a second in all, sent each millisecond: leaves the core to others.
    Coarse(f64),
}

/// What to send, where to, and how fast.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    pub(crate) pace: Pace,
}

/// What happened so far. An error is an answer with no message: a gRPC error.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) grants: u64,
    pub(crate) denials: u64,
    pub(crate) errors: u64,
    /// Requests begun.
    pub(crate) begun: usize,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    recording: AtomicBool,
    grants: AtomicU64,
    denials: AtomicU64,
    errors: AtomicU64,
    begun: AtomicUsize,
}

/// A load under way, on a thread of its own.
pub(crate) struct Load {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<Histogram<u64>, Failure>>,
}

impl Load {
    /// Begins.
    pub(crate) fn start(plan: Plan) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || run(plan, theirs));
        Self { shared, thread }
    }

    /// What happened so far.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            grants: self.shared.grants.load(Relaxed),
            denials: self.shared.denials.load(Relaxed),
            errors: self.shared.errors.load(Relaxed),
            begun: self.shared.begun.load(Relaxed),
        }
    }

    /// Takes note of latencies from now on.
    pub(crate) fn record(&self) {
        self.shared.recording.store(true, Relaxed);
    }

    /// Whether it has ended by itself: by a failure, that [`Self::stop`] tells.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends when all is answered; gives the latencies in nanoseconds, each from the time
    /// at which the request was meant to be sent.
    pub(crate) fn stop(self) -> Result<Histogram<u64>, Failure> {
        self.shared.stop.store(true, Relaxed);
        self.thread.join().map_err(|_| Failure::Unexpected("the load generator broke".into()))?
    }
}

/// What the connections of one generator share.
struct Generator {
    plan: Plan,
    shared: Arc<Shared>,
    latencies: RefCell<Histogram<u64>>,
    start: Instant,
}

fn run(plan: Plan, shared: Arc<Shared>) -> Result<Histogram<u64>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let latencies = Histogram::new_with_max(60_000_000_000, 3).or_fail("make a histogram")?;
    let latencies = RefCell::new(latencies);
    let generator = Rc::new(Generator { plan, shared, latencies, start: Instant::now() });
    let loading = async {
        let mut connections = JoinSet::new();
        for number in 0..generator.plan.connections {
            connections.spawn_local(connection::keep_busy(generator.clone(), number));
        }
        while let Some(ended) = connections.join_next().await {
            ended.or_fail("load the server")??;
        }
        Ok(())
    };
    LocalSet::new().block_on(&runtime.or_fail("start a runtime")?, loading)?;
    Ok(generator.latencies.borrow().clone())
}
