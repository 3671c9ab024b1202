//! What processes on this host use, as the kernel counts it (proc(5)).

use std::fs;
use std::io;
use std::time::Duration;

/// Processor time and memory of a process, all its threads together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// On a processor in user mode, since its start.
    pub(crate) user: Duration,
    /// On a processor in the kernel, since its start.
    pub(crate) system: Duration,
    /// How often its present threads have gone to sleep: they waited for something.
    pub(crate) waits: u64,
    /// How often its present threads have lost the processor to others.
    pub(crate) preemptions: u64,
    /// Bytes that it has had written to disks, if the kernel says: whole blocks, zeros in advance included.
    pub(crate) written: Option<u64>,
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
        let (user, system) = cpu_ticks(&stat).ok_or_else(unclear)?;
        let (waits, preemptions) = switches(process)?;
        // Refused for a process that has changed its user, and not there in every kernel.
        let written = fs::read_to_string(format!("/proc/{process}/io"));
        Ok(Self {
            user: of_ticks(user),
            system: of_ticks(system),
            waits,
            preemptions,
            written: written.ok().and_then(|io| number(&io, "write_bytes:")),
            rss_kib: kib(&status, "VmRSS:").ok_or_else(unclear)?,
            rss_peak_kib: kib(&status, "VmHWM:").ok_or_else(unclear)?,
        })
    }

    /// On a processor since its start, in either mode.
    pub(crate) fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

fn of_ticks(ticks: u64) -> Duration {
    let second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs(ticks / second)
        + Duration::from_secs(ticks % second) / u32::try_from(second).unwrap_or(u32::MAX)
}

/// The kernel counts switches by thread; the process's own file has its first thread's only.
fn switches(process: u32) -> io::Result<(u64, u64)> {
    let (mut waits, mut preemptions) = (0, 0);
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread that ends meanwhile takes its counts along.
        let Ok(status) = fs::read_to_string(thread?.path().join("status")) else {
            continue;
        };
        waits += number(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        preemptions += number(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
    }
    Ok((waits, preemptions))
}

/// Fields 14 and 15 of `/proc/PID/stat`. Field 2 is the program's name in parentheses, and may hold anything.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user = fields.next()?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    Some((user, system))
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Usage, cpu_ticks, kib, number};

    #[test]
    fn the_kernels_lines_are_understood() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 30 12 3 4 20 0 1 0 8765 1000 1";
        assert_eq!(cpu_ticks(stat), Some((30, 12)));
        assert_eq!(cpu_ticks("42 (cut) S 1"), None);
        let status = "Name:\tVmRSS:\nVmHWM:\t  2048 kB\nVmRSS:\t   512 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(512));
        assert_eq!(kib(status, "VmHWM:"), Some(2_048));
        assert_eq!(kib(status, "VmSwap:"), None);
        let switches = "voluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(number(switches, "voluntary_ctxt_switches:"), Some(150));
        assert_eq!(number(switches, "nonvoluntary_ctxt_switches:"), Some(7));
    }

    #[test]
    fn work_is_seen() {
        let process = std::process::id();
        let before = Usage::of(process).expect("/proc is mounted where tests run");
        let begun = Instant::now();
        loop {
            let now = Usage::of(process).expect("/proc is mounted where tests run");
            assert!(now.rss_kib > 0 && now.rss_peak_kib >= before.rss_kib);
            if now.cpu() >= before.cpu() + Duration::from_millis(20) {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{before:?} {now:?}"
            );
        }
    }
}
