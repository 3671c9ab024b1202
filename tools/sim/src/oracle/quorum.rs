//! Which disks are a quorum (Raft §6): a majority of the voters, and of those before while they change.

use quorate_replication::state::MemberList;
use quorate_wire::{MemberRole, NodeId, RosterEntry};

/// The voters of a group at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Quorum {
    voters: Vec<NodeId>,
    before: Vec<NodeId>,
}

impl From<&MemberList> for Quorum {
    fn from(list: &MemberList) -> Self {
        let of = |counts: fn(MemberRole) -> bool| {
            let entries = list.entries.iter().filter(|entry| counts(entry.role()));
            entries.map(RosterEntry::member).map(|it| it.0).collect()
        };
        Self {
            voters: of(MemberRole::votes),
            before: of(MemberRole::voted),
        }
    }
}

impl Quorum {
    /// Whether those that have it are a quorum.
    pub(super) fn is(&self, has: impl Fn(NodeId) -> bool) -> bool {
        let majority = |of: &[NodeId]| {
            let count = of.iter().filter(|&&node| has(node)).count();
            count > of.len() / 2
        };
        majority(&self.voters) && (self.before.is_empty() || majority(&self.before))
    }

    /// Whether all have it.
    pub(super) fn all(&self, has: impl Fn(NodeId) -> bool) -> bool {
        self.voters
            .iter()
            .chain(&self.before)
            .all(|&node| has(node))
    }

    /// Whether each quorum of one has a node in common with each of the other.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let lists = [&self.voters, &self.before, &other.voters, &other.before];
        let mut all: Vec<NodeId> = lists.into_iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        let is_in = |set: u64, node| {
            all.iter()
                .position(|&it| it == node)
                .is_some_and(|at| set >> at & 1 == 1)
        };
        (0..1 << all.len())
            .all(|set| !self.is(|node| is_in(set, node)) || !other.is(|node| !is_in(set, node)))
    }
}

#[cfg(test)]
impl Quorum {
    pub(super) fn of(ids: std::ops::RangeInclusive<u32>) -> Self {
        Self {
            voters: ids.map(NodeId).collect(),
            before: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_both_majorities() {
        let ids = |ids: &[u32]| ids.iter().copied().map(NodeId).collect();
        let change = Quorum {
            voters: ids(&[3, 4, 5]),
            before: ids(&[1, 2, 3]),
        };
        let is = |of: &[u32]| change.is(|node| of.contains(&node.0));
        assert!(is(&[1, 3, 4]) && !is(&[3, 4, 5]) && !is(&[1, 2, 3]));
        assert!(!change.all(|node| node.0 > 1) && change.all(|_| true));
    }

    #[test]
    fn quorums_without_a_common_node_are_seen() {
        let of = Quorum::of;
        assert!(of(1..=3).meets(&of(1..=4)) && !of(1..=3).meets(&of(1..=5)));
        assert!(!of(1..=1).meets(&of(2..=2)));
        let change = Quorum {
            voters: of(4..=6).voters,
            before: of(1..=3).voters,
        };
        assert!(of(1..=3).meets(&change) && change.meets(&of(4..=6)));
    }
}
