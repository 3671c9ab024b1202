//! What follows from the members: whom to dial, and whom to let go.

use quorate_raft::Input;
use quorate_wire::{ErrorCode, LogIndex, NodeId, Time};

use super::config::{
    CAST_OUT_AGAIN, DIAL_AGAIN, DIAL_AGAIN_FIRST, DIAL_GREATER_AGAIN, REFUSED_AGAIN,
};
use super::peers::Dial;
use super::{Note, Pipeline};
use crate::seam::Seam;

/// The pause between dials that fail doubles so often.
const DIAL_DOUBLINGS: u32 = 16;

impl Dial {
    fn new(peer: NodeId, me: NodeId, at: Time) -> Self {
        Self {
            peer,
            greater: peer > me,
            past: false,
            at,
            dialling: false,
            failed: 0,
        }
    }

    /// Nobody listens there. How long to wait, in nanoseconds, if that is not too long: a node may be about to, whom an operator has
    /// just added.
    pub(super) fn has_failed(&mut self) -> u64 {
        let wait = DIAL_AGAIN_FIRST.saturating_mul(1 << self.failed);
        self.failed = (self.failed + 1).min(DIAL_DOUBLINGS);
        wait
    }

    /// Whether this node, which seeks those of greater ids or does not, dials it when its time has come.
    pub(super) fn is_wanted(&self, seeks: bool) -> bool {
        !self.dialling && !self.past && (seeks || !self.greater)
    }

    /// How long a dial that failed is not repeated at most, in nanoseconds.
    pub(super) fn again(&self, cast_out: bool) -> u64 {
        match (cast_out, self.greater) {
            (true, _) => CAST_OUT_AGAIN,
            (false, true) => DIAL_GREATER_AGAIN,
            (false, false) => DIAL_AGAIN,
        }
    }

    /// A connection is over, which was made by this dial or by the peer's, and was up or not.
    pub(super) fn over(&mut self, (dialled, up): (bool, bool), cast_out: bool, now: Time) {
        let wait = match (dialled, up) {
            // A peer that went away may be back at once; one that refused will not change its mind so soon.
            (true, true) => 0,
            (true, false) => DIAL_AGAIN,
            // Of two that dial each other the greater id goes first: else their dials would cross again and again, and each end the other.
            (false, _) => self.again(cast_out),
        };
        self.dialling &= !dialled;
        self.at = self.at.max(now.after(wait));
    }
}

impl Pipeline {
    /// Tells the core of the members that kept records name, from `first` on.
    pub(super) fn tell_members(&mut self, first: LogIndex, seam: &mut impl Seam) {
        let lists = self.state.member_lists();
        let new = lists.filter(|(at, _)| *at >= first);
        let new: alloc::vec::Vec<_> = new.map(|(at, list)| (*at, list.members())).collect();
        for (at, members) in new {
            self.members_due = true;
            self.step(Input::Configured { at, members }, seam);
        }
    }

    /// More is committed: perhaps members.
    pub(super) fn settle_members(&mut self) {
        if let Some((at, list)) = self.state.applied_members()
            && self.membership.settle(*at, list)
        {
            self.members_due = true;
        }
    }

    /// Does what follows from other members.
    pub(super) fn place_members(&mut self, now: Time, seam: &mut impl Seam) {
        if !core::mem::take(&mut self.members_due) {
            return;
        }
        let newest = self.state.member_lists().next_back();
        self.membership.learn(newest);
        let me = self.config.node;
        if self.membership.is_past(me) {
            self.on_cast_out(seam);
        }
        let list = &self.membership.list().entries;
        // What this node's own configuration says goes before what the log says.
        let configured = self.membership.nodes();
        for (node, at) in list
            .iter()
            .filter_map(|entry| Some((entry.member().0, entry.peer()?)))
        {
            if node != me && configured.iter().all(|place| place.node != node) {
                seam.locate(node, at);
            }
        }
        let contact = self.asked.as_ref().and_then(super::change::Asked::contact);
        let greater = list.iter().map(|entry| entry.member().0);
        let greater = greater.chain(contact).filter(|&node| node > me);
        let forming = configured.iter().map(|place| place.node);
        let forming = forming.filter(|_| list.is_empty());
        let lower = list.iter().map(|entry| entry.member().0).chain(forming);
        let lower = lower.filter(|&node| node < me);
        let peers: alloc::vec::Vec<_> = lower.chain(greater).collect();
        self.dials
            .retain(|dial| dial.dialling || peers.contains(&dial.peer));
        for &peer in &peers {
            if self.dials.iter().all(|dial| dial.peer != peer) {
                let waits = peer > me && Some(peer) != contact;
                let at = now.after(if waits { DIAL_GREATER_AGAIN } else { 0 });
                self.dials.push(Dial::new(peer, me, at));
            }
        }
        for dial in &mut self.dials {
            dial.past = !peers.contains(&dial.peer);
        }
        self.part(seam);
    }

    /// Tells those that are no members any more that they are not, and who leads. Whoever still leads this node may stay: it has to
    /// hand over, and until it has, it is not known what to tell it.
    fn part(&mut self, seam: &mut impl Seam) {
        let leader = self.leader();
        self.led_by = leader.or(self.led_by);
        for at in 0..self.links.len() {
            let link = self.links.get(at).filter(|link| link.up);
            let Some(peer) = link.and_then(|link| link.peer) else {
                continue;
            };
            if !self.membership.is_past(peer) {
                continue;
            }
            if self.led_by == Some(peer) {
                self.members_due = true;
            } else {
                self.refuse_link(at, ErrorCode::NotAMember, seam);
            }
        }
    }

    /// This node is no member any more, as its log says, or a peer. Ids are used once: that does not change.
    pub(super) fn on_cast_out(&mut self, seam: &mut impl Seam) {
        if !core::mem::replace(&mut self.cast_out, true) {
            self.notes.push(Note::CastOut);
            self.log.store_removed(seam);
        }
    }

    /// Whether this node dials those of greater ids: it leads them, or needs their votes.
    pub(super) fn seeks(&self) -> bool {
        self.led || (self.leader().is_none() && !self.cast_out)
    }

    /// How long a peer that refused this node, or was refused, is left alone, in nanoseconds.
    pub(super) fn refused_again(&self) -> u64 {
        if self.cast_out {
            CAST_OUT_AGAIN
        } else {
            REFUSED_AGAIN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_whose_dials_have_crossed_the_greater_id_dials_first() {
        let (lower, greater, now) = (NodeId(1), NodeId(2), Time(5));
        let mut of_lower = Dial::new(greater, lower, now);
        let mut of_greater = Dial::new(lower, greater, now);
        for dial in [&mut of_lower, &mut of_greater] {
            for own in [true, false] {
                dial.over((own, true), false, now);
            }
        }
        // So much earlier that its connection is up before the other tries.
        assert!(of_greater.at.after(400_000_000) <= of_lower.at);
    }

    #[test]
    fn who_lost_a_connection_that_it_made_dials_at_once_unless_it_was_refused() {
        let mut dial = Dial::new(NodeId(1), NodeId(2), Time(0));
        dial.over((true, true), false, Time(5));
        assert_eq!(dial.at, Time(5));
        dial.over((true, false), false, Time(5));
        assert_eq!(dial.at, Time(5).after(DIAL_AGAIN));
    }
}
