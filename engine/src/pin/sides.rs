//! Threads that change their core when their node begins or ends to lead.
//!
//! Owns: where they are now. Never: places more than one node. Called by: the pipeline's thread, after each turn.

use std::fs;

use rustix::thread::{CpuSet, Pid, sched_setaffinity};

/// How much more often one core than all others together must be interrupted, to be the one that takes a disk's interrupts.
const MOST: u64 = 4;

/// A node's threads, and its two cores.
#[derive(Debug)]
pub struct Sides {
    leads: usize,
    follows: usize,
    shards: Vec<Pid>,
    /// Whether they are where a leader's are; `None` as long as they are anywhere.
    lead: Option<bool>,
}

impl Sides {
    /// For the pipeline's thread, and the shards'.
    #[must_use]
    pub const fn new((leads, follows): (usize, usize), shards: Vec<Pid>) -> Self {
        Self {
            leads,
            follows,
            shards,
            lead: None,
        }
    }

    /// The node leads, or does not. To be called on the pipeline's thread.
    pub fn take(&mut self, lead: bool) {
        if self.lead.replace(lead) == Some(lead) {
            return;
        }
        let core = if lead { self.leads } else { self.follows };
        let mut set = CpuSet::new();
        set.set(core);
        let shards = self.shards.iter().copied().map(Some);
        for thread in shards.chain([None]) {
            if let Err(error) = sched_setaffinity(thread, &set) {
                tracing::warn!(core, "a thread cannot be pinned: {error}");
            }
        }
    }
}

/// The core that takes nearly all interrupts of a block device, by its numbers (`254:0`), if one does.
#[must_use]
pub fn interrupted_core(device: &str) -> Option<usize> {
    let at = |part: &str| fs::read_link(format!("/sys/dev/block/{device}/{part}device"));
    let link = at("").or_else(|_| at("../")).ok()?;
    let name = link.file_name()?.to_str()?;
    let table = fs::read_to_string("/proc/interrupts").ok()?;
    most_interrupted(&table, name)
}

/// A table of `/proc/interrupts` (proc(5)): a column for each core, and behind them who interrupts: `virtio1-req.0`, `nvme0q3`.
fn most_interrupted(table: &str, device: &str) -> Option<usize> {
    let mut lines = table.lines();
    let cores: Vec<usize> = lines
        .next()?
        .split_whitespace()
        .map(|core| core.strip_prefix("CPU")?.parse().ok())
        .collect::<Option<_>>()?;
    let mut counts = vec![0_u64; cores.len()];
    for line in lines {
        let is_of_device = line.split_whitespace().next_back().is_some_and(|who| {
            let behind = who.strip_prefix(device);
            behind.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        });
        if is_of_device {
            let fields = line.split_whitespace().skip(1);
            for (count, field) in counts.iter_mut().zip(fields) {
                *count += field.parse::<u64>().ok()?;
            }
        }
    }
    let all: u64 = counts.iter().sum();
    let (core, most) = cores
        .into_iter()
        .zip(counts)
        .max_by_key(|&(_, most)| most)?;
    (most > MOST * (all - most)).then_some(core)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::thread::{gettid, sched_getaffinity};

    use super::{Sides, most_interrupted};

    const TABLE: &str = "           CPU0       CPU1       
 36:         12   51666979 PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0
 37:          0          0 PCI-MSIX-0000:00:02.0   0-edge      virtio1-config
 40:       9000          0 PCI-MSIX-0000:00:02.0   1-edge      virtio10-req.0
 41:       5471       5000 PCI-MSIX-0000:00:04.0   1-edge      nvme0q1
NMI:          0          0   Non-maskable interrupts
";

    #[test]
    fn the_core_that_takes_a_disks_interrupts_is_found() {
        assert_eq!(most_interrupted(TABLE, "virtio1"), Some(1));
        assert_eq!(most_interrupted(TABLE, "virtio10"), Some(0));
        assert_eq!(most_interrupted(TABLE, "nvme0"), None, "both do");
        assert_eq!(most_interrupted(TABLE, "sda"), None);
        assert_eq!(most_interrupted("", "virtio1"), None);
    }

    #[test]
    fn all_threads_change_sides() {
        let cores = crate::pin::cores();
        let (first, last) = (cores[0].id, cores[cores.len() - 1].id);
        let mut sides = Sides::new((first, last), vec![gettid()]);
        // On a thread of its own: it stays pinned.
        let seen = thread::spawn(move || {
            let shard = sides.shards[0];
            [true, false, true].map(|lead| {
                sides.take(lead);
                [None, Some(shard)].map(|thread| {
                    let set = sched_getaffinity(thread).expect("it runs");
                    (set.count(), set.is_set(if lead { first } else { last }))
                })
            })
        });
        assert_eq!(seen.join().expect("no panic"), [[(1, true); 2]; 3]);
    }
}
