//! State machine safety (Raft §5.4.3): at equal applied index, the state is equal on every node: its digest, the committed offset,
//! and what is known of every producer, which decides what a retry is told (TRAPS 30).

use std::collections::BTreeMap;

use quorate_wire::{LogIndex, NodeId, Offset};

use super::Verdict;

/// What the state amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateView {
    pub(super) digest: u64,
    pub(super) committed: Offset,
}

/// The state at each index at which a node was seen.
#[derive(Debug, Default)]
pub(super) struct StateMachine {
    states: BTreeMap<LogIndex, (StateView, NodeId)>,
    producers: BTreeMap<LogIndex, (u64, NodeId)>,
    /// What nodes answered an audit: digest and chain.
    audited: BTreeMap<LogIndex, ((u64, u32), NodeId)>,
}

impl StateMachine {
    pub(super) fn stands(&mut self, node: NodeId, index: LogIndex, state: StateView) -> Verdict {
        let (known, first) = *self.states.entry(index).or_insert((state, node));
        if known == state {
            return Ok(());
        }
        Err(format!(
            "nodes {first} and {node} differ at index {index}: {known:?}, {state:?}"
        ))
    }

    /// What a node told who audits it.
    pub(super) fn audited(&mut self, node: NodeId, index: LogIndex, mark: (u64, u32)) -> Verdict {
        let (known, first) = *self.audited.entry(index).or_insert((mark, node));
        if known == mark {
            return Ok(());
        }
        Err(format!(
            "audited at index {index}, nodes {first} and {node} differ: {known:x?}, {mark:x?}"
        ))
    }

    /// What a node knows of all producers.
    pub(super) fn knows(&mut self, node: NodeId, index: LogIndex, producers: u64) -> Verdict {
        let (known, first) = *self.producers.entry(index).or_insert((producers, node));
        if known == producers {
            return Ok(());
        }
        Err(format!(
            "nodes {first} and {node} know different things of the producers at index {index}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_differ_are_seen() {
        let mut oracle = StateMachine::default();
        let state = |digest, committed| StateView {
            digest,
            committed: Offset(committed),
        };
        let (one, two) = (NodeId(1), NodeId(2));
        assert_eq!(oracle.stands(one, LogIndex(3), state(1, 2)), Ok(()));
        assert_eq!(oracle.stands(two, LogIndex(3), state(1, 2)), Ok(()));
        assert!(oracle.stands(two, LogIndex(3), state(1, 3)).is_err());
        assert!(oracle.stands(two, LogIndex(3), state(2, 2)).is_err());
        assert_eq!(oracle.knows(one, LogIndex(3), 9), Ok(()));
        assert!(oracle.knows(two, LogIndex(3), 8).is_err());
        assert_eq!(oracle.audited(one, LogIndex(3), (1, 2)), Ok(()));
        assert_eq!(oracle.audited(two, LogIndex(3), (1, 2)), Ok(()));
        assert!(oracle.audited(two, LogIndex(3), (1, 3)).is_err());
    }
}
