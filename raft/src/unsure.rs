//! A node that does not know whether it has lost records that it acknowledged.
//!
//! The end of its log was damaged, not merely torn: records may be gone that it has acknowledged, and that were committed by
//! counting it. Losing them on one disk is no harm as long as this node does not help anybody to lead who never had them. So
//! while it is unsure it neither votes nor stands; a majority without it still meets every majority that has committed
//! something, in a node that is not this one.
//!
//! It does follow, and acknowledges. An acknowledgement says "my disk has this leader's log up to here": it is worked out from
//! what the disk has now and what this leader's appends have verified since the start, so it is true, whatever was lost
//! before. In doubt are only the acknowledgements of former sessions, and those matter where somebody counts on this node to
//! refuse a candidate that lacks what they covered, that is, for votes.
//!
//! It is whole again when its disk has the leader's log up to a commit index that the leader told in the present session, if
//! the record there is of the leader's own term. For what may a lost acknowledgement have helped to commit?
//! - In an earlier term: the leader was elected without this node, or with its vote from when it still had everything. Either
//!   way its log held the record when it was elected (leader completeness), so before its no-op; and the commit index is not
//!   before the no-op.
//! - In the leader's term: it counts the acknowledgements of a session in that session only (`Progress::open`), so whatever
//!   the lost ones committed was committed before this session began, and every commit index told in it covers that.
//!
//! That it is whole goes to the disk like a vote, and nothing that it promises leaves before the disk has it (TRAPS 2). A
//! crash until then leaves it unsure. A group in which a majority is unsure and nobody leads stands still: it has lost more
//! than it was built to lose, and says so rather than guess.

use quorate_wire::NodeId;

use crate::role::Role;
use crate::{Note, Output, Raft};

impl Raft {
    /// Whether a candidate is refused since this node cannot tell whether the candidate has everything.
    pub(crate) fn is_unsure(&self, candidate: NodeId, output: &mut Output) -> bool {
        let unsure = self.ballot.unsure();
        if unsure {
            output.notes.push(Note::UnsureRefuses { candidate });
        }
        unsure
    }

    /// The leader is silent. Who is unsure has nothing to ask: it waits for the next one.
    pub(crate) fn wait_on(&mut self) {
        assert!(
            matches!(self.role, Role::Follower { .. }),
            "who is unsure follows"
        );
        self.role = Role::Follower { leader: None };
        self.timer.reset(self.now, self.delays.slack());
    }

    /// Looks whether this node has everything again.
    pub(crate) fn become_whole(&mut self, output: &mut Output) {
        let Role::Follower {
            leader: Some(leader),
        } = &mut self.role
        else {
            return;
        };
        let reached = leader.verified.min(self.durable);
        let Some(goal) = leader.goal.filter(|&goal| goal <= reached) else {
            return;
        };
        if !self.ballot.unsure() {
            return;
        }
        if self.terms.term_at(goal) != Some(self.ballot.term()) {
            leader.goal = None; // It has not yet committed in its term: what it calls committed may be less than what is.
            return;
        }
        self.ballot.make_whole(output);
        output.notes.push(Note::Whole { upto: goal });
    }
}
