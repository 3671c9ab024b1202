//! The edition that the group uses: when a leader raises it, and what becomes of nodes that lack it.
//!
//! It is raised when every voter and every learner is connected and has said in its greeting that it has a later one. From the append of
//! that command on, this node talks to nobody who lacks it, so nobody who lacks it becomes a member: what such a node could
//! not read never reaches it. What takes the new edition is taken from clients once the command is applied.

use quorate_wire::{Command, Edition, ErrorCode, NodeId, Time};

use super::Pipeline;
use crate::lane::Refusal;
use crate::seam::Seam;

impl Pipeline {
    /// Raises the edition, if all members have a later one.
    pub(super) fn raise_due(&mut self, now: Time) {
        let used = self.state.newest_edition();
        if used >= self.config.edition || !self.led || self.commands.raises() {
            return;
        }
        let entries = self.membership.list().entries.iter();
        let editions = entries.map(|entry| self.edition_of(entry.member().0));
        // Who is not connected may have any.
        let common = editions.min().flatten();
        if let Some(edition) = common.filter(|&edition| edition > used) {
            self.propose_command(Command::Raise { edition }, now);
        }
    }

    /// Has the log use what came with the edition, once no member can come back that lacks it.
    pub(super) fn log_by_edition(&mut self) {
        if self.state.edition() >= Edition::SECOND {
            self.log.keep_sums();
        }
    }

    fn edition_of(&self, node: NodeId) -> Option<Edition> {
        if node == self.config.node {
            return Some(self.config.edition);
        }
        let mut links = self.links.iter();
        let link = links.find(|link| link.up && link.peer == Some(node))?;
        Some(link.edition)
    }

    /// Ends the conversations with those who lack the edition that the log has come to.
    pub(super) fn part_from_older(&mut self, seam: &mut impl Seam) {
        let used = self.state.newest_edition();
        if used == self.parted {
            return;
        }
        assert!(
            used <= self.config.edition,
            "nobody is sent what its build cannot read"
        );
        self.parted = used;
        for at in (0..self.links.len()).rev() {
            let link = self.links.get(at);
            if link.is_some_and(|link| link.up && link.edition < used) {
                self.refuse_link(at, ErrorCode::EditionTooOld, seam);
            }
        }
    }

    /// Why a command is not for this group yet, if so.
    pub(super) fn lacks_edition(&self, command: &Command) -> Option<Refusal> {
        let used = self.state.edition();
        (command.edition() > used).then(|| Refusal {
            expected: u64::from(command.edition().0),
            limit: u64::from(used.0),
            ..Refusal::new(ErrorCode::EditionNotRaised)
        })
    }
}
