//! A disk that takes its time: each operation is done at a moment drawn for it, in any order.

use std::collections::VecDeque;

use quorate_replication::seam::{OpId, Pace, Storage, StorageDone, StorageOp};
use quorate_wire::Time;

use crate::random::Random;
use crate::{Disk, Sector};

/// How the disk behaves.
#[derive(Clone, Copy, Debug)]
pub struct DiskWeather {
    /// Nanoseconds that a read or a write takes at least and at most.
    pub latency: (u64, u64),
    /// Nanoseconds that a read takes longer than a write, at most.
    pub read: u64,
    /// Once in so many operations, one takes up to `spike`.
    pub spike_one_in: u64,
    /// Nanoseconds.
    pub spike: u64,
    /// Nanoseconds that the preparation of a segment takes at most.
    pub prepare: u64,
}

/// A disk and its pace.
#[derive(Debug)]
pub struct SlowDisk {
    disk: Disk,
    random: Random,
    weather: DiskWeather,
    now: Time,
    /// When each waiting operation is done, in the order of the disk's own queue.
    due: VecDeque<Time>,
    done: Vec<StorageDone>,
    performed: u64,
}

impl SlowDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(random: Random, weather: DiskWeather) -> Self {
        Self {
            disk: Disk::new(),
            random,
            weather,
            now: Time(0),
            due: VecDeque::new(),
            done: Vec::new(),
            performed: 0,
        }
    }

    /// How many operations it has done.
    #[must_use]
    pub fn performed(&self) -> u64 {
        self.performed
    }

    /// From now on, new operations take so long.
    pub fn set_weather(&mut self, weather: DiskWeather) {
        self.weather = weather;
    }

    /// What is on it.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What is on it.
    pub fn disk_mut(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Time) {
        self.now = now;
        while let Some(nth) = self.due.iter().position(|&at| at <= now) {
            self.due.remove(nth);
            assert!(self.disk.perform(nth), "the queues have the same length");
            self.performed += 1;
            self.disk.completed(&mut self.done);
        }
    }

    /// When the next operation is done.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.due.iter().min().copied()
    }

    /// Whether something waits to be done.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.disk.waiting() > 0
    }

    /// Whether something is done that was not yet told.
    #[must_use]
    pub fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// Does everything that waits, and tells nobody.
    pub fn finish(&mut self) {
        self.disk.perform_all();
        self.disk.completed(&mut self.done);
        self.due.clear();
        self.done.clear();
    }

    /// The node dies. What was not done is lost, kept or torn, as chance has it.
    pub fn crash(&mut self) {
        let random = &mut self.random;
        match random.below(4) {
            0 => self.disk.crash(&mut |_| false),
            1 => self.disk.crash(&mut |_| true),
            2 => self.disk.crash(&mut |_| random.one_in(2)),
            _ => {
                let mut left = random.below(1 + self.disk.waiting_sectors().len());
                self.disk.crash(&mut |_: Sector| {
                    let keeps = left > 0;
                    left = left.saturating_sub(1);
                    keeps
                });
            }
        }
        self.due.clear();
        self.done.clear();
    }
}

impl Storage for SlowDisk {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        let DiskWeather {
            latency: (least, most),
            read,
            spike_one_in,
            spike,
            prepare,
        } = self.weather;
        let mut takes = self.random.between(least, most);
        if self.random.one_in(spike_one_in) {
            takes += self.random.between(0, spike);
        }
        takes += match &op {
            StorageOp::Write { .. } => 0,
            StorageOp::Read { .. } => self.random.between(0, read),
            StorageOp::Prepare { .. }
            | StorageOp::Reuse { .. }
            | StorageOp::Append { .. }
            | StorageOp::Publish { .. }
            | StorageOp::Remove { .. } => self.random.between(0, prepare),
        };
        self.due.push_back(self.now.after(takes));
        self.disk.submit(id, op);
    }

    /// A preparation takes as long as was drawn for it.
    fn pace(&mut self, _: Pace) {}

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        done.append(&mut self.done);
    }
}
