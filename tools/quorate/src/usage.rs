//! What processes on this host use, as the kernel counts it (proc(5)).

use std::fs;
use std::io;
use std::time::Duration;

/// Processor time and memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// On a processor since its start, in user and in system mode: all threads.
    pub(crate) cpu: Duration,
    /// In memory now.
    pub(crate) rss_kib: u64,
    /// In memory at most, since its start.
    pub(crate) rss_peak_kib: u64,
}

impl Usage {
    /// What a process has used so far.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let unclear = || io::Error::from(io::ErrorKind::InvalidData);
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let ticks = cpu_ticks(&stat).ok_or_else(unclear)?;
        let second = rustix::param::clock_ticks_per_second().max(1);
        Ok(Self {
            cpu: Duration::from_secs(ticks / second)
                + Duration::from_secs(ticks % second) / u32::try_from(second).unwrap_or(u32::MAX),
            rss_kib: kib(&status, "VmRSS:").ok_or_else(unclear)?,
            rss_peak_kib: kib(&status, "VmHWM:").ok_or_else(unclear)?,
        })
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`. Field 2 is the program's name in parentheses, and may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Usage, cpu_ticks, kib};

    #[test]
    fn the_kernels_lines_are_understood() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 30 12 3 4 20 0 1 0 8765 1000 1";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("42 (cut) S 1"), None);
        let status = "Name:\tVmRSS:\nVmHWM:\t  2048 kB\nVmRSS:\t   512 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(512));
        assert_eq!(kib(status, "VmHWM:"), Some(2_048));
        assert_eq!(kib(status, "VmSwap:"), None);
    }

    #[test]
    fn work_is_seen() {
        let process = std::process::id();
        let before = Usage::of(process).expect("/proc is mounted where tests run");
        let begun = Instant::now();
        loop {
            let now = Usage::of(process).expect("/proc is mounted where tests run");
            assert!(now.rss_kib > 0 && now.rss_peak_kib >= before.rss_kib);
            if now.cpu >= before.cpu + Duration::from_millis(20) {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{before:?} {now:?}"
            );
        }
    }
}
