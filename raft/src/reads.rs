//! Reads that see everything that was committed before they were asked (thesis §6.4).
//!
//! ```text
//!   Read --> waits --a majority answers an append that left after it--> may be answered at the commit index of then
//!              \-----the next tick finds the lease valid (lease.rs)-----/
//!               \----this node leads no more--------------------------> refused
//! ```
//! A leader whose no-op is committed knows everything that was committed before its term (TRAPS 17); what was committed since, it
//! has committed itself, unless somebody else has been elected meanwhile. That nobody has is what a read waits to be told.

use alloc::collections::VecDeque;

use quorate_wire::LogIndex;
use quorate_wire::canary::{self, Canary};

use crate::role::Role;
use crate::{Output, Raft, Readable};

/// Reads that wait for the proof that this node leads, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    waiting: VecDeque<Waiting>,
    /// How many were ever asked; counts them, so that an append can say how many it left after.
    asked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: u64,
    number: u64,
    /// The commit index when it was asked.
    at: LogIndex,
}

impl Reads {
    pub(crate) fn asked(&self) -> u64 {
        self.asked
    }

    /// The number of the last one that waits; zero if none does.
    pub(crate) fn last_waiting(&self) -> u64 {
        self.waiting.back().map_or(0, |read| read.number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn push(&mut self, id: u64, at: LogIndex) {
        self.asked += 1;
        self.waiting.push_back(Waiting {
            id,
            number: self.asked,
            at,
        });
    }

    /// The first `reads` that were ever asked may be answered.
    fn release(&mut self, reads: u64, output: &mut Output) {
        while let Some(read) = self.waiting.pop_front_if(|read| read.number <= reads) {
            output.reads.push(Readable {
                id: read.id,
                at: Some(read.at),
            });
        }
    }

    /// This node leads no more: it can prove nothing to those who wait.
    pub(crate) fn refuse_all(&mut self, output: &mut Output) {
        for read in self.waiting.drain(..) {
            output.reads.push(Readable {
                id: read.id,
                at: None,
            });
        }
    }
}

impl Raft {
    pub(crate) fn on_read(&mut self, id: u64, output: &mut Output) {
        if !self.serves() {
            return output.reads.push(Readable { id, at: None });
        }
        self.reads.push(id, self.commit);
        if canary::on(Canary::ReadWithoutRound)
            || canary::on(Canary::LeaseOfLastTick) && self.holds_lease()
        {
            self.reads.release(u64::MAX, output);
        }
        self.settle_reads(output); // A single voter is its own majority.
    }

    /// Answers the reads that a majority has confirmed.
    pub(crate) fn settle_reads(&mut self, output: &mut Output) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        if self.reads.is_empty() {
            return;
        }
        let reads = self.reached(leader, self.reads.asked, |peer| peer.confirmed().reads);
        self.reads.release(reads, output);
    }

    /// A tick has come, and its clock was read after everything that waits was asked: the lease answers for all of it.
    pub(crate) fn read_by_lease(&mut self, output: &mut Output) {
        if self.holds_lease() {
            self.reads.release(u64::MAX, output);
        }
    }
}
