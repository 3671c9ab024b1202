//! Changing the members: what operators ask for, and the records that it takes.
//!
//! ```text
//!   asked --a new node has shown its disk--> a list in the log --committed--> answered
//!                  voters change: a list with those before and after --committed--> the last list --/
//! ```
//! What is asked is held against the list in force whenever that is committed, until nothing is left to do. So it makes no difference
//! which leader ends what another one has begun, nor how often something is asked. One change at a time.

use quorate_raft::Input;
use quorate_wire::admin::Change;
use quorate_wire::limits::{MEMBERS_MAX, NODES_MAX};
use quorate_wire::{
    ErrorCode, MemberRole, NodeId, RECORD_HEADER_BYTES, RecordHeader, RecordKind, RosterEntry, Time,
};

use super::Pipeline;
use super::config::{CONTACT_TIME, PROMOTE_RECORDS};
use crate::lane::{Answer, Refusal, ShardId, Ticket};
use crate::seam::Seam;
use crate::state::MemberList;

/// A change that somebody waits for.
#[derive(Debug)]
pub(super) struct Asked {
    asker: (ShardId, Ticket),
    change: Change,
    /// Until when a node that is added may show its disk.
    until: Time,
}

/// What is left to do.
enum Left {
    Nothing,
    /// The node that is added has not yet shown its disk.
    Contact,
    /// The log is to have this list.
    Name(MemberList),
}

impl Asked {
    /// The node that is to be dialled.
    pub(super) fn contact(&self) -> Option<NodeId> {
        match self.change {
            Change::Add { node, .. } => Some(node),
            Change::Promote { .. } | Change::Remove { .. } | Change::Replace { .. } => None,
        }
    }
}

impl Pipeline {
    /// An operator wants other members.
    pub(super) fn change_members(
        &mut self,
        asker: (ShardId, Ticket),
        change: Change,
        now: Time,
        seam: &mut impl Seam,
    ) {
        let refusal = self.cannot_lead().or_else(|| {
            let busy = self.asked.is_some() || self.handing.is_some();
            busy.then(|| Refusal::new(ErrorCode::ChangeInProgress))
        });
        if let Some(refusal) = refusal {
            return Self::refuse(asker.1, refusal, asker.0, seam);
        }
        if let Change::Add { node, peer, .. } = change
            && self.membership.list().entry(node).is_none()
        {
            seam.locate(node, peer);
            self.members_due = true;
        }
        self.asked = Some(Asked {
            asker,
            change,
            until: now.after(CONTACT_TIME),
        });
    }

    /// Goes on with a change of the members.
    pub(super) fn change_due(&mut self, now: Time, seam: &mut impl Seam) {
        if !self.led {
            let leader = self.hint();
            let refusal = Refusal::new(ErrorCode::LeadershipLost);
            return self.end_change(Err(Refusal { leader, ..refusal }), seam);
        }
        if !self.may_change() {
            return;
        }
        if self.membership.list().changes() {
            let list = self.membership.list().changed();
            return self.name_members(list, seam);
        }
        if let Some(asked) = &self.asked {
            match self.left_to_do(&asked.change) {
                Ok(Left::Nothing) => self.end_change(Ok(()), seam),
                Ok(Left::Contact) if now < asked.until => {}
                Ok(Left::Contact) => {
                    let refusal = Refusal::new(ErrorCode::NodeUnreachable);
                    self.end_change(Err(refusal), seam);
                }
                Ok(Left::Name(list)) => return self.name_members(list, seam),
                Err(refusal) => self.end_change(Err(refusal), seam),
            }
        }
        // Whoever does not belong to the group any more does not lead it.
        let raft = self.raft.as_ref().filter(|raft| raft.must_go());
        if let Some(to) = raft.and_then(|raft| raft.successor(None)) {
            self.hand_over(to, None, now, seam);
        }
    }

    fn may_change(&self) -> bool {
        let core = self.raft.as_ref();
        core.is_some_and(quorate_raft::Raft::may_change) && self.noops_due.is_empty()
    }

    /// When [`Pipeline::change_due`] has something to do at the latest; while the last change is not committed, at no moment.
    pub(super) fn change_deadline(&self) -> Option<Time> {
        let asked = self.asked.as_ref().filter(|_| self.may_change());
        asked.map(|asked| asked.until)
    }

