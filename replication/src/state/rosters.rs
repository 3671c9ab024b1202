//! Who belongs to the group, as the log says: of what is applied, and of what is pending.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use quorate_raft::Members;
use quorate_wire::{DiskId, LogIndex, MemberRole, NodeId, Roster, RosterEntry, RosterHead};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use crate::snapshot::{Piece, Section, SnapshotError, Writer};

/// The members of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberList {
    /// The highest id that a member ever had.
    pub last_id: NodeId,
    /// The members, by rising id; none where a node has not heard of its group yet.
    pub entries: Vec<RosterEntry>,
}

impl MemberList {
    /// As the body of a record.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let head = RosterHead {
            last_id: U32::new(self.last_id.0),
            count: u8::try_from(self.entries.len()).expect("members are bounded"),
            reserved: [0; 3],
        };
        [head.as_bytes(), self.entries.as_bytes()].concat()
    }

    /// As the core counts them.
    #[must_use]
    pub fn members(&self) -> Members {
        let of = |counts: fn(MemberRole) -> bool| {
            let entries = self.entries.iter().filter(|entry| counts(entry.role()));
            entries.map(RosterEntry::member).collect::<Vec<_>>()
        };
        // Without a change under way nobody has a role before it.
        let changes = self.changes();
        Members {
            voters: of(MemberRole::votes),
            outgoing: if changes {
                of(MemberRole::voted)
            } else {
                Vec::new()
            },
            learners: of(|role| role == MemberRole::Learner),
        }
    }

    /// Whether the voters are changing.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.entries.iter().any(|entry| entry.role().voted())
    }

    /// A member.
    #[must_use]
    pub fn entry(&self, node: NodeId) -> Option<&RosterEntry> {
        self.entries.iter().find(|entry| entry.member().0 == node)
    }

    /// The disk of a member.
    #[must_use]
    pub fn disk_of(&self, node: NodeId) -> Option<DiskId> {
        self.entry(node).map(|entry| entry.member().1)
    }

    /// Whether a node was a member, or may have been, and is none any more.
    #[must_use]
    pub fn is_past(&self, node: NodeId) -> bool {
        node <= self.last_id && self.entry(node).is_none()
    }

    /// How many vote when a change is over.
    #[must_use]
    pub fn votes(&self) -> usize {
        let votes = self.entries.iter().filter(|entry| entry.role().votes());
        votes.count()
    }

    /// With one more learner.
    #[must_use]
    pub fn with(&self, learner: RosterEntry) -> Self {
        let mut list = self.clone();
        list.entries.push(learner.with_role(MemberRole::Learner));
        list.entries.sort_unstable_by_key(|entry| entry.member().0);
        list.last_id = list.last_id.max(learner.member().0);
        list
    }

    /// Without a learner.
    #[must_use]
    pub fn without(&self, learner: NodeId) -> Self {
        let mut list = self.clone();
        list.entries.retain(|entry| entry.member().0 != learner);
        list
    }

    /// On the way to other voters: one comes, or one goes, or both.
    #[must_use]
    pub fn changing(&self, comes: Option<NodeId>, goes: Option<NodeId>) -> Self {
        let change = |entry: &RosterEntry| {
            let (node, votes) = (Some(entry.member().0), entry.role().votes());
            entry.with_role(match (votes, node == comes, node == goes) {
                (true, _, true) => MemberRole::Leaving,
                (true, _, false) => MemberRole::Staying,
                (false, true, _) => MemberRole::Voter,
                (false, false, _) => MemberRole::Learner,
            })
        };
        Self {
            last_id: self.last_id,
            entries: self.entries.iter().map(change).collect(),
        }
    }

    /// When the change is over.
    #[must_use]
    pub fn changed(&self) -> Self {
        let stay = self.entries.iter();
        let stay = stay.filter(|entry| entry.role() != MemberRole::Leaving);
        let settle = |entry: &RosterEntry| {
            let votes = entry.role().votes();
            entry.with_role(if votes {
                MemberRole::Voter
            } else {
                MemberRole::Learner
            })
        };
        Self {
            last_id: self.last_id,
            entries: stay.map(settle).collect(),
        }
    }
}

impl From<Roster<'_>> for MemberList {
    fn from(roster: Roster<'_>) -> Self {
        Self {
            last_id: roster.last_id,
            entries: roster.entries.to_vec(),
        }
    }
}

