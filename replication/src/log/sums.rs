//! Checksums of a segment's sectors, at the end of its file: by them the bytes that an earlier segment left in a file are told from
//! those of the segment that uses it now.
//!
//! ```text
//!   |H|####|###|####|  |S|    segment 3 is full: zeros up to its sums
//!   |V|####|###|####|  |S|    its file is vacant: segment 9 to come, and all bytes are still there
//!   |H|++++++|#|####|  |S|    segment 9 is being written: what is as the sums of 3 say is not written yet, and counts as zero
//!   |H|++++++|++++|++  |S|    segment 9 is full, with sums of its own
//! ```
//! Owns: where a segment's records have room; its sums, and what they say of a sector. Never: reads or writes. Called by: the log,
//! which takes and uses them; the walk, which sees through what is left of an earlier segment.

use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_wire::checksum::crc32;
use quorate_wire::{LogIndex, Record};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::format::{SECTOR_BYTES, SEGMENT_HEADER_BYTES};
use super::superblock::{CHECKED_FROM, Identity};
use super::tail::{is_zero, zeros_at};
use crate::buffer::{BLOCK_BYTES, Buffer, Slice};
use crate::seam::SegmentId;

/// The first four bytes of a segment's sums: `QRC1`.
const SUMS_MAGIC: u32 = u32::from_le_bytes(*b"QRC1");

const SUMS_VERSION: u32 = 1;

/// Bytes of one sum.
const SUM_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawSums {
    magic: U32,
    crc: U32,
    version: U32,
    group: U32,
    disk: [u8; 16],
    segment: U64,
    last_index: U64,
    unused: [u8; 16],
}
const _: () = assert!(size_of::<RawSums>() == 64);

/// A segment's file: how long it is, and up to where records have room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) file: u64,
    pub(super) room: u64,
}

impl Extent {
    /// Records have all of it.
    pub(super) const fn whole(file: u64) -> Self {
        Self { file, room: file }
    }

    /// Sums have its end.
    pub(super) fn with_sums(file: u64) -> Self {
        let sums = file / SECTOR_BYTES as u64 * SUM_BYTES as u64;
        let bytes = (size_of::<RawSums>() as u64 + sums).next_multiple_of(BLOCK_BYTES as u64);
        let room = file.saturating_sub(bytes);
        Self { file, room }
    }

    /// Bytes of the sums.
    pub(super) fn sums_bytes(&self) -> usize {
        usize::try_from(self.file - self.room).expect("sums fit into memory")
    }
}

/// The sums of a segment that is being written.
#[derive(Debug)]
pub(super) struct Sums {
    segment: SegmentId,
    buffer: Buffer,
    /// The highest index of its records, void or not.
    last: LogIndex,
}

impl Sums {
    pub(super) fn new(segment: SegmentId, extent: Extent) -> Self {
        Self {
            segment,
            buffer: Buffer::zeroed(extent.sums_bytes()),
            last: LogIndex(0),
        }
    }

    pub(super) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// So many whole blocks are written at `position`, with records up to this index.
    pub(super) fn cover(&mut self, position: u64, bytes: &[u8], last: LogIndex) {
        self.last = self.last.max(last);
        let first = usize::try_from(position).expect("a segment fits into memory") / SECTOR_BYTES;
        let sums = self.buffer.get_mut(size_of::<RawSums>()..);
        let sums = sums.and_then(|sums| sums.get_mut(first * SUM_BYTES..));
        let sums = sums
            .expect("what is written has room")
            .chunks_mut(SUM_BYTES);
        for (sum, sector) in sums.zip(bytes.chunks(SECTOR_BYTES)) {
            sum.copy_from_slice(&crc32(&[sector]).to_le_bytes());
        }
    }

    /// As they are written.
    pub(super) fn encode(mut self, identity: &Identity) -> Slice {
        let mut raw = RawSums::new_zeroed();
        raw.magic = U32::new(SUMS_MAGIC);
        raw.version = U32::new(SUMS_VERSION);
        raw.group = U32::new(identity.group.0);
        raw.disk = identity.disk.0;
        raw.segment = U64::new(self.segment.0);
        raw.last_index = U64::new(self.last.0);
        let (head, sums) = self.buffer.split_at_mut(size_of::<RawSums>());
        raw.crc = U32::new(crc32(&[&raw.as_bytes()[CHECKED_FROM..], sums]));
        head.copy_from_slice(raw.as_bytes());
        let all = 0..self.buffer.len();
        Slice::new(Arc::new(self.buffer), all)
    }
}

/// Sums that were read from a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct SumsRead<'a> {
    /// The segment that they are of.
    pub(super) segment: SegmentId,
    /// The highest index of its records.
    pub(super) last: LogIndex,
    sums: &'a [u8],
}

