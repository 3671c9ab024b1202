//! Who belongs to a group, and which quorums that makes.
//!
//! ```text
//!   voters 1 2 3 --change--> voters 3 4 5, outgoing 1 2 3 --that is committed--> voters 3 4 5
//! ```
//! In the middle, where the voters *change*, everything needs a majority of both (joint consensus, Raft §6): so no two quorums in
//! force are without a disk in common, however the nodes learn of it.

use alloc::vec::Vec;

use quorate_wire::canary::{self, Canary};
use quorate_wire::{DiskId, LogIndex, NodeId};

use crate::VOTERS_MAX;
use crate::quorum::reached_by_majority;

/// A node with the disk that counts. The same node on another disk has forgotten its votes and records (TRAPS 26).
pub type Member = (NodeId, DiskId);

/// The members of a group, as one record of the log says, or the disk of a group's beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Who votes: at most [`VOTERS_MAX`], each node once. None where a node has not heard of its group yet.
    pub voters: Vec<Member>,
    /// Who voted before, while the voters change: a majority of these is needed as well.
    pub outgoing: Vec<Member>,
    /// Who gets the log and counts for nothing.
    pub learners: Vec<Member>,
}

impl Members {
    /// Only voters.
    #[must_use]
    pub fn of(voters: Vec<Member>) -> Self {
        Self {
            voters,
            ..Self::default()
        }
    }

    /// Whether the voters are changing.
    #[must_use]
    pub fn change(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Everybody, once.
    pub fn all(&self) -> impl Iterator<Item = Member> + '_ {
        let leaving = |member: &&Member| !self.voters.contains(member);
        let voters = self.electors();
        voters.chain(
            self.learners
                .iter()
                .filter(move |member| leaving(member) && !self.outgoing.contains(member))
                .copied(),
        )
    }

    /// Whose votes and copies count, once.
    pub fn electors(&self) -> impl Iterator<Item = Member> + '_ {
        let outgoing = self.outgoing.iter();
        let leaving = outgoing.filter(|member| !self.voters.contains(member));
        self.voters.iter().chain(leaving).copied()
    }

    /// Whether the votes and copies of this node count.
    #[must_use]
    pub fn counts(&self, node: NodeId) -> bool {
        self.electors().any(|member| member.0 == node)
    }

    /// The disk of a member.
    #[must_use]
    pub fn disk_of(&self, node: NodeId) -> Option<DiskId> {
        self.all()
            .find(|member| member.0 == node)
            .map(|member| member.1)
    }

    /// When the change is over.
    #[must_use]
    pub fn changed(&self) -> Self {
        Self {
            outgoing: Vec::new(),
            ..self.clone()
        }
    }

    /// The highest value that a quorum has reached.
    pub(crate) fn reached<T: Copy + Default + Ord>(&self, value: impl Fn(NodeId) -> T) -> T {
        let majority = |of: &[Member]| reached_by_majority(of.iter().map(|member| value(member.0)));
        let reached = majority(&self.voters);
        if self.outgoing.is_empty() || canary::on(Canary::NewMajorityOnly) {
            return reached;
        }
        reached.min(majority(&self.outgoing))
    }

    /// Whether those who granted are a quorum.
    #[must_use]
    pub fn is_quorum(&self, granted: impl Fn(NodeId) -> bool) -> bool {
        let majority =
            |of: &[Member]| of.iter().filter(|member| granted(member.0)).count() * 2 > of.len();
        let new_only = self.outgoing.is_empty() || canary::on(Canary::NewMajorityOnly);
        majority(&self.voters) && (new_only || majority(&self.outgoing))
    }

    /// Whether these may follow `before`: a change of voters begins with a quorum of both, ends, or there is none.
    fn follows(&self, before: &Self) -> bool {
        match (before.change(), self.change()) {
            (false, true) => self.outgoing == before.voters,
            (true, false) | (false, false) => self.voters == before.voters,
            (true, true) => false,
        }
    }

    fn assert_valid(&self) {
        assert!(
            self.voters.len() <= VOTERS_MAX && self.outgoing.len() <= VOTERS_MAX,
            "a group has at most VOTERS_MAX voters"
        );
        let once = |(node, disk): Member| self.all().all(|one| one.0 != node || one.1 == disk);
        assert!(
            self.all().all(once),
            "each member is named once, with its disk"
        );
        assert!(
            !self.voters.is_empty() || self.all().next().is_none(),
            "a group has a voter"
        );
    }
}

/// The members that count now, and those that counted before, as long as the log may yet go back to them.
#[derive(Clone, Debug)]
pub(crate) struct Configurations {
    /// With the record that brings each; index zero for those of the group's beginning. Rising. Never empty; the first is committed.
    known: Vec<(LogIndex, Members)>,
}

