//! Durable before acknowledged (TRAPS 1; Raft §5.3, "committed once the leader has replicated it on a majority"): when a
//! leader takes a record for committed, a majority of the disks has it; and when it says that all have it, all do. The disks'
//! content is looked at, not what nodes say.

use std::collections::{BTreeMap, BTreeSet};

use quorate_wire::{LogIndex, NodeId, Offset, RECORD_HEADER_BYTES, RecordHeader};

use super::Verdict;
use super::quorum::Quorum;

/// The grain at which writes begin.
const BLOCK_BYTES: usize = quorate_replication::buffer::BLOCK_BYTES;

/// A record on a disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    crc: u32,
    /// Offset of its first event.
    base: Offset,
}

impl From<&RecordHeader> for Written {
    fn from(header: &RecordHeader) -> Self {
        Self {
            crc: header.header_crc,
            base: header.base_offset,
        }
    }
}

/// The records on each disk.
#[derive(Debug, Default)]
pub(super) struct Durable {
    disks: BTreeMap<NodeId, BTreeMap<LogIndex, Written>>,
    /// Up to which record a snapshot on a disk has what all before it came to. That it is what the committed ones come to is
    /// the state machine's oracle's business.
    snapshots: BTreeMap<NodeId, LogIndex>,
    /// Nodes whose disks lie, and are no evidence.
    liars: BTreeSet<NodeId>,
    /// Records up to here were on a majority of disks.
    seen: LogIndex,
    /// Which of them begins at an offset, and its checksum.
    places: BTreeMap<Offset, (LogIndex, u32)>,
}

impl Durable {
    /// A node begins with these records on its disk. A disk that was wiped, or is damaged, had what it had: what it said then
    /// was true.
    pub(super) fn holds(&mut self, node: NodeId, records: BTreeMap<LogIndex, Written>) {
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
                    disk.insert(header.index, Written::from(&header));
                    at += header.record_bytes();
                }
                // The rest of the block is padding.
                Err(_) => at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES,
            }
        }
    }

    /// A snapshot up to this record is on a node's disk.
    pub(super) fn covers(&mut self, node: NodeId, upto: LogIndex) {
        let known = self.snapshots.entry(node).or_default();
        *known = upto.max(*known);
    }

    /// A leader takes all records up to `upto` for committed, with a quorum of one of these; `crc` knows what they are.
    pub(super) fn committed(
        &mut self,
        quorums: &[Quorum],
        upto: LogIndex,
        crc: impl Fn(LogIndex) -> Option<u32>,
    ) -> Verdict {
        while self.seen < upto {
            let index = self.seen.next();
            self.seen = index;
            let Some(crc) = crc(index) else {
                continue;
            };
            let has = |node| self.has(node, index, crc);
            if !quorums.iter().any(|quorum| quorum.is(has)) {
                return Err(format!(
                    "the record at index {index} counts as committed, and {:?} have it, no quorum of {quorums:?}",
                    self.holders(index, crc)
                ));
            }
            let mut written = self.disks.values().filter_map(|disk| disk.get(&index));
            if let Some(there) = written.find(|there| there.crc == crc) {
                self.places.insert(there.base, (index, crc));
            }
        }
        Ok(())
    }

    /// A leader says that all voters' disks have the committed chunk at an offset, those of one of these.
    pub(super) fn on_all(&self, quorums: &[Quorum], offset: Offset) -> Verdict {
        let place = self.places.range(..=offset).next_back();
        let Some((_, &(index, crc))) = place else {
            return Err(format!(
                "the chunk at offset {offset} is said to be on all disks, and is in no committed record"
            ));
        };
        let has = |node| self.has(node, index, crc);
        if quorums.iter().any(|quorum| quorum.all(has)) {
            return Ok(());
        }
        Err(format!(
            "the chunk at offset {offset} is said to be on all disks of {quorums:?}, and {:?} have the record at index {index}",
            self.holders(index, crc)
        ))
    }

    /// Whether a disk has a record, or what it came to. One that lies is believed.
    fn has(&self, node: NodeId, index: LogIndex, crc: u32) -> bool {
        let disk = self.disks.get(&node);
        let there = disk.and_then(|disk| disk.get(&index));
        let covered = self.snapshots.get(&node).is_some_and(|&upto| index <= upto);
        there.is_some_and(|there| there.crc == crc) || covered || self.liars.contains(&node)
    }

    fn holders(&self, index: LogIndex, crc: u32) -> Vec<NodeId> {
        let nodes = self.disks.keys().copied();
        nodes.filter(|&node| self.has(node, index, crc)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> [Quorum; 1] {
        [Quorum::of(1..=3)]
    }

    fn with(records: &[(u64, u32)]) -> BTreeMap<LogIndex, Written> {
        let records = records.iter();
        let written = |&(index, crc)| {
            let base = Offset(index * 10);
            (LogIndex(index), Written { crc, base })
        };
        records.map(written).collect()
    }

    #[test]
    fn a_disk_that_lacks_what_all_shall_have_is_seen() {
        let mut oracle = Durable::default();
        oracle.holds(NodeId(1), with(&[(1, 7), (2, 8), (3, 9)]));
        oracle.holds(NodeId(2), with(&[(1, 7), (2, 8), (3, 9)]));
        oracle.holds(NodeId(3), with(&[(1, 7), (3, 9)]));
        let crc = |index: LogIndex| Some(6 + u32::try_from(index.0).expect("small"));
        assert_eq!(oracle.committed(&three(), LogIndex(3), crc), Ok(()));
        assert_eq!(oracle.on_all(&three(), Offset(14)), Ok(()));
        assert!(oracle.on_all(&three(), Offset(20)).is_err());
        assert!(oracle.on_all(&three(), Offset(29)).is_err());
        oracle.covers(NodeId(3), LogIndex(1));
        assert!(oracle.on_all(&three(), Offset(20)).is_err());
        oracle.covers(NodeId(3), LogIndex(2));
        assert_eq!(oracle.on_all(&three(), Offset(20)), Ok(()));
    }

    #[test]
    fn a_disk_that_lies_is_believed() {
        let mut oracle = Durable::default();
        oracle.holds(NodeId(1), with(&[(1, 7)]));
        oracle.holds(NodeId(2), with(&[]));
        oracle.lies(NodeId(2));
        assert_eq!(
            oracle.committed(&[Quorum::of(1..=2)], LogIndex(1), |_| Some(7)),
            Ok(())
        );
        assert_eq!(oracle.on_all(&[Quorum::of(1..=2)], Offset(10)), Ok(()));
    }

    #[test]
    fn a_commit_that_a_minority_of_disks_has_is_seen() {
        let mut oracle = Durable::default();
        oracle.holds(NodeId(1), with(&[(1, 7), (2, 8)]));
        oracle.holds(NodeId(2), with(&[(1, 7), (2, 9)]));
        oracle.holds(NodeId(3), with(&[]));
        let crc = |index: LogIndex| Some(if index.0 == 1 { 7 } else { 8 });
        assert_eq!(oracle.committed(&three(), LogIndex(1), crc), Ok(()));
        assert!(oracle.committed(&three(), LogIndex(2), crc).is_err());
    }
}
