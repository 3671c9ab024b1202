//! What machine it is, as the kernel says (proc(5)).

use std::fs;
use std::io;

/// The machine that the load runs on: a figure without it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Processors that this process may run on.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: String,
    /// Memory.
    pub memory_mib: u64,
    /// Kernel name and release.
    pub kernel: String,
}

impl Machine {
    /// This one. What the kernel does not say is `unknown`.
    #[must_use]
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let uname = rustix::system::uname();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor(&cpuinfo).unwrap_or("unknown").to_owned(),
            memory_mib: memory_kib(&meminfo).unwrap_or(0) >> 10,
            kernel: format!(
                "{} {}",
                uname.sysname().to_string_lossy(),
                uname.release().to_string_lossy()
            ),
        }
    }
}

fn processor(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

fn memory_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Time of all processors since the host's start, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorTime {
    /// All of it, idle time included.
    pub total: u64,
    /// Wanted by this machine, and given to another one by the host under it.
    pub stolen: u64,
}

impl ProcessorTime {
    /// Up to now.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn now() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        Self::parse(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The first line: user, nice, system, idle, iowait, irq, softirq, steal; then guests, who are in user already.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .map(|field| field.parse().ok())
            .collect::<Option<_>>()?;
        Some(Self {
            total: ticks.iter().sum(),
            stolen: *ticks.get(7)?,
        })
    }

    /// The share that was stolen since an earlier moment, between 0 and 1.
    #[must_use]
    pub fn stolen_since(self, earlier: Self) -> f64 {
        let total = self.total.saturating_sub(earlier.total);
        let stolen = self.stolen.saturating_sub(earlier.stolen);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share needs no more digits than a float has"
        )]
        let share = stolen as f64 / total.max(1) as f64;
        share
    }
}

#[cfg(test)]
mod tests {
    use super::{Machine, ProcessorTime, memory_kib, processor};

    #[test]
    fn the_kernels_lines_are_understood() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A Chip @ 3GHz\nflags\t: fpu\n";
        assert_eq!(processor(cpuinfo), Some("A Chip @ 3GHz"));
        let meminfo = "MemTotal:       24000000 kB\nMemFree: 1 kB\n";
        assert_eq!(memory_kib(meminfo), Some(24_000_000));
        let stat = "cpu  10 1 20 60 3 2 1 3 5 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        let time = ProcessorTime::parse(stat).expect("it is sound");
        assert_eq!((time.total, time.stolen), (100, 3));
        assert_eq!(ProcessorTime::parse("cpu  1 2 3\n"), None);
    }

    #[test]
    fn a_share_is_of_the_time_between() {
        let at = |total, stolen| ProcessorTime { total, stolen };
        let share = at(300, 15).stolen_since(at(100, 5));
        assert!((share - 0.05).abs() < 1e-9);
        assert!(at(1, 1).stolen_since(at(1, 1)).abs() < 1e-9);
    }

    #[test]
    fn there_is_a_machine() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.memory_mib > 0, "{machine:?}");
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        assert!(ProcessorTime::now().is_ok_and(|time| time.total > 0));
    }
}
