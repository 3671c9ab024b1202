//! The superblock: who this disk is, and what a node must remember besides its log.
//!
//! Two copies of one block, side by side. A change is written to one copy, then to the other, and counts when both are
//! durable: whenever the power goes, one copy is whole, and the newest state survives the decay of one copy.

use alloc::vec;
use alloc::vec::Vec;

use quorate_wire::checksum::crc32;
use quorate_wire::limits::NODES_MAX;
use quorate_wire::{ClusterName, DiskId, GroupId, LogIndex, NodeId, Offset, Term};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::{FormatError, RecoveryError};
use super::hole::Link;
use super::index::Before;
use crate::buffer::BLOCK_BYTES;
use crate::seam::{FileId, Files, FilesError, SegmentId};
use crate::snapshot::COUNT_MAX;

/// The first four bytes of each copy: `QRS1`.
pub const SUPERBLOCK_MAGIC: u32 = u32::from_le_bytes(*b"QRS1");

/// The version of the superblock's format that this build writes.
pub const LOG_VERSION: u32 = 1;

/// Bytes of one copy.
pub const COPY_BYTES: usize = BLOCK_BYTES;

/// Copies in the file.
pub const COPIES: usize = 2;

/// A flag: the node may have lost records that it acknowledged.
const UNSURE: u32 = 1;

/// Where the bytes that a block's checksum covers begin.
pub(super) const CHECKED_FROM: usize = 8;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawMember {
    node: U32,
    reserved: U32,
    disk: [u8; 16],
}

/// All that is not zero lies in the first sector: a disk writes it whole or not at all.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawSuperblock {
    magic: U32,
    crc: U32,
    version: U32,
    group: U32,
    sequence: U64,
    cluster: [u8; ClusterName::BYTES],
    disk: [u8; 16],
    node: U32,
    vote: U32,
    term: U64,
    log_segment: U64,
    log_position: U64,
    member_count: U32,
    flags: U32,
    start_segment: U64,
    start_index: U64,
    start_term: U64,
    start_offset: U64,
    start_crc: U32,
    ended: U16,
    removed: U16,
    members: [RawMember; NODES_MAX],
    unused: [u8; COPY_BYTES - 136 - 24 * NODES_MAX],
}
const _: () = assert!(size_of::<RawSuperblock>() == COPY_BYTES);
const _: () = assert!(
    COPY_BYTES - size_of::<[u8; COPY_BYTES - 136 - 24 * NODES_MAX]>()
        <= super::format::SECTOR_BYTES
);

/// Who a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster that it belongs to.
    pub cluster: ClusterName,
    /// The node that it belongs to.
    pub node: NodeId,
    /// The group whose log is on it.
    pub group: GroupId,
    /// Its own identity, drawn once.
    pub disk: DiskId,
}

/// A place in the log's files. Along the log it only rises, also where records become void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reached {
    pub(super) segment: u64,
    pub(super) position: u64,
}

impl Reached {
    pub(super) const NOTHING: Self = Self {
        segment: 0,
        position: 0,
    };

    pub(super) fn new(segment: SegmentId, position: u64) -> Self {
        Self {
            segment: segment.0,
            position,
        }
    }
}

/// Where a log begins. What was before has been released: a snapshot has what it amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The first segment. Files of earlier ones, if they are there, are to be removed.
    pub(super) segment: SegmentId,
    /// The record before its first one; nothing of anything if nothing has been released.
    pub(super) before: Before,
}

impl Start {
    /// Nothing has been released.
    pub(super) fn whole() -> Self {
        Self {
            segment: SegmentId(1),
            before: Before::default(),
        }
    }

    /// Where a log ends that begins here and has no segment.
    pub(super) fn reached(&self) -> Reached {
        Reached::new(self.segment, 0)
    }
}

