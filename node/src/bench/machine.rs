//! What a figure was measured on.

use std::fs;

use serde::Serialize;

use crate::failure::Failure;

/// Fields of `/proc/PID/stat` between the name and the user and system times (proc(5)).
const FIELDS_BEFORE_TIMES: usize = 11;
/// What the kernel counts these times in for programs, on all its architectures in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// A machine and how the program was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Model of the processor; empty where the system does not say.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Memory.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// `release` or `debug`; figures of the latter mean nothing.
    pub build: &'static str,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let cpu = value("/proc/cpuinfo", "model name").unwrap_or_default();
        let memory = value("/proc/meminfo", "MemTotal").as_deref().and_then(kib);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory.unwrap_or(0) >> 10,
            kernel: kernel.trim().to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

/// The most memory a process has had so far, in MiB; `None` when there is no such process.
pub(super) fn peak_rss_mib(pid: u32) -> Option<f64> {
    let peak = value(&format!("/proc/{pid}/status"), "VmHWM").as_deref().and_then(kib)?;
    #[expect(clippy::cast_precision_loss, reason = "no process has 2^52 KiB")]
    Some(peak as f64 / 1024.0)
}

/// The most memory this process has had so far.
pub(super) fn own_peak_rss_mib() -> Result<f64, Failure> {
    peak_rss_mib(std::process::id()).ok_or_else(|| Failure::new("the system does not tell memory"))
}

/// Seconds of processor time that a process has used, all threads; `None` when there is none.
pub(super) fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets, which may hold spaces.
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(FIELDS_BEFORE_TIMES);
    let mut ticks = || times.next()?.parse::<u32>().ok().map(f64::from);
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// The text after `name:` in a file of the kernel.
fn value(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// `12345 kB` as a number.
fn kib(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that the kernel's figures are read: a process has memory, no more than there is, and
    /// its processor time rises with work.
    #[test]
    fn this_process_has_memory_and_uses_time() {
        let own = std::process::id();
        let before = cpu_seconds(own).unwrap();
        while cpu_seconds(own).unwrap() <= before {}
        let memory = peak_rss_mib(own).unwrap();
        let machine = Machine::this();
        assert!(memory > 0.5 && memory < f64::from(u32::try_from(machine.memory_mib).unwrap()));
        assert_eq!((peak_rss_mib(u32::MAX), cpu_seconds(u32::MAX)), (None, None));
    }
}
