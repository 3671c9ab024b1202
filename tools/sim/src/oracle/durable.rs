//! Durable before acknowledged (DESIGN rule 1; Raft §5.3, "committed once the leader has replicated it on a majority"): when a
//! leader takes a record for committed, a majority of the disks has it. The disks' content is looked at, not what nodes say.

use std::collections::{BTreeMap, BTreeSet};

use quorate_wire::{LogIndex, NodeId, RECORD_HEADER_BYTES, RecordHeader};

use super::Verdict;

/// The grain at which writes begin.
const BLOCK_BYTES: usize = quorate_replication::buffer::BLOCK_BYTES;

/// The records on each disk.
#[derive(Debug, Default)]
pub(super) struct Durable {
    disks: BTreeMap<NodeId, BTreeMap<LogIndex, u32>>,
    /// Nodes whose disks lie, and are no evidence.
    liars: BTreeSet<NodeId>,
    /// Records up to here were on a majority of disks.
    seen: LogIndex,
}

impl Durable {
    /// A node begins with these records on its disk. A disk that was wiped, or is damaged, had what it had: what it said then
    /// was true.
    pub(super) fn holds(&mut self, node: NodeId, records: BTreeMap<LogIndex, u32>) {
        let known = self.disks.entry(node).or_default();
        known.extend(records);
    }

    /// A node's disk says what was not written, or does not keep it.
    pub(super) fn lies(&mut self, node: NodeId) {
        self.liars.insert(node);
    }

    /// A write to a segment is done: these bytes are there.
    pub(super) fn wrote(&mut self, node: NodeId, bytes: &[u8]) {
        let disk = self.disks.entry(node).or_default();
        let mut at = 0;
        while let Some(head) = bytes.get(at..at + RECORD_HEADER_BYTES) {
            match RecordHeader::parse(head) {
                Ok(header) => {
                    disk.insert(header.index, header.header_crc);
                    at += header.record_bytes();
                }
                // The rest of the block is padding.
                Err(_) => at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES,
            }
        }
    }

    /// A leader takes all records up to `upto` for committed; `crc` knows what they are.
    pub(super) fn committed(
        &mut self,
        nodes: usize,
        upto: LogIndex,
        crc: impl Fn(LogIndex) -> Option<u32>,
    ) -> Verdict {
        while self.seen < upto {
            let index = self.seen.next();
            self.seen = index;
            let Some(crc) = crc(index) else {
                continue;
            };
            let has = |(node, disk): (&NodeId, &BTreeMap<LogIndex, u32>)| {
                self.liars.contains(node) || disk.get(&index) == Some(&crc)
            };
            let copies = self.disks.iter().filter(|&disk| has(disk)).count();
            if copies <= nodes / 2 {
                return Err(format!(
                    "the record at index {index} counts as committed, and {copies} of {nodes} disks have it"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(records: &[(u64, u32)]) -> BTreeMap<LogIndex, u32> {
        let records = records.iter();
        records
            .map(|&(index, crc)| (LogIndex(index), crc))
            .collect()
    }

    #[test]
    fn a_commit_that_a_minority_of_disks_has_is_seen() {
        let mut oracle = Durable::default();
        oracle.holds(NodeId(1), with(&[(1, 7), (2, 8)]));
        oracle.holds(NodeId(2), with(&[(1, 7), (2, 9)]));
        oracle.holds(NodeId(3), with(&[]));
        let crc = |index: LogIndex| Some(if index.0 == 1 { 7 } else { 8 });
        assert_eq!(oracle.committed(3, LogIndex(1), crc), Ok(()));
        assert!(oracle.committed(3, LogIndex(2), crc).is_err());
    }
}