/// Lists, with the records that bring them.
#[derive(Debug, Default)]
pub(super) struct Rosters {
    /// None: those of the group's beginning.
    applied: Option<(LogIndex, MemberList)>,
    /// In the log's order.
    pending: VecDeque<(LogIndex, MemberList)>,
    /// What a snapshot is to have, until it is copied.
    frozen: Option<(LogIndex, MemberList)>,
}

impl Rosters {
    pub(super) fn push(&mut self, at: LogIndex, list: MemberList) {
        self.pending.push_back((at, list));
    }

    pub(super) fn truncate(&mut self, first: LogIndex) {
        while self.pending.pop_back_if(|(at, _)| *at >= first).is_some() {}
    }

    pub(super) fn apply(&mut self, upto: LogIndex) {
        while let Some(list) = self.pending.pop_front_if(|(at, _)| *at <= upto) {
            self.applied = Some(list);
        }
    }

    pub(super) fn applied(&self) -> Option<&(LogIndex, MemberList)> {
        self.applied.as_ref()
    }

    /// All that are known, the applied one first.
    pub(super) fn known(&self) -> impl DoubleEndedIterator<Item = &(LogIndex, MemberList)> {
        self.applied.iter().chain(&self.pending)
    }

    pub(super) fn freeze(&mut self) {
        self.frozen.clone_from(&self.applied);
    }

    pub(super) fn thaw(&mut self) {
        self.frozen = None;
    }

    pub(super) fn copy(&mut self, writer: &mut Writer) {
        if let Some((at, list)) = self.frozen.take() {
            writer.entry(Section::Members, |bytes| {
                bytes.extend_from_slice(U64::new(at.0).as_bytes());
                bytes.extend_from_slice(&list.body());
            });
        }
    }

    pub(super) fn load(&mut self, piece: &Piece<'_>) -> Result<(), SnapshotError> {
        let wrong = || piece.wrong("members");
        let (at, body) = piece.payload.split_first_chunk().ok_or_else(wrong)?;
        if piece.entries != 1 || self.applied.is_some() {
            return Err(wrong());
        }
        let roster = Roster::parse(body).map_err(|_| wrong())?;
        self.applied = Some((LogIndex(u64::from_le_bytes(*at)), roster.into()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use quorate_wire::Address;

    use super::*;

    fn entry(node: u8, role: MemberRole) -> RosterEntry {
        let member = (NodeId(u32::from(node)), DiskId([node; 16]));
        let address = Address::new("127.0.0.1:7001").expect("it is short");
        RosterEntry::new(member, role, address, address)
    }

    fn list(entries: &[(u8, MemberRole)]) -> MemberList {
        let entries = entries.iter().map(|&(node, role)| entry(node, role));
        MemberList {
            last_id: NodeId(9),
            entries: entries.collect(),
        }
    }

    #[test]
    fn a_change_goes_by_way_of_both() {
        use MemberRole::{Learner, Leaving, Staying, Voter};
        let before = list(&[(1, Voter), (2, Voter), (4, Learner), (5, Learner)]);
        let change = before.changing(Some(NodeId(4)), Some(NodeId(1)));
        assert_eq!(
            change,
            list(&[(1, Leaving), (2, Staying), (4, Voter), (5, Learner)])
        );
        let ids =
            |members: &[(NodeId, DiskId)]| members.iter().map(|it| it.0.0).collect::<Vec<_>>();
        let members = change.members();
        assert_eq!(ids(&members.voters), [2, 4]);
        assert_eq!(ids(&members.outgoing), [1, 2]);
        assert_eq!(ids(&members.learners), [5]);
        assert_eq!(
            change.changed(),
            list(&[(2, Voter), (4, Voter), (5, Learner)])
        );
        assert!(before.members().outgoing.is_empty());
        assert!(change.changed().is_past(NodeId(1)) && !change.changed().is_past(NodeId(10)));
    }

    #[test]
    fn what_is_void_is_gone_and_what_is_applied_stays() {
        let mut rosters = Rosters::default();
        let lists = [
            list(&[(1, MemberRole::Voter)]),
            list(&[(2, MemberRole::Voter)]),
        ];
        for (at, list) in [3, 5].into_iter().zip(lists.clone()) {
            rosters.push(LogIndex(at), list);
        }
        rosters.truncate(LogIndex(5));
        rosters.apply(LogIndex(4));
        rosters.push(LogIndex(5), lists[1].clone());
        let known: Vec<_> = rosters.known().cloned().collect();
        assert_eq!(rosters.applied(), known.first());
        assert_eq!(
            known,
            vec![
                (LogIndex(3), lists[0].clone()),
                (LogIndex(5), lists[1].clone())
            ]
        );
    }
}