impl Configurations {
    pub(crate) fn new(mut known: Vec<(LogIndex, Members)>, commit: LogIndex) -> Self {
        if known.is_empty() {
            known.push((LogIndex(0), Members::default()));
        }
        known.iter().for_each(|(_, members)| members.assert_valid());
        let rising = known.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(rising, "configurations rise along the log");
        assert!(
            known[0].0 <= commit,
            "what was committed says who the members are"
        );
        let mut configurations = Self { known };
        configurations.committed(commit);
        configurations
    }

    /// In force: the newest in the log counts, committed or not (Raft §6).
    pub(crate) fn now(&self) -> &Members {
        &self.known[self.known.len() - 1].1
    }

    /// The record that brought them.
    pub(crate) fn at(&self) -> LogIndex {
        self.known[self.known.len() - 1].0
    }

    /// Whether some that are in force, or may come back, have this one among the voters.
    pub(crate) fn may_count(&self, member: Member) -> bool {
        let mut known = self.known.iter();
        known.any(|(_, members)| members.electors().any(|one| one == member))
    }

    /// Those of a record, which was just appended. `own`: by this node, as a leader.
    pub(crate) fn push(&mut self, at: LogIndex, members: Members, own: bool) {
        assert!(at > self.at(), "configurations rise along the log");
        members.assert_valid();
        assert!(
            !own || members.follows(self.now()),
            "voters change by joint consensus only"
        );
        self.known.push((at, members));
    }

    /// Records from `first` on became void. Says whether other members count now.
    pub(crate) fn truncate(&mut self, first: LogIndex) -> bool {
        let before = self.known.len();
        self.known.retain(|(at, _)| *at < first);
        assert!(
            !self.known.is_empty(),
            "the first of them is committed, and stays"
        );
        self.known.len() < before
    }

    /// Everything up to `commit` is committed: nobody goes back behind it.
    pub(crate) fn committed(&mut self, commit: LogIndex) {
        let past = self.known.partition_point(|(at, _)| *at <= commit);
        self.known.drain(..past.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u32]) -> Vec<Member> {
        let disk = |id| DiskId([u8::try_from(id).expect("a few nodes"); 16]);
        ids.iter().map(|&id| (NodeId(id), disk(id))).collect()
    }

    fn members(voters: &[u32], outgoing: &[u32], learners: &[u32]) -> Members {
        Members {
            voters: nodes(voters),
            outgoing: nodes(outgoing),
            learners: nodes(learners),
        }
    }

    fn won(members: &Members, by: &[u32]) -> bool {
        members.is_quorum(|node| by.contains(&node.0))
    }

    #[test]
    fn a_change_needs_both_majorities() {
        let joint = members(&[3, 4, 5], &[1, 2, 3], &[6]);
        assert!(won(&joint, &[1, 3, 4]) && won(&joint, &[1, 2, 4, 5]));
        assert!(!won(&joint, &[3, 4, 5]) && !won(&joint, &[1, 2, 3]) && !won(&joint, &[3, 6]));
        let reached = |values: [u64; 7]| joint.reached(|node| values[node.0 as usize]);
        assert_eq!(reached([0, 0, 0, 9, 9, 9, 9]), 0);
        assert_eq!(reached([0, 0, 2, 9, 9, 1, 9]), 2);
    }

    #[test]
    fn everybody_is_named_once() {
        let joint = members(&[3, 4], &[1, 3], &[6]);
        let ids = |of: &mut dyn Iterator<Item = Member>| of.map(|one| one.0.0).collect::<Vec<_>>();
        assert_eq!(ids(&mut joint.all()), [3, 4, 1, 6]);
        assert_eq!(ids(&mut joint.electors()), [3, 4, 1]);
        assert!(joint.counts(NodeId(1)) && !joint.counts(NodeId(6)));
        assert_eq!(joint.disk_of(NodeId(6)), Some(DiskId([6; 16])));
    }

    #[test]
    fn voters_change_by_joint_consensus_only() {
        let (three, joint) = (
            members(&[1, 2, 3], &[], &[4]),
            members(&[1, 2, 4], &[1, 2, 3], &[]),
        );
        assert!(joint.follows(&three) && joint.changed().follows(&joint));
        assert!(members(&[1, 2, 3], &[], &[]).follows(&three));
        assert!(!joint.changed().follows(&three) && !three.follows(&joint));
        assert!(!joint.follows(&joint));
    }

    #[test]
    fn a_void_record_brings_the_members_before_it_back() {
        let first = (LogIndex(0), members(&[1, 2, 3], &[], &[]));
        let mut known = Configurations::new([first].to_vec(), LogIndex(4));
        known.push(LogIndex(5), members(&[1, 2, 3], &[], &[4]), true);
        assert!(!known.truncate(LogIndex(6)));
        assert!(known.truncate(LogIndex(5)));
        assert_eq!(known.now().learners, []);
        known.push(LogIndex(5), members(&[1, 2, 3], &[], &[4]), true);
        known.committed(LogIndex(5));
        assert!(!known.truncate(LogIndex(6)));
        assert_eq!((known.at(), known.known.len()), (LogIndex(5), 1));
    }
}
