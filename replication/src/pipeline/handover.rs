//! Handing the lead over: because an operator wants it, or because this node is about to stop.
//!
//! Chunks that come meanwhile wait in the lane, and are sent on to the new leader as soon as it is known: a client then goes there at
//! once, and has nothing in doubt, since the core hands over only when all is committed.

use alloc::vec::Vec;

use quorate_raft::{Input, Raft};
use quorate_wire::admin::{AdminAsk, AdminMember, AdminReply};
use quorate_wire::{ErrorCode, NodeId, Time};
use zerocopy::little_endian::{U16, U32, U64};

use super::Pipeline;
use crate::lane::{AdminAnswer, Answer, Refusal, ShardId, Ticket};
use crate::seam::{NetworkEvent, Seam};

/// A hand-over under way, from its beginning until the new leader is known.
#[derive(Debug)]
pub(super) struct HandOver {
    /// Who asked for it, unless this node did.
    asked: Option<(ShardId, Ticket)>,
    /// When it has failed, at the latest.
    until: Time,
}

/// Whether this node wants to be without the lead, since it is about to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Leaving {
    #[default]
    Stays,
    /// It hands over as soon as it can.
    Wants,
    /// It has begun to.
    Begun,
    /// Whatever it could do is done.
    Left,
}

/// How far a node is that stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    #[default]
    Goes,
    /// It ends as soon as its own disk has all that its memory has.
    Wants,
    /// Nothing is taken in, proposed or written any more.
    Ended,
}

impl Pipeline {
    /// This node is about to stop: if it leads, it hands its lead over in its next turns.
    pub fn leave(&mut self) {
        if self.leaving == Leaving::Stays {
            self.leaving = Leaving::Wants;
        }
    }

