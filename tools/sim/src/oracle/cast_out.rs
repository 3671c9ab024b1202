//! Who knows that it was removed disturbs nobody (NATS f618bca80, LogCabin #205, docs/traps.md): it stands for no election. It may still
//! ask whether it would win one; but without others, who refuse it, the members that it knows are no quorum.

use std::collections::BTreeSet;

use quorate_wire::NodeId;

use super::Verdict;

/// The nodes that know it, each since its process began.
#[derive(Debug, Default)]
pub(super) struct CastOut {
    told: BTreeSet<NodeId>,
}

impl CastOut {
    /// A node begins anew, and knows nothing.
    pub(super) fn begins(&mut self, node: NodeId) {
        self.told.remove(&node);
    }

    /// A node learns that it is no member any more.
    pub(super) fn told(&mut self, node: NodeId) {
        self.told.insert(node);
    }

    /// Whether a node knows it.
    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.told.contains(&node)
    }

    /// A node stands for election.
    pub(super) fn stands(&self, node: NodeId) -> Verdict {
        if self.knows(node) {
            return Err(format!("node {node} was removed, knows it, and stands"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_removed_and_stands_is_seen() {
        let mut oracle = CastOut::default();
        let (one, two) = (NodeId(1), NodeId(2));
        oracle.told(one);
        assert_eq!(oracle.stands(two), Ok(()));
        assert!(oracle.stands(one).is_err());
        oracle.begins(one);
        assert_eq!(oracle.stands(one), Ok(()));
    }
}
