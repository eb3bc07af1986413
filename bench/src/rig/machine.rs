//! What the kernel says: CPU time, memory, and which cores a process may use.

use std::{collections::BTreeMap, fs, process::Command, sync::OnceLock, time::Duration};

use crate::failure::{Failure, OrFail as _};

/// User and system time of a process, all its threads together.
pub(crate) fn cpu(pid: u32) -> Result<Duration, Failure> {
    cpu_in(&of_process(pid, "stat")?)
}

/// User and system time of each thread of a process, by the thread's id.
pub(crate) fn cpu_of_threads(pid: u32) -> Result<BTreeMap<u32, Duration>, Failure> {
    let dir = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&dir).or_fail(format_args!("read {dir}: has the process ended?"))?;
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // A thread may end between the two looks.
    let stats =
        ids.filter_map(|id| Some((id, fs::read_to_string(format!("{dir}/{id}/stat")).ok()?)));
    stats.map(|(id, stat)| Ok((id, cpu_in(&stat)?))).collect()
}

fn cpu_in(stat: &str) -> Result<Duration, Failure> {
    // The name before the bracket may hold anything; utime and stime are 14 and 15.
    let (_, rest) = stat.rsplit_once(')').or_fail("name in brackets in /proc/PID/stat")?;
    let mut ticks = rest.split_whitespace().skip(14 - 3).map(str::parse::<f64>);
    let (Some(Ok(user)), Some(Ok(system))) = (ticks.next(), ticks.next()) else {
        return Err(Failure::Absent("CPU time in /proc/PID/stat".to_owned()));
    };
    Ok(Duration::from_secs_f64((user + system) / ticks_per_second()?))
}

fn ticks_per_second() -> Result<f64, Failure> {
    static KNOWN: OnceLock<f64> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let output = Command::new("getconf").arg("CLK_TCK").output();
    let output = output.or_fail("run getconf (Debian: libc-bin)")?;
    let number = String::from_utf8_lossy(&output.stdout).trim().parse();
    let number = number.or_fail("read what `getconf CLK_TCK` says")?;
    Ok(*KNOWN.get_or_init(|| number))
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64, Failure> {
    let status = of_process(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok());
    let kilobytes: u64 = kilobytes.or_fail(format_args!("VmRSS in /proc/{pid}/status"))?;
    Ok(kilobytes * 1024)
}

fn of_process(pid: u32, file: &str) -> Result<String, Failure> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).or_fail(format_args!("read {path}: has the process ended?"))
}

/// Keeps all threads of a process on `cores`, a list such as `0` or `0,1`.
pub(crate) fn pin(pid: u32, cores: &str) -> Result<(), Failure> {
    let done = Command::new("taskset").args(["-a", "-c", "-p", cores, &pid.to_string()]).output();
    let done = done.or_fail("run taskset (Debian: util-linux)")?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(Failure::Unexpected(format!("taskset refuses the cores {cores}: {}", said.trim())))
}

/// The share of all cores that was busy since boot, and the total: two looks tell how
/// busy the machine was in between.
pub(crate) fn busy() -> Result<(f64, f64), Failure> {
    let stat = fs::read_to_string("/proc/stat").or_fail("read /proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> =
        line.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
    let [_, _, _, idle, io_wait, ..] = ticks.as_slice() else {
        return Err(Failure::Absent("line of all cores in /proc/stat".to_owned()));
    };
    let total: f64 = ticks.iter().sum();
    Ok((total - idle - io_wait, total))
}
