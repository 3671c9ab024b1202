//! Who should lead: a leader hands its lead over to a voter of higher priority.
//!
//! Elections know nothing of priorities, so whoever can lead does, at once. When things have settled, the leader looks whether a better
//! one is there: up, with all but the last records on its disk, and nothing else going on. A hand-over that fails is not tried again
//! soon.

use quorate_wire::{NodeId, Time};

use super::Pipeline;
use super::config::{PREFER_AFTER, PREFER_AGAIN, PREFER_RECORDS};
use super::handover::Leaving;

use crate::seam::Seam;

/// When this leader looks for a better one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prefers {
    at: Time,
}

impl Prefers {
    /// A leadership begins.
    pub(super) fn begin(&mut self, now: Time) {
        self.at = now.after(PREFER_AFTER);
    }
}

impl Pipeline {
    /// Hands the lead over to a better leader, if there is one.
    pub(super) fn prefer_due(&mut self, now: Time, seam: &mut impl Seam) {
        if !self.led || now < self.prefers.at {
            return;
        }
        self.prefers.at = now.after(PREFER_AFTER);
        let busy = self.asked.is_some()
            || self.handing.is_some()
            || self.leaving != Leaving::Stays
            || self.membership.list().changes();
        if busy {
            return;
        }
        if let Some(to) = self.better_leader() {
            self.prefers.at = now.after(PREFER_AGAIN);
            self.hand_over(to, None, now, seam);
        }
    }

    /// When [`Pipeline::prefer_due`] has something to do.
    pub(super) fn prefer_deadline(&self) -> Option<Time> {
        let better = self.led
            && self
                .links
                .iter()
                .any(|link| link.up && link.priority > self.config.priority);
        better.then_some(self.prefers.at)
    }

    /// The voter of the highest priority above the own one that could lead at once; of several, the one that has most.
    fn better_leader(&self) -> Option<NodeId> {
        let raft = self.raft.as_ref().filter(|raft| raft.serves())?;
        let last = raft.last().index.0;
        let fit = raft.peer_progress().filter_map(|(peer, up, matched)| {
            let priority = self.priority_of(peer).filter(|_| up)?;
            let close = last - matched.0 <= PREFER_RECORDS;
            (close && priority > self.config.priority).then_some((priority, matched, peer))
        });
        let fit = fit.filter(|&(_, _, peer)| raft.successor(Some(peer)).is_some());
        fit.max().map(|(_, _, peer)| peer)
    }

    fn priority_of(&self, peer: NodeId) -> Option<u8> {
        let mut links = self.links.iter();
        let link = links.find(|link| link.up && link.peer == Some(peer))?;
        Some(link.priority)
    }
}