impl<'a> SumsRead<'a> {
    /// What a file's end holds, if it is sound sums of this disk.
    pub(super) fn decode(bytes: &'a [u8], identity: &Identity) -> Option<Self> {
        let (raw, sums) = RawSums::ref_from_prefix(bytes).ok()?;
        let sound = raw.magic.get() == SUMS_MAGIC
            && raw.version.get() == SUMS_VERSION
            && raw.crc.get() == crc32(&[bytes.get(CHECKED_FROM..)?]);
        let own = raw.group.get() == identity.group.0 && raw.disk == identity.disk.0;
        (sound && own).then(|| Self {
            segment: SegmentId(raw.segment.get()),
            last: LogIndex(raw.last_index.get()),
            sums,
        })
    }

    /// Those at the end of a file.
    pub(super) fn of_file(file: &'a [u8], identity: &Identity) -> Option<Self> {
        let room = usize::try_from(Extent::with_sums(file.len() as u64).room).ok()?;
        Self::decode(file.get(room..)?, identity)
    }

    /// Whether a sector, which begins at `at`, is as it was.
    fn is_left(&self, at: usize, sector: &[u8]) -> bool {
        let first = at / SECTOR_BYTES * SUM_BYTES;
        let sum = self.sums.get(first..first + SUM_BYTES);
        sum == Some(&crc32(&[sector]).to_le_bytes())
    }

    /// Whether there is nothing behind the header but what was left, and zeros.
    pub(super) fn is_all(&self, bytes: &[u8]) -> bool {
        let sectors = bytes.chunks(SECTOR_BYTES).enumerate();
        sectors
            .skip(SEGMENT_HEADER_BYTES / SECTOR_BYTES)
            .all(|(nth, sector)| is_zero(sector) || self.is_left(nth * SECTOR_BYTES, sector))
    }

    /// A segment's bytes, with zeros in place of all that was left. A sector of a sound record of this segment stays, whatever it
    /// looks like: the same bytes may have been there before. What was left has no such record, since all of them had lower
    /// indexes.
    pub(super) fn see_through(&self, bytes: &[u8], identity: &Identity) -> Vec<u8> {
        let mut seen = bytes.to_vec();
        let own = |bytes: &[u8]| {
            let (record, _) = Record::parse(bytes).ok()?;
            let header = record.header();
            let own = header.group == identity.group && header.index > self.last;
            own.then(|| header.record_bytes())
        };
        let mut at = SEGMENT_HEADER_BYTES;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(length) = own(rest) {
                at += length;
                // Behind a record that was put back there may be zeros, and then one that does not begin on a block.
                let rest = bytes.get(at..).unwrap_or_default();
                let zeros = zeros_at(rest);
                if own(rest.get(zeros..).unwrap_or_default()).is_some() {
                    at += zeros;
                }
                continue;
            }
            let block = (at + 1).next_multiple_of(BLOCK_BYTES);
            for sector in (at.next_multiple_of(SECTOR_BYTES)..block).step_by(SECTOR_BYTES) {
                if let Some(sector_bytes) = seen.get_mut(sector..sector + SECTOR_BYTES)
                    && self.is_left(sector, sector_bytes)
                {
                    sector_bytes.fill(0);
                }
            }
            at = block;
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::{
        ClusterName, DiskId, GroupId, NodeId, Offset, Position, RECORD_HEADER_BYTES, RecordHeader,
        RecordKind, Stamp, Term,
    };

    use super::*;

    const RECORD: usize = 4 * SECTOR_BYTES;

    fn noop(index: u64) -> [u8; RECORD_HEADER_BYTES] {
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(index),
            },
            base_offset: Offset(0),
            log_time: 1,
            group: GroupId(0),
            event_count: 0,
            kind: RecordKind::Noop,
            previous: 1,
        };
        RecordHeader::stamp(&stamp, &[])
    }

    /// Sectors that are as they were before are zeros, but for those of the segment's own records; and such a one may lie inside a
    /// block, behind zeros, where records were put back.
    #[test]
    fn a_record_behind_zeros_is_not_taken_for_what_was_left() {
        let identity = Identity {
            cluster: ClusterName::new("sums").expect("a name"),
            node: NodeId(1),
            group: GroupId(0),
            disk: DiskId([1; 16]),
        };
        let mut bytes = alloc::vec![7; 4 * BLOCK_BYTES];
        let (block, end) = (BLOCK_BYTES, 2 * BLOCK_BYTES);
        bytes[block..end].fill(0);
        bytes[block..][..RECORD_HEADER_BYTES].copy_from_slice(&noop(5));
        bytes[block + RECORD..][..RECORD_HEADER_BYTES].copy_from_slice(&noop(6));
        let sums = bytes
            .chunks(SECTOR_BYTES)
            .flat_map(|sector| crc32(&[sector]).to_le_bytes());
        let sums: Vec<u8> = sums.collect();
        let left = |last| SumsRead {
            segment: SegmentId(1),
            last: LogIndex(last),
            sums: &sums,
        };
        let seen = left(4).see_through(&bytes, &identity);
        assert_eq!(seen[..end], bytes[..end]);
        assert!(is_zero(&seen[end..]));
        assert!(is_zero(&left(6).see_through(&bytes, &identity)[block..]));
    }
}
