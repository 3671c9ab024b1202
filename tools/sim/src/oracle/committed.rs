//! Committed is immutable (Raft §5.4, state machine safety in the log's terms): what one node has applied at an index, no other
//! node applies differently, and a later leader has it (leader completeness, Raft §5.4.3; TRAPS 15). Checksums are chained: the
//! last committed record speaks for all before it.

use std::collections::BTreeMap;

use quorate_wire::{LogIndex, NodeId, Term};

use super::Verdict;

/// The committed records.
#[derive(Debug, Default)]
pub(super) struct Committed {
    records: BTreeMap<LogIndex, (u32, NodeId)>,
    /// The last index that some node has applied.
    last: LogIndex,
    /// The last one that a node has applied in each term. It was committed in that term, or before.
    terms: BTreeMap<Term, LogIndex>,
}

impl Committed {
    /// A node has applied a record, in a term of its own.
    pub(super) fn applied(
        &mut self,
        node: NodeId,
        term: Term,
        index: LogIndex,
        crc: u32,
    ) -> Verdict {
        self.last = self.last.max(index);
        let last = self.terms.entry(term).or_insert(index);
        *last = index.max(*last);
        let (known, first) = *self.records.entry(index).or_insert((crc, node));
        if known == crc {
            return Ok(());
        }
        Err(format!(
            "nodes {first} and {node} have applied different records at index {index}"
        ))
    }

    /// A node leads. `last` is the last record that it has, and `crc` gives the checksums of those that it has not applied.
    pub(super) fn leads(
        &self,
        node: NodeId,
        term: Term,
        last: LogIndex,
        crc: impl Fn(LogIndex) -> Option<u32>,
    ) -> Verdict {
        // A leader of an old term that does not know of the new one may lack what was committed since.
        let earlier = self.terms.range(..term).map(|(_, &index)| index).max();
        let Some(index) = earlier else {
            return Ok(());
        };
        if last < index {
            return Err(format!(
                "node {node} leads in term {term} with records up to {last}, and {index} was committed before"
            ));
        }
        let Some((known, first)) = self.records.get(&index) else {
            return Ok(());
        };
        match crc(index) {
            Some(crc) if crc != *known => Err(format!(
                "node {node} leads in term {term}, and has another record at index {index} than node {first}, which has applied it"
            )),
            // What it has applied itself was looked at then.
            Some(_) | None => Ok(()),
        }
    }

    /// The last index that some node has applied.
    pub(super) fn last(&self) -> LogIndex {
        self.last
    }

    /// The checksum of a committed record, if some node was seen to apply just this one.
    pub(super) fn crc(&self, index: LogIndex) -> Option<u32> {
        self.records.get(&index).map(|&(crc, _)| crc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);

    #[test]
    fn a_committed_record_that_differs_is_seen() {
        let mut oracle = Committed::default();
        assert_eq!(oracle.applied(ONE, Term(1), LogIndex(1), 7), Ok(()));
        assert_eq!(oracle.applied(TWO, Term(1), LogIndex(1), 7), Ok(()));
        assert!(oracle.applied(TWO, Term(1), LogIndex(1), 8).is_err());
    }

    #[test]
    fn a_leader_that_lacks_a_committed_record_is_seen() {
        let mut oracle = Committed::default();
        assert_eq!(oracle.applied(ONE, Term(1), LogIndex(4), 7), Ok(()));
        let crc = |_| Some(7);
        assert_eq!(oracle.leads(TWO, Term(2), LogIndex(4), crc), Ok(()));
        assert!(oracle.leads(TWO, Term(2), LogIndex(3), crc).is_err());
        assert_eq!(oracle.leads(TWO, Term(1), LogIndex(3), crc), Ok(()));
        assert!(
            oracle
                .leads(TWO, Term(2), LogIndex(5), |_| Some(8))
                .is_err()
        );
    }
}