/// What a node must remember besides its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Who the disk is.
    pub identity: Identity,
    /// The highest term that the node has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// The node may have lost records that it acknowledged, and has not caught up since: it does not vote. Set and durable
    /// before anything is written behind a damaged end of the log, since that hides the damage.
    pub unsure: bool,
    /// The group's voters and their disks; none while the node is forming.
    pub members: Vec<(NodeId, DiskId)>,
    /// Rises with each write: of two copies the higher one is the newer.
    pub(super) sequence: u64,
    /// The log was durable up to here when this was written: a log that ends earlier has lost something.
    pub(super) log: Reached,
    /// The log ends there: its process stopped when nothing was under way, and nothing was ever written behind. A build that does not
    /// know of it leaves it out when it writes, and does not look at it: it is believed only of a log that does end there.
    pub(super) ended: bool,
    /// The node was removed from its group: for good, since ids are used once. A build that does not know of it leaves it out when it
    /// writes; then the node learns it again when it asks a member.
    pub removed: bool,
    /// Where the log begins.
    pub(super) start: Start,
}

impl Superblock {
    /// The record before the log begins; zero if the log is whole.
    #[must_use]
    pub fn start(&self) -> LogIndex {
        self.start.before.index
    }

    /// The same, with its checksum.
    #[must_use]
    pub fn start_link(&self) -> Link {
        self.start.before.link()
    }

    /// Of a disk that has never been used.
    #[must_use]
    pub fn fresh(identity: Identity) -> Self {
        Self {
            identity,
            term: Term(0),
            vote: None,
            unsure: false,
            members: Vec::new(),
            sequence: 1,
            log: Reached::NOTHING,
            ended: false,
            removed: false,
            start: Start::whole(),
        }
    }

    /// One copy.
    pub(super) fn encode(&self, copy: &mut [u8]) {
        assert!(
            self.members.len() <= NODES_MAX,
            "a group's members are bounded by its configuration"
        );
        let mut raw = RawSuperblock::new_zeroed();
        raw.magic = U32::new(SUPERBLOCK_MAGIC);
        raw.version = U32::new(LOG_VERSION);
        raw.group = U32::new(self.identity.group.0);
        raw.sequence = U64::new(self.sequence);
        raw.cluster = self.identity.cluster.to_bytes();
        raw.disk = self.identity.disk.0;
        raw.node = U32::new(self.identity.node.0);
        raw.vote = U32::new(self.vote.map_or(0, |node| node.0));
        raw.term = U64::new(self.term.0);
        raw.log_segment = U64::new(self.log.segment);
        raw.log_position = U64::new(self.log.position);
        raw.member_count = U32::new(u32::try_from(self.members.len()).expect("a few members"));
        raw.flags = U32::new(if self.unsure { UNSURE } else { 0 });
        let Start { segment, before } = self.start;
        raw.start_segment = U64::new(segment.0);
        raw.start_index = U64::new(before.index.0);
        raw.start_term = U64::new(before.term.0);
        raw.start_offset = U64::new(before.next_offset.0);
        raw.start_crc = U32::new(before.header_crc);
        raw.ended = U16::new(u16::from(self.ended));
        raw.removed = U16::new(u16::from(self.removed));
        for (to, (node, disk)) in raw.members.iter_mut().zip(&self.members) {
            to.node = U32::new(node.0);
            to.disk = disk.0;
        }
        raw.crc = U32::new(crc32(&[&raw.as_bytes()[CHECKED_FROM..]]));
        copy.copy_from_slice(raw.as_bytes());
    }