    /// Whether a node that leaves has done what it can: another one leads, or nobody can take over.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.leaving == Leaving::Left
    }

    /// This node stops: the turn in which its own disk has all that its memory has is the last one that does anything.
    pub fn end(&mut self) {
        if self.ending == Ending::Goes {
            self.ending = Ending::Wants;
        }
    }

    /// Whether a node that stops has come to its end, and its disk knows.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ending == Ending::Ended && self.log.is_noted()
    }

    /// Ends if that is wanted and nothing is under way. Where a log ends that is not whole, or is not known yet, nobody says.
    pub(super) fn end_due(&mut self, seam: &mut impl Seam) {
        if self.ending != Ending::Wants || !self.is_settled() {
            return;
        }
        self.ending = Ending::Ended;
        if self.raft.is_some() && self.reopen.is_none() {
            self.log.end(seam);
        }
    }

    /// A node that has ended is there for nobody: peers look elsewhere as soon as their links are gone.
    pub(super) fn hang_up(&mut self, seam: &mut impl Seam) {
        let mut events = core::mem::take(&mut self.scratch.network);
        seam.happened(&mut events);
        for event in events.drain(..) {
            match event {
                NetworkEvent::Accepted { link } | NetworkEvent::Connected { link, .. } => {
                    seam.close(link);
                }
                // What a read was for may be sent nowhere any more.
                NetworkEvent::Closed { link } => self.links.retain(|known| known.id != link),
                NetworkEvent::ConnectFailed { .. }
                | NetworkEvent::Received { .. }
                | NetworkEvent::Sent { .. } => {}
            }
        }
        self.scratch.network = events;
        for link in &mut self.links {
            link.end(seam);
        }
    }

    /// Whether this node's own disk has all that its memory has.
    fn is_settled(&self) -> bool {
        !self.accumulator.is_open()
            && !self.commands.is_open()
            && !self.tail.has_open()
            && !self.tail.has_sealed()
            && !self.log.writing()
    }

    /// Does what an operator asks.
    pub(super) fn admin(
        &mut self,
        (shard, ticket): (ShardId, Ticket),
        ask: AdminAsk,
        now: Time,
        seam: &mut impl Seam,
    ) {
        match ask {
            AdminAsk::Members => {
                let answer = Answer::Admin(self.describe_group());
                Self::reply(ticket, answer, shard, seam);
            }
            AdminAsk::Change(change) => self.change_members((shard, ticket), change, now, seam),
            AdminAsk::Transfer { to } => {
                if let Err(refusal) = self.transfer(to, (shard, ticket), now, seam) {
                    Self::refuse(ticket, refusal, shard, seam);
                }
            }
        }
    }

    fn transfer(
        &mut self,
        to: Option<NodeId>,
        asked: (ShardId, Ticket),
        now: Time,
        seam: &mut impl Seam,
    ) -> Result<(), Refusal> {
        let failed = || Refusal::new(ErrorCode::TransferFailed);
        if let Some(refusal) = self.cannot_lead() {
            return Err(refusal);
        }
        if to == Some(self.config.node) {
            let answer = Answer::Admin(self.describe_group());
            Self::reply(asked.1, answer, asked.0, seam);
            return Ok(());
        }
        let raft = self.raft.as_ref().ok_or_else(failed)?;
        let to = raft.successor(to).ok_or_else(failed)?;
        if self.handing.is_some() {
            return Err(failed());
        }
        self.hand_over(to, Some(asked), now, seam);
        Ok(())
    }

    pub(super) fn hand_over(
        &mut self,
        to: NodeId,
        asked: Option<(ShardId, Ticket)>,
        now: Time,
        seam: &mut impl Seam,
    ) {
        // What was taken in is proposed first: nothing is proposed while the lead changes hands.
        self.close_record(seam);
        self.close_commands(seam);
        self.propose(seam);
        self.seal();
        self.step(Input::Transfer { to }, seam);
        // Later than the core gives up: until then there is nothing to look for.
        let patience = 2 * self.config.election_max + self.config.election_slack;
        self.handing = Some(HandOver {
            asked,
            until: now.after(patience),
        });
    }

    /// Looks how a hand-over stands, and begins one if this node wants to leave.
    pub(super) fn hand_over_due(&mut self, now: Time, seam: &mut impl Seam) {
        self.told.take_if(|(_, until)| *until <= now);
        if let Some(handing) = &self.handing
            && let Some(done) = self.handed(handing.until, now)
        {
            let asked = self.handing.take().and_then(|handing| handing.asked);
            if let Some((shard, ticket)) = asked {
                let answer = if done {
                    Answer::Admin(self.describe_group())
                } else {
                    Answer::Refused(Refusal::new(ErrorCode::TransferFailed))
                };
                Self::reply(ticket, answer, shard, seam);
            }
        }
        if self.handing.is_some() {
            return;
        }
        match self.leaving {
            Leaving::Stays | Leaving::Left => {}
            Leaving::Begun => self.leaving = Leaving::Left,
            Leaving::Wants => {
                let raft = self.raft.as_ref().filter(|raft| raft.serves());
                if let Some(to) = raft.and_then(|raft| raft.successor(None)) {
                    self.leaving = Leaving::Begun;
                    self.hand_over(to, None, now, seam);
                } else if !self.led {
                    self.leaving = Leaving::Left;
                }
            }
        }
    }

    /// Whether a hand-over has come to its end: another node leads, or it has failed.
    fn handed(&self, until: Time, now: Time) -> Option<bool> {
        let raft = self.raft.as_ref()?;
        if raft.leads() {
            return raft.transfers_to().is_none().then_some(false);
        }
        match raft.leader() {
            Some(_) => Some(true),
            // Who is no member any more follows nobody, and is told.
            None if self.told.is_some() => Some(true),
            None => (until <= now).then_some(false),
        }
    }

    /// When [`Pipeline::hand_over_due`] has something to do.
    pub(super) fn hand_over_deadline(&self) -> Option<Time> {
        self.handing.as_ref().map(|handing| handing.until)
    }

    /// Whether the core takes no proposals: it hands its lead over.
    pub(super) fn transfers(&self) -> bool {
        let raft = self.raft.as_ref();
        raft.is_some_and(|raft| raft.transfers_to().is_some())
    }

    /// Whether what makes records waits: the lead changes hands, or has just come here.
    pub(super) fn holds_records(&self) -> bool {
        let fresh = |raft: &Raft| raft.leads() && !raft.serves();
        self.handing.is_some() || self.raft.as_ref().is_some_and(fresh)
    }

    pub(super) fn describe_group(&self) -> AdminAnswer {
        let entries = self.membership.list().entries.iter();
        let members: Vec<AdminMember> = entries
            .map(|entry| {
                let node = entry.member().0;
                let (up, durable) = self.describe_member(node);
                AdminMember {
                    node: U32::new(node.0),
                    role: entry.role,
                    up: u8::from(up),
                    reserved: U16::new(0),
                    durable: U64::new(durable),
                }
            })
            .collect();
        let reply = AdminReply {
            node: U32::new(self.config.node.0),
            leader: U32::new(self.leader().map_or(0, |leader| leader.0)),
            term: U64::new(self.term().0),
            member_count: u8::try_from(members.len()).expect("a group has few members"),
            reserved: [0; 7],
        };
        AdminAnswer { reply, members }
    }

    /// Whether a member is up, and how far its log is known to be durable.
    fn describe_member(&self, node: NodeId) -> (bool, u64) {
        let Some(raft) = &self.raft else {
            return (node == self.config.node, 0);
        };
        if node == self.config.node {
            return (true, raft.durable().0);
        }
        let peer = raft.peer_progress().find(|peer| peer.0 == node);
        peer.map_or((false, 0), |(_, up, matched)| (up, matched.0))
    }
}
