//! What the kernel says: CPU time, memory, and which cores a process may use.

use std::{collections::BTreeMap, fs, process::Command, sync::LazyLock, time::Duration};

static TICKS_PER_SECOND: LazyLock<f64> = LazyLock::new(|| {
    let output = Command::new("getconf").arg("CLK_TCK").output().expect("getconf");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of ticks")
});

/// User and system time of a process, all its threads together.
pub(crate) fn cpu(pid: u32) -> Duration {
    cpu_in(&fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process that lives"))
}

/// User and system time of each thread of a process, by the thread's id.
pub(crate) fn cpu_of_threads(pid: u32) -> BTreeMap<u32, Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that lives");
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let stat = |id: u32| fs::read_to_string(format!("/proc/{pid}/task/{id}/stat"));
    // A thread may end between the two looks.
    ids.filter_map(|id| Some((id, cpu_in(&stat(id).ok()?)))).collect()
}

fn cpu_in(stat: &str) -> Duration {
    // The name before the bracket may hold anything; utime and stime are 14 and 15.
    let (_, rest) = stat.rsplit_once(')').expect("a name in brackets");
    let field = |at: usize| -> f64 {
        rest.split_whitespace().nth(at - 3).and_then(|text| text.parse().ok()).expect("a number")
    };
    Duration::from_secs_f64((field(14) + field(15)) / *TICKS_PER_SECOND)
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
    kilobytes * 1024
}

/// Keeps all threads of a process on `cores`, a list such as `0` or `0,1`.
pub(crate) fn pin(pid: u32, cores: &str) {
    let done = Command::new("taskset").args(["-a", "-c", "-p", cores, &pid.to_string()]).output();
    let done = done.expect("taskset (Debian: util-linux)");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The share of all cores that was busy since boot, and the total: two looks tell how
/// busy the machine was in between.
pub(crate) fn busy() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let line = stat.lines().next().expect("the line of all cores");
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
    let total: f64 = ticks.iter().take(8).sum();
    (total - ticks[3] - ticks[4], total)
}