    fn decode(copy: &[u8]) -> Result<Self, FormatError> {
        let raw = RawSuperblock::ref_from_bytes(copy).map_err(|_| FormatError::Length {
            expected: COPY_BYTES as u64,
            found: copy.len() as u64,
        })?;
        if raw.magic.get() != SUPERBLOCK_MAGIC {
            return Err(FormatError::Magic {
                found: raw.magic.get(),
            });
        }
        let (found, computed) = (raw.crc.get(), crc32(&[&copy[CHECKED_FROM..]]));
        if found != computed {
            return Err(FormatError::Checksum { found, computed });
        }
        if raw.version.get() != LOG_VERSION {
            return Err(FormatError::Version {
                found: raw.version.get(),
            });
        }
        let count = usize::try_from(raw.member_count.get()).expect("32 bits fit into a size");
        let members = raw
            .members
            .get(..count)
            .ok_or(FormatError::Field("members"))?;
        let flags = raw.flags.get();
        if flags & !UNSURE != 0 {
            return Err(FormatError::Field("flags"));
        }
        let cluster = ClusterName::from_bytes(raw.cluster).ok_or(FormatError::Field("cluster"))?;
        let voted = raw.vote.get();
        let start = Start {
            segment: SegmentId(raw.start_segment.get()),
            before: Before {
                index: LogIndex(raw.start_index.get()),
                term: Term(raw.start_term.get()),
                next_offset: Offset(raw.start_offset.get()),
                header_crc: raw.start_crc.get(),
            },
        };
        let numbers = [
            start.segment.0,
            start.before.index.0,
            start.before.next_offset.0,
        ];
        if start.segment.0 == 0 || numbers.iter().any(|&number| number > COUNT_MAX) {
            return Err(FormatError::Field("start"));
        }
        Ok(Self {
            identity: Identity {
                cluster,
                node: NodeId(raw.node.get()),
                group: GroupId(raw.group.get()),
                disk: DiskId(raw.disk),
            },
            term: Term(raw.term.get()),
            vote: (voted != 0).then_some(NodeId(voted)),
            unsure: flags & UNSURE != 0,
            members: members
                .iter()
                .map(|member| (NodeId(member.node.get()), DiskId(member.disk)))
                .collect(),
            sequence: raw.sequence.get(),
            log: Reached {
                segment: raw.log_segment.get(),
                position: raw.log_position.get(),
            },
            ended: raw.ended.get() == 1,
            removed: raw.removed.get() == 1,
            start,
        })
    }
}

/// Writes the superblock of a disk that has never been used: both copies.
///
/// # Errors
/// It cannot be written.
pub fn format(files: &mut impl Files, superblock: &Superblock) -> Result<(), FilesError> {
    let mut bytes = vec![0; COPIES * COPY_BYTES];
    bytes
        .chunks_exact_mut(COPY_BYTES)
        .for_each(|copy| superblock.encode(copy));
    files.store_superblock(&bytes)
}

/// Reads the superblock; `None` if this disk has never been used.
///
/// # Errors
/// It cannot be read, both copies are damaged, it is of another version, or it is missing beside segments of a log.
pub fn read_superblock(files: &impl Files) -> Result<Option<Superblock>, RecoveryError> {
    Ok(find(files)?.map(|found| found.superblock))
}

/// What the superblock's file holds.
pub(super) struct Found {
    pub(super) superblock: Superblock,
    /// The copy to write first at the next change: not the one that would be missed.
    pub(super) first: usize,
}

pub(super) fn find(files: &impl Files) -> Result<Option<Found>, RecoveryError> {
    let Some(bytes) = files.superblock().map_err(RecoveryError::Files)? else {
        let segments = files.segments().map_err(RecoveryError::Files)?.len();
        if segments > 0 {
            return Err(RecoveryError::SuperblockMissing { segments });
        }
        return Ok(None);
    };
    let (a, b) = bytes.split_at(bytes.len().min(COPY_BYTES));
    match (Superblock::decode(a), Superblock::decode(b)) {
        (Err(FormatError::Version { found }), _) | (_, Err(FormatError::Version { found })) => {
            Err(RecoveryError::Version {
                file: FileId::Superblock,
                found,
            })
        }
        (Ok(a), Ok(b)) if b.sequence > a.sequence => Ok(Some(Found {
            superblock: b,
            first: 0,
        })),
        (Ok(a), Ok(_) | Err(_)) => Ok(Some(Found {
            superblock: a,
            first: 1,
        })),
        (Err(_), Ok(b)) => Ok(Some(Found {
            superblock: b,
            first: 0,
        })),
        (Err(a), Err(b)) => Err(RecoveryError::SuperblockDamaged { a, b }),
    }
}
