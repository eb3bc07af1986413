//! One server under load: requests a second, and what of the CPU each took.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    Options,
    failure::Failure,
    load::{Bodies, Counts, Load, Pace, Plan},
    machine,
    system::Server,
};

/// What one window of time showed.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Answers a second.
    pub(crate) rate: f64,
    /// CPU of the server for each, in microseconds.
    pub(crate) cpu_us: f64,
    /// The share of the time in which the server ran; 1 is one core.
    pub(crate) server_busy: f64,
    /// The same of the load generator.
    pub(crate) load_busy: f64,
    /// CPU share of the server's busiest thread among all of its CPU.
    pub(crate) busiest_thread: f64,
    pub(crate) denials: u64,
    pub(crate) errors: u64,
    /// Requests begun in all, warm-up included.
    pub(crate) begun: usize,
}

/// Streams in flight on each connection: enough to keep a server busy, and so few that each
/// need not wait for many others.
pub(crate) const MANY: usize = 100;
const FEW: usize = 10;

/// How hard to push.
#[derive(Clone)]
pub(crate) struct Push {
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
}

impl Push {
    /// With the connections and streams that the command line gives, else 100 streams.
    pub(crate) fn new(options: &Options, bodies: Bodies) -> Self {
        Self::with(options, bodies, MANY)
    }

    /// With the connections and streams that the command line gives, else 10 streams: where
    /// the place in the queue of one store connection is not the subject.
    pub(crate) fn of_few(options: &Options, bodies: Bodies) -> Self {
        Self::with(options, bodies, FEW)
    }

    fn with(options: &Options, bodies: Bodies, streams: usize) -> Self {
        Self {
            bodies: Arc::new(bodies),
            connections: options.connections,
            streams: options.streams.unwrap_or(streams),
        }
    }

    /// The load on `server`, at `pace`.
    pub(crate) fn plan(&self, server: &Server, pace: Pace) -> Plan {
        Plan {
            address: server.address,
            bodies: self.bodies.clone(),
            connections: self.connections,
            streams: self.streams,
            pace,
        }
    }
}

/// What there is to read before and after a window.
struct Look {
    at: Instant,
    counts: Counts,
    server: Duration,
    own: Duration,
    threads: BTreeMap<u32, Duration>,
}

impl Look {
    fn now(server: &Server, load: &Load) -> Result<Self, Failure> {
        let pid = server.process.id();
        Ok(Self {
            threads: machine::cpu_of_threads(pid)?,
            at: Instant::now(),
            counts: load.counts(),
            server: machine::cpu(pid)?,
            own: machine::cpu(std::process::id())?,
        })
    }
}

/// Pushes as hard as it goes.
pub(crate) async fn saturate(
    options: &Options,
    server: &Server,
    push: &Push,
) -> Result<Sample, Failure> {
    let load = Load::start(push.plan(server, Pace::Full));
    sleep(options.warm_up).await;
    let before = Look::now(server, &load)?;
    sleep(options.seconds).await;
    let after = Look::now(server, &load)?;
    load.stop()?;
    Ok(sample(&before, &after))
}

fn sample(before: &Look, after: &Look) -> Sample {
    let seconds = (after.at - before.at).as_secs_f64();
    let answers = |counts: &Counts| counts.grants + counts.denials + counts.errors;
    let answered = (answers(&after.counts) - answers(&before.counts)) as f64;
    let cpu = after.server.saturating_sub(before.server).as_secs_f64();
    let spent = |(id, after): (&u32, &Duration)| {
        after.saturating_sub(before.threads.get(id).copied().unwrap_or_default())
    };
    let busiest = after.threads.iter().map(spent).max();
    Sample {
        rate: answered / seconds,
        cpu_us: cpu * 1e6 / answered,
        server_busy: cpu / seconds,
        load_busy: after.own.saturating_sub(before.own).as_secs_f64() / seconds,
        busiest_thread: busiest.unwrap_or_default().as_secs_f64() / cpu,
        denials: after.counts.denials,
        errors: after.counts.errors,
        begun: after.counts.begun,
    }
}

/// Sends each body to `server` once, or a little more.
pub(crate) async fn touch_all(server: &Server, push: &Push) -> Result<(), Failure> {
    let load = Load::start(push.plan(server, Pace::Full));
    while load.counts().begun < push.bodies.len() && !load.has_ended() {
        sleep(Duration::from_millis(20)).await;
    }
    let counts = load.counts();
    load.stop()?;
    match counts {
        Counts { denials: 0, errors: 0, .. } => Ok(()),
        _ => Err(Failure::Unexpected(format!("not every token is granted: {counts:?}"))),
    }
}

/// The middle one, the least and the greatest; of nothing, no number.
pub(crate) fn median(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let (half, last) = (sorted.len() / 2, sorted.len().saturating_sub(1));
    let middle = if sorted.len().is_multiple_of(2) {
        (at(half.saturating_sub(1)) + at(half)) / 2.0
    } else {
        at(half)
    };
    (middle, at(0), at(last))
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_stands_in_the_middle_or_between_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), (2.0, 1.0, 3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), (2.5, 1.0, 4.0));
        assert!(median(&[]).0.is_nan());
    }
}