    fn end_change(&mut self, end: Result<(), Refusal>, seam: &mut impl Seam) {
        let Some(Asked { asker, .. }) = self.asked.take() else {
            return;
        };
        self.members_due = true;
        let (shard, ticket) = asker;
        let answer = match end {
            Ok(()) => Answer::Admin(self.describe_group()),
            Err(refusal) => Answer::Refused(refusal),
        };
        Self::reply(ticket, answer, shard, seam);
    }

    /// Holds a change against the list in force, which is committed, and under no change.
    fn left_to_do(&self, change: &Change) -> Result<Left, Refusal> {
        let list = self.membership.list();
        let role = |node| list.entry(node).map(RosterEntry::role);
        let votes = |node| role(node).is_some_and(MemberRole::votes);
        let unknown = || Refusal::new(ErrorCode::NotAMember);
        let impossible = || Refusal {
            expected: u64::from(list.last_id.0) + 1,
            ..Refusal::new(ErrorCode::MembersRefused)
        };
        match *change {
            Change::Add {
                node,
                peer_text,
                client,
                peer,
            } => match list.entry(node) {
                Some(known) if known.peer() == Some(peer) => Ok(Left::Nothing),
                None if node > list.last_id && list.entries.len() < MEMBERS_MAX => {
                    let shown = self.peers_up().into_iter().find(|shown| shown.0 == node);
                    let learner =
                        |shown| RosterEntry::new(shown, MemberRole::Learner, peer_text, client);
                    Ok(shown.map_or(Left::Contact, |shown| Left::Name(list.with(learner(shown)))))
                }
                Some(_) | None => Err(impossible()),
            },
            Change::Promote { node } if votes(node) => Ok(Left::Nothing),
            Change::Promote { node } => {
                self.has_caught_up(node)?;
                if list.votes() >= NODES_MAX {
                    return Err(impossible());
                }
                Ok(Left::Name(list.changing(Some(node), None)))
            }
            Change::Remove { node } if list.is_past(node) => Ok(Left::Nothing),
            Change::Remove { node } => match role(node) {
                None => Err(unknown()),
                Some(MemberRole::Learner) => Ok(Left::Name(list.without(node))),
                Some(_) if list.votes() > 1 => Ok(Left::Name(list.changing(None, Some(node)))),
                Some(_) => Err(impossible()),
            },
            Change::Replace { old, new } => match (votes(old), votes(new)) {
                (false, true) if list.is_past(old) => Ok(Left::Nothing),
                (true, true) => Ok(Left::Name(list.changing(None, Some(old)))),
                (true, false) => {
                    self.has_caught_up(new)?;
                    Ok(Left::Name(list.changing(Some(new), Some(old))))
                }
                (false, _) => Err(unknown()),
            },
        }
    }

    /// Whether a learner lacks so little that it can vote.
    fn has_caught_up(&self, learner: NodeId) -> Result<(), Refusal> {
        let raft = self.raft.as_ref().expect("a leader has a core");
        let mut peers = raft.peer_progress();
        let (_, up, matched) = peers
            .find(|peer| peer.0 == learner)
            .ok_or(Refusal::new(ErrorCode::NotAMember))?;
        let lacks = raft.last().index.0 - matched.0;
        if up && lacks <= PROMOTE_RECORDS {
            return Ok(());
        }
        Err(Refusal {
            expected: lacks,
            retry_after_ms: 200,
            ..Refusal::new(ErrorCode::LearnerBehind)
        })
    }

    /// Appends a record that names these members. If there is no room for it, the next turn tries again.
    fn name_members(&mut self, list: MemberList, seam: &mut impl Seam) {
        self.close_record(seam);
        self.close_commands(seam);
        self.propose(seam);
        let body = list.body();
        let needs = RECORD_HEADER_BYTES + body.len();
        if !self.tail.open_has_room(needs) {
            self.seal();
        }
        let maker = self.maker(seam);
        let Some(room) = self.tail.reserve(needs) else {
            return;
        };
        let header = maker.stamp(RecordKind::Members, 0, &body, &self.state);
        let (head, rest) = room.split_at_mut(RECORD_HEADER_BYTES);
        head.copy_from_slice(&header);
        rest.copy_from_slice(&body);
        let header = RecordHeader::parse(&header).expect("a header stamped just now is sound");
        self.tail.push(&header);
        let members = list.members();
        self.state.append_members(&header, list);
        self.step(Input::Propose, seam);
        let at = header.index;
        self.step(Input::Configured { at, members }, seam);
        self.members_due = true;
        // The core knows the record: who steps down now must not lose it with the open group.
        self.seal();
    }
}
