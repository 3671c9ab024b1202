//! The segment's header: one block at the start of each segment file, written once, when the segment comes into use.

use quorate_wire::checksum::crc32;
use quorate_wire::{ClusterName, DiskId, GroupId, LogIndex, NodeId, Offset};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::FormatError;
use super::superblock::{CHECKED_FROM, Identity, LOG_VERSION};
use crate::buffer::BLOCK_BYTES;
use crate::seam::SegmentId;

/// The first four bytes of a segment in use: `QRL1`.
pub const SEGMENT_MAGIC: u32 = u32::from_le_bytes(*b"QRL1");

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
    unused: [u8; SEGMENT_HEADER_BYTES - 104],
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
}

impl SegmentHeader {
    pub(super) fn encode(&self, block: &mut [u8]) {
        let mut raw = RawHeader::new_zeroed();
        raw.magic = U32::new(SEGMENT_MAGIC);
        raw.version = U32::new(LOG_VERSION);
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
        raw.crc = U32::new(crc32(&[&raw.as_bytes()[CHECKED_FROM..]]));
        block.copy_from_slice(raw.as_bytes());
    }

    pub(super) fn decode(block: &[u8]) -> Result<Self, FormatError> {
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
        if raw.version.get() != LOG_VERSION {
            return Err(FormatError::Version {
                found: raw.version.get(),
            });
        }
        let header = Self {
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
        };
        if header.commit >= header.first_index {
            return Err(FormatError::Field("commit"));
        }
        Ok(header)
    }
}
