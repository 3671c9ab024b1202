//! One group commit on its way to the disk.
//!
//! Owns: the order of its writes. Never: has more than one of them open, so that whatever is on the disk shows that everything
//! before it is. Called by: the log.

use alloc::vec::Vec;

use quorate_raft::Mark;
use quorate_wire::{LogIndex, Record, RecordHeader};

use super::event::{GroupCommit, Place};
use super::format::WRITE_BYTES_MAX;
use super::index::{Index, block_after};
use super::tail::is_zero;
use crate::buffer::{BLOCK_BYTES, Slice};
use crate::seam::{FileId, SegmentId, StorageOp};

/// See the module's description.
#[derive(Debug)]
pub(super) struct Group {
    bytes: Slice,
    segment: SegmentId,
    position: u64,
    /// Bytes of it that are durable.
    written: usize,
    pub(super) mark: Mark,
    /// The highest index in it.
    last: LogIndex,
    /// Whether its segment's sums are without it.
    unsummed: bool,
}

impl Group {
    /// Takes a group commit's records into the index, at the end of the current segment. `parts` is filled with where its
    /// writes end, the last one first.
    pub(super) fn place(
        commit: &GroupCommit<'_>,
        index: &mut Index,
        parts: &mut Vec<usize>,
    ) -> Self {
        let length = commit.bytes.len();
        assert!(
            length.is_multiple_of(BLOCK_BYTES) && length <= WRITE_BYTES_MAX,
            "a group commit has whole blocks, and a bound"
        );
        assert!(!commit.records.is_empty(), "a group commit has a record");
        let current = index.current().expect("a segment is open");
        let (segment, position) = (current.id, block_after(current.end));
        assert!(
            position + length as u64 <= current.extent.room,
            "a group commit fits into its segment"
        );
        let mut end = 0;
        parts.clear();
        parts.push(length);
        for place in commit.records {
            assert!(place.at == end, "records lie side by side");
            // What a torn tail is told from damage by: a record on a block begins a write. So a record that happens to lie
            // on one ends the write before it.
            if place.at > 0 && place.at.is_multiple_of(BLOCK_BYTES) {
                parts.push(place.at);
            }
            let header = header_of(place, &commit.bytes);
            if let Err(why) = index.check(&header) {
                unreachable!("a record that is written continues the log: {why}");
            }
            index.append(&header, position + place.at as u64);
            end += place.bytes;
        }
        let padding = commit.bytes.get(end..).unwrap_or_default();
        assert!(
            padding.len() < BLOCK_BYTES && is_zero(padding),
            "behind the last record there are zeros up to the next block"
        );
        let last = commit.records.iter().map(|place| place.index).max();
        parts.sort_unstable_by(|one, other| other.cmp(one));
        Self {
            bytes: commit.bytes.clone(),
            segment,
            position,
            written: 0,
            mark: commit.mark,
            last: last.unwrap_or_default(),
            unsummed: true,
        }
    }

    /// Whether its segment's sums are without it.
    pub(super) const fn is_unsummed(&self) -> bool {
        self.unsummed
    }

    /// Where it begins, what it holds, and up to which index: once.
    pub(super) fn take_unsummed(&mut self) -> Option<(u64, &[u8], LogIndex)> {
        let unsummed = core::mem::take(&mut self.unsummed);
        unsummed.then_some((self.position, &*self.bytes, self.last))
    }

    pub(super) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// The next write; `None` if all of it is durable.
    pub(super) fn next(&mut self, parts: &mut Vec<usize>) -> Option<StorageOp> {
        let end = parts.pop()?;
        let op = StorageOp::Write {
            file: FileId::Segment(self.segment),
            position: self.position + self.written as u64,
            bytes: self.bytes.part(self.written..end),
        };
        self.written = end;
        Some(op)
    }
}

/// The header at a place. That it is sound is asserted right before the write, as it is checked right after a read.
fn header_of(place: &Place, bytes: &[u8]) -> RecordHeader {
    let record = bytes
        .get(place.at..place.at + place.bytes)
        .expect("a record lies inside its group commit");
    debug_assert!(
        Record::parse(record).is_ok(),
        "what is written is a sound record"
    );
    let header = RecordHeader::parse(record).expect("what is written is a sound record");
    assert!(
        header.index == place.index
            && header.base_offset == place.base_offset
            && header.record_bytes() == place.bytes,
        "a record is what its place says"
    );
    header
}
