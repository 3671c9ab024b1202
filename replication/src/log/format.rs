//! The segment's header: one block at the start of each segment file, written once, when the segment comes into use.

use quorate_wire::checksum::crc32;
use quorate_wire::{ClusterName, DiskId, Edition, GroupId, LogIndex, NodeId, Offset};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::FormatError;
use super::hole::Link;
use super::superblock::{CHECKED_FROM, Identity};
use crate::buffer::BLOCK_BYTES;
use crate::seam::SegmentId;

/// The first four bytes of a segment in use: `QRL1`.
pub const SEGMENT_MAGIC: u32 = u32::from_le_bytes(*b"QRL1");

/// The version of a segment that has no sums.
const WITHOUT_SUMS: u32 = 1;

/// The version of one that has sums, or room for them.
const WITH_SUMS: u32 = 2;

/// The latest version that this build reads: that of the latest edition.
const VERSION_MAX: u32 = if Edition::BUILD.0 >= Edition::SECOND.0 {
    WITH_SUMS
} else {
    WITHOUT_SUMS
};

/// A flag: the segment is prepared of a used file, and no record of its own is in it.
const VACANT: u32 = 1;

/// Bytes of a segment's header: records begin behind it.
pub const SEGMENT_HEADER_BYTES: usize = BLOCK_BYTES;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// Most bytes of one group commit: a torn tail is never longer.
pub const WRITE_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(
    WRITE_BYTES_MAX >= quorate_wire::limits::RECORD_BYTES_MAX,
    "a record fits into a group commit"
);
const _: () = assert!(WRITE_BYTES_MAX.is_multiple_of(BLOCK_BYTES));

/// All that is not zero lies in the first sector: a disk writes it whole or not at all.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: U32,
    crc: U32,
    version: U32,
    group: U32,
    cluster: [u8; ClusterName::BYTES],
    disk: [u8; 16],
    node: U32,
    previous: U32,
    segment: U64,
    segment_bytes: U64,
    first_index: U64,
    first_offset: U64,
    previous_end: U64,
    commit: U64,
    flags: U32,
    unused: [u8; SEGMENT_HEADER_BYTES - 108],
}
const _: () = assert!(size_of::<RawHeader>() == SEGMENT_HEADER_BYTES);

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The disk that it was written on.
    pub identity: Identity,
    /// Its number.
    pub segment: SegmentId,
    /// Length of its file.
    pub segment_bytes: u64,
    /// The index after the last record before it. Its first record may have a lower one: then it voids others.
    pub first_index: LogIndex,
    /// The offset after the last event before it.
    pub first_offset: Offset,
    /// `header_crc` of the last record before it; zero if there is none.
    pub previous: u32,
    /// Where the last record of the segment before it ends; what follows it there is void. Zero in the first segment.
    pub previous_end: u64,
    /// All records up to here were committed when it came into use. Invariant: `commit < first_index`.
    pub commit: LogIndex,
    /// Its file ends with sums, or room for them.
    pub sums: bool,
}

/// What the first block of a segment's file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// It is in use.
    Used(SegmentHeader),
    /// It is prepared of a used file: of this header, only identity, number and length mean something.
    Vacant(SegmentHeader),
}

impl SegmentHeader {
    /// The last record before it.
    pub(super) fn last_before(&self) -> Link {
        Link {
            index: self.first_index.previous(),
            header_crc: self.previous,
        }
    }

    /// The header of a segment that is prepared of a used file.
    pub(super) fn vacant(identity: Identity, segment: SegmentId, segment_bytes: u64) -> Self {
        Self {
            identity,
            segment,
            segment_bytes,
            first_index: LogIndex(1),
            first_offset: Offset(0),
            previous: 0,
            previous_end: 0,
            commit: LogIndex(0),
            sums: true,
        }
    }

    pub(super) fn encode(&self, block: &mut [u8]) {
        self.encode_as(0, block);
    }

    pub(super) fn encode_vacant(&self, block: &mut [u8]) {
        self.encode_as(VACANT, block);
    }

    fn encode_as(&self, flags: u32, block: &mut [u8]) {
        let mut raw = RawHeader::new_zeroed();
        raw.magic = U32::new(SEGMENT_MAGIC);
        raw.version = U32::new(if self.sums { WITH_SUMS } else { WITHOUT_SUMS });
        raw.group = U32::new(self.identity.group.0);
        raw.cluster = self.identity.cluster.to_bytes();
        raw.disk = self.identity.disk.0;
        raw.node = U32::new(self.identity.node.0);
        raw.previous = U32::new(self.previous);
        raw.segment = U64::new(self.segment.0);
        raw.segment_bytes = U64::new(self.segment_bytes);
        raw.first_index = U64::new(self.first_index.0);
        raw.first_offset = U64::new(self.first_offset.0);
        raw.previous_end = U64::new(self.previous_end);
        raw.commit = U64::new(self.commit.0);
        raw.flags = U32::new(flags);
        raw.crc = U32::new(crc32(&[&raw.as_bytes()[CHECKED_FROM..]]));
        block.copy_from_slice(raw.as_bytes());
    }

    pub(super) fn decode(block: &[u8]) -> Result<Head, FormatError> {
        let raw = RawHeader::ref_from_bytes(block).map_err(|_| FormatError::Length {
            expected: SEGMENT_HEADER_BYTES as u64,
            found: block.len() as u64,
        })?;
        if raw.magic.get() != SEGMENT_MAGIC {
            return Err(FormatError::Magic {
                found: raw.magic.get(),
            });
        }
        let (found, computed) = (raw.crc.get(), crc32(&[&block[CHECKED_FROM..]]));
        if found != computed {
            return Err(FormatError::Checksum { found, computed });
        }
        let version = raw.version.get();
        if !(WITHOUT_SUMS..=VERSION_MAX).contains(&version) {
            return Err(FormatError::Version { found: version });
        }
        let header = SegmentHeader {
            identity: Identity {
                cluster: ClusterName::from_bytes(raw.cluster)
                    .ok_or(FormatError::Field("cluster"))?,
                node: NodeId(raw.node.get()),
                group: GroupId(raw.group.get()),
                disk: DiskId(raw.disk),
            },
            segment: SegmentId(raw.segment.get()),
            segment_bytes: raw.segment_bytes.get(),
            first_index: LogIndex(raw.first_index.get()),
            first_offset: Offset(raw.first_offset.get()),
            previous: raw.previous.get(),
            previous_end: raw.previous_end.get(),
            commit: LogIndex(raw.commit.get()),
            sums: version == WITH_SUMS,
        };
        if header.commit >= header.first_index {
            return Err(FormatError::Field("commit"));
        }
        match raw.flags.get() {
            0 => Ok(Head::Used(header)),
            VACANT if header.sums => Ok(Head::Vacant(header)),
            _ => Err(FormatError::Field("flags")),
        }
    }
}
