//! Peers that have fallen behind: records from the disk, parts of snapshots, and what a peer's disk has lost, all at the governor's
//! rate. What memory still has is no matter of it: the producers' records go the same way.
//!
//! Owns: requests for lost records that wait for their turn. Called by: the turn, the core's driver, the peers' conversations.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, NodeId, Time};

use super::Pipeline;
use super::fetch::ReadFor;
use super::governor::Governor;
use super::lend::Lend;
use crate::log::Read;
use crate::seam::Seam;

/// See the module's description.
#[derive(Debug)]
pub(super) struct CatchUp {
    pub(super) governor: Governor,
    /// At most one a peer.
    lends: Vec<(Lend, Read)>,
}

impl CatchUp {
    pub(super) fn new(now: Time) -> Self {
        Self {
            governor: Governor::new(now),
            lends: Vec::new(),
        }
    }

    /// Whether more may be read for a peer now.
    pub(super) fn allows(&self, now: Time) -> bool {
        self.governor.next() <= now
    }

    /// A peer asks for what it has lost. If it has asked before, it does not wait for that any more.
    pub(super) fn ask(&mut self, lend: Lend, read: Read) {
        self.lends.retain(|(asked, _)| asked.peer != lend.peer);
        self.lends.push((lend, read));
    }
}

impl Pipeline {
    /// Sets the rate for what follows.
    pub(super) fn govern(&mut self, now: Time) {
        if !self.catch_up.governor.is_due(now) {
            return;
        }
        let reads = self.fetches.reads.iter();
        let reads = reads.filter(|(_, read)| matches!(read, ReadFor::Peer(..) | ReadFor::Lend(_)));
        let wants = self.wants.iter().filter(|want| self.is_behind(want.first));
        let peers =
            reads.count() + wants.count() + self.transfer.serves() + self.catch_up.lends.len();
        let peers = u64::try_from(peers).expect("a count fits");
        self.catch_up
            .governor
            .judge(now, peers, self.counts.written_bytes);
    }

    /// Whether memory has a record no more.
    pub(super) fn is_behind(&self, first: LogIndex) -> bool {
        first < self.tail.first()
    }

    /// Reads what peers have lost.
    pub(super) fn lend_due(&mut self, now: Time, seam: &mut impl Seam) {
        while self.catch_up.allows(now)
            && let Some((lend, read)) = self.catch_up.lends.pop()
        {
            let token = self.fetches.open(ReadFor::Lend(lend));
            if self.log.read(Read { token, ..read }, seam).is_err() {
                self.read_void(token, seam);
            }
        }
    }

    /// When somebody who waits for the rate may be caught up further.
    pub(super) fn catch_up_deadline(&self) -> Option<Time> {
        let takes = |peer: NodeId| {
            let mut links = self.links.iter();
            links.any(|link| link.peer == Some(peer) && link.up && link.takes_records())
        };
        let mut wants = self.wants.iter();
        let waits = wants.any(|want| self.is_behind(want.first) && takes(want.peer));
        let waits = waits || !self.catch_up.lends.is_empty();
        waits.then(|| self.catch_up.governor.next())
    }
}
