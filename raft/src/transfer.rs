//! Leadership transfer (thesis §3.10): a leader that has reason to go names its successor, and nobody waits for silence.
//!
//! ```text
//!   leader:  Transfer --proposes no more--> target has all, and all is committed --TimeoutNow--> a later term, or time is up
//!   target:  TimeoutNow --no pre-vote--> Candidate --votes that say so: nobody sticks--> Leader
//! ```
//! The target has what it acknowledged on its disk (TRAPS 20), and since all is committed before it is told, nothing is in doubt when
//! the lead changes. If it does not win within an election timeout, the leader goes on.

use quorate_wire::{LogIndex, NodeId, Term, Time};

use crate::progress::Progress;
use crate::role::Role;
use crate::{Envelope, Message, Note, Output, Raft};

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) to: NodeId,
    /// When the leader goes on by itself.
    pub(crate) until: Time,
    /// The target was told to stand.
    told: bool,
}

impl Raft {
    /// Who would take the lead over: `wanted`, or whoever has the most. `None` if that one is no voter, or about to be none, or not up,
    /// or this node does not lead.
    #[must_use]
    pub fn successor(&self, wanted: Option<NodeId>) -> Option<NodeId> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        let voters = self.members().voters.iter().map(|member| member.0);
        let fit = voters.filter(|&id| self.is_up(id) && wanted.is_none_or(|wanted| wanted == id));
        fit.max_by_key(|&id| leader.progress_of(id).map(Progress::matched))
    }

    /// To whom this leader is handing its lead over: meanwhile it takes no proposals.
    #[must_use]
    pub fn transfers_to(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => None,
            Role::Leader(leader) => leader.transfer.map(|transfer| transfer.to),
        }
    }

    pub(crate) fn on_transfer(&mut self, to: NodeId, output: &mut Output) {
        if self.successor(Some(to)).is_none() || self.transfers_to().is_some() {
            return output.notes.push(Note::TransferFailed { to });
        }
        let until = self.now.after(self.quorum_timeout());
        if let Role::Leader(leader) = &mut self.role {
            leader.transfer = Some(Transfer {
                to,
                until,
                told: false,
            });
        }
        output.notes.push(Note::Transfers { to });
        self.advance_transfer(output);
    }

    /// Tells the target to stand, once it can win and nothing is in doubt.
    pub(crate) fn advance_transfer(&mut self, output: &mut Output) {
        let (last, commit, term) = (self.terms.last().index, self.commit, self.ballot.term());
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let Some(to) = leader.transfer.filter(|transfer| !transfer.told) else {
            return;
        };
        let matched = leader
            .progress_of(to.to)
            .map_or(LogIndex(0), Progress::matched);
        if matched < last || commit < last {
            return;
        }
        leader.transfer = Some(Transfer { told: true, ..to });
        leader.takes_leases = false;
        output.send.push(Envelope {
            to: to.to,
            message: Message::TimeoutNow { term },
        });
        // Nobody will tell who is no member any more that another one leads.
        if self.must_go() {
            self.stand_back();
        }
    }

    /// The target did not take over in time.
    pub(crate) fn end_late_transfer(&mut self, output: &mut Output) {
        let now = self.now;
        if let Role::Leader(leader) = &mut self.role
            && let Some(late) = leader.transfer.take_if(|transfer| transfer.until <= now)
        {
            output.notes.push(Note::TransferFailed { to: late.to });
        }
        // Who does not belong to the group any more does not lead it for the sake of a successor who does not come.
        if self.must_go() && self.transfers_to().is_none() && self.successor(None).is_none() {
            self.stand_back();
        }
    }

    /// The leader wants this node to lead.
    pub(crate) fn on_timeout_now(&mut self, from: NodeId, term: Term, output: &mut Output) {
        if term != self.term() || self.leader() != Some(from) {
            return output.notes.push(Note::IgnoredTerm { from, term });
        }
        if !self.is_unsure(from, output) && self.stands() {
            self.campaign(true, output);
        }
    }
}
