//! Log matching (Raft §5.3): two records with the same index and term are the same record, and all before them are the same too.
//! A record's `header_crc` covers the one before it, so equal checksums speak for the whole prefix.

use std::collections::BTreeMap;

use quorate_wire::{LogIndex, NodeId, Term};

use super::Verdict;

/// The record at each position that some node has had.
#[derive(Debug, Default)]
pub(super) struct LogMatching {
    records: BTreeMap<(LogIndex, Term), (u32, NodeId)>,
}

impl LogMatching {
    pub(super) fn has(&mut self, node: NodeId, index: LogIndex, term: Term, crc: u32) -> Verdict {
        let (known, first) = *self.records.entry((index, term)).or_insert((crc, node));
        if known == crc {
            return Ok(());
        }
        Err(format!(
            "nodes {first} and {node} have different records at index {index}, term {term}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_records_at_one_position_are_seen() {
        let mut oracle = LogMatching::default();
        let (one, two) = (NodeId(1), NodeId(2));
        assert_eq!(oracle.has(one, LogIndex(5), Term(1), 7), Ok(()));
        assert_eq!(oracle.has(two, LogIndex(5), Term(2), 8), Ok(()));
        assert_eq!(oracle.has(two, LogIndex(5), Term(1), 7), Ok(()));
        assert!(oracle.has(two, LogIndex(5), Term(1), 8).is_err());
    }
}
