//! Election safety (Raft §5.2): at most one leader in a term, over the whole run.

use std::collections::BTreeMap;

use quorate_wire::{NodeId, Term};

use super::Verdict;

/// The leader of each term.
#[derive(Debug, Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<Term, NodeId>,
}

impl ElectionSafety {
    pub(super) fn leads(&mut self, node: NodeId, term: Term) -> Verdict {
        let first = *self.leaders.entry(term).or_insert(node);
        if first == node {
            return Ok(());
        }
        Err(format!("nodes {first} and {node} both lead in term {term}"))
    }

    /// How many terms had a leader.
    pub(super) fn terms(&self) -> usize {
        self.leaders.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leaders_of_a_term_are_seen() {
        let mut oracle = ElectionSafety::default();
        assert_eq!(oracle.leads(NodeId(1), Term(1)), Ok(()));
        assert_eq!(oracle.leads(NodeId(2), Term(2)), Ok(()));
        assert_eq!(oracle.leads(NodeId(1), Term(1)), Ok(()));
        assert!(oracle.leads(NodeId(1), Term(2)).is_err());
    }
}
