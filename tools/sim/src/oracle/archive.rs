//! What was ever on a disk of the group, record by record: a log may begin later, and what it no longer has is still held against
//! what was promised. Records are told apart by their checksums, which are chained.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_replication::buffer::BLOCK_BYTES;
use quorate_wire::{LogIndex, Record};

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Archive {
    records: BTreeMap<(LogIndex, u32), Arc<[u8]>>,
}

impl Archive {
    /// A record is on a disk.
    pub(super) fn has(&mut self, record: &Record<'_>) {
        let header = record.header();
        let known = self.records.entry((header.index, header.header_crc));
        known.or_insert_with(|| Arc::from(record.bytes()));
    }

    /// A write to a segment is done: these bytes are there.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match Record::parse(rest) {
                Ok((record, _)) => {
                    self.has(&record);
                    at += record.bytes().len();
                }
                // The rest of the block is padding.
                Err(_) => at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES,
            }
        }
    }

    /// The records up to this one, from the first one on. An error names one that was never written.
    pub(super) fn up_to(
        &self,
        mut index: LogIndex,
        mut crc: u32,
    ) -> Result<Vec<Arc<[u8]>>, LogIndex> {
        let mut found = Vec::new();
        while index > LogIndex(0) {
            let bytes = self.records.get(&(index, crc)).ok_or(index)?;
            let (record, _) = Record::parse(bytes).map_err(|_| index)?;
            (index, crc) = (index.previous(), record.header().previous);
            found.push(Arc::clone(bytes));
        }
        found.reverse();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::{GroupId, Offset, Position, RecordHeader, RecordKind, Stamp, Term};

    use super::*;

    fn record(index: u64, previous: u32) -> (Vec<u8>, u32) {
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(index),
            },
            base_offset: Offset(0),
            log_time: 7,
            group: GroupId(0),
            event_count: 0,
            kind: RecordKind::Noop,
            previous,
        };
        let bytes = RecordHeader::stamp(&stamp, &[]).to_vec();
        let crc = RecordHeader::parse(&bytes).expect("it is sound").header_crc;
        (bytes, crc)
    }

    #[test]
    fn a_record_that_was_never_written_is_missed() {
        let (first, one) = record(1, 0);
        let (second, two) = record(2, one);
        let (_, other) = record(2, 5);
        let mut archive = Archive::default();
        archive.wrote(&second);
        assert_eq!(archive.up_to(LogIndex(2), two), Err(LogIndex(1)));
        let mut block = first.clone();
        block.resize(BLOCK_BYTES, 0);
        archive.wrote(&block);
        let found = archive.up_to(LogIndex(2), two).expect("both are there");
        assert_eq!(found.concat(), [first, second].concat());
        assert_eq!(archive.up_to(LogIndex(2), other), Err(LogIndex(2)));
    }
}
