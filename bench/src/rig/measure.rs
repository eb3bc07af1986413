//! One server under load: requests a second, and what of the CPU each took.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    Options,
    load::{Bodies, Load, Pace, Plan},
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

/// How hard to push.
#[derive(Clone)]
pub(crate) struct Push {
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
}

impl Push {
    /// With the connections and streams that the command line gives.
    pub(crate) fn new(options: &Options, bodies: Bodies) -> Self {
        Self {
            bodies: Arc::new(bodies),
            connections: options.connections,
            streams: options.streams,
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

/// Pushes as hard as it goes.
pub(crate) async fn saturate(options: &Options, server: &Server, push: &Push) -> Sample {
    let load = Load::start(push.plan(server, Pace::Full));
    sleep(options.warm_up()).await;
    let (pid, own) = (server.process.id(), std::process::id());
    let look = || {
        let threads = machine::cpu_of_threads(pid);
        (Instant::now(), load.counts(), machine::cpu(pid), machine::cpu(own), threads)
    };
    let before = look();
    sleep(options.window()).await;
    let after = look();
    load.stop();
    let seconds = (after.0 - before.0).as_secs_f64();
    let answers = |counts: &crate::load::Counts| counts.grants + counts.denials + counts.errors;
    let answered = (answers(&after.1) - answers(&before.1)) as f64;
    let cpu = (after.2 - before.2).as_secs_f64();
    let spent = |(id, after): (&u32, &Duration)| {
        after.saturating_sub(before.4.get(id).copied().unwrap_or_default())
    };
    let busiest = after.4.iter().map(spent).max();
    Sample {
        rate: answered / seconds,
        cpu_us: cpu * 1e6 / answered,
        server_busy: cpu / seconds,
        load_busy: (after.3 - before.3).as_secs_f64() / seconds,
        busiest_thread: busiest.unwrap_or_default().as_secs_f64() / cpu,
        denials: after.1.denials,
        errors: after.1.errors,
        begun: after.1.begun,
    }
}

/// Sends each body to `server` once, or a little more.
pub(crate) async fn touch_all(server: &Server, push: &Push) {
    let load = Load::start(push.plan(server, Pace::Full));
    while load.counts().begun < push.bodies.len() {
        sleep(Duration::from_millis(20)).await;
    }
    let counts = load.counts();
    load.stop();
    assert_eq!((counts.denials, counts.errors), (0, 0), "{counts:?}");
}

/// The middle one, the least and the greatest.
pub(crate) fn median(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let half = sorted.len() / 2;
    let middle =
        if sorted.len().is_multiple_of(2) { (at(half - 1) + at(half)) / 2.0 } else { at(half) };
    (middle, at(0), at(sorted.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_stands_in_the_middle_or_between_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), (2.0, 1.0, 3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), (2.5, 1.0, 4.0));
    }
}
