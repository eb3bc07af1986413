//! The process itself, under the names that every Prometheus client library gives it.
//! Linux tells it in `/proc/self`; elsewhere only the start is known.

use std::fmt;

use tessera_shared::clock::{Clock as _, SystemClock};

use super::{
    Collector, DescriptorEncoder,
    exposition::{NO_LABELS, counter, gauge},
};

/// Of a page and of a clock tick, on every Linux that this runs on: `sysconf` can't be asked
/// without `unsafe`.
const PAGE_BYTES: u64 = 4096;
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub(super) struct Process {
    started_at_seconds: f64,
}

impl Process {
    /// Called when the process begins.
    pub(super) fn here() -> Self {
        Self { started_at_seconds: SystemClock.now().millis() as f64 / 1000.0 }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let of = |value| [(NO_LABELS, value)];
        let help = "When the process started, in seconds since 1970";
        gauge(&mut encoder, "process_start_time_seconds", help, of(self.started_at_seconds))?;
        if let Some(bytes) = resident_bytes() {
            let help = "Memory that the process has in use";
            gauge(&mut encoder, "process_resident_memory_bytes", help, of(bytes))?;
        }
        if let Some(seconds) = cpu_seconds() {
            let help = "Processor time that the process has used";
            counter(&mut encoder, "process_cpu_seconds", help, [(NO_LABELS, seconds)])?;
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            let help = "Files and sockets that the process has open";
            gauge(&mut encoder, "process_open_fds", help, of(files.count() as f64))?;
        }
        if let Some(most) = most_files() {
            let help = "Files and sockets that the process may open";
            gauge(&mut encoder, "process_max_fds", help, of(most))?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some((pages * PAGE_BYTES) as f64)
}

/// `utime` and `stime` of proc(5): the 14th and 15th field; the second holds a name that
/// may have blanks in it.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(11);
    let ticks: [u64; 2] = [fields.next()?.parse().ok()?, fields.next()?.parse().ok()?];
    Some((ticks[0] + ticks[1]) as f64 / TICKS_PER_SECOND)
}

fn most_files() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
