//! The header of a snapshot, and of a piece.

use quorate_wire::checksum::crc32;
use quorate_wire::{ClusterName, Edition, GroupId, LogIndex, Offset, Position, Term};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::SnapshotError;
use crate::state::Applied;

/// The first four bytes: `QRN1`.
pub const SNAPSHOT_MAGIC: u32 = u32::from_le_bytes(*b"QRN1");

/// Bytes of the header: pieces begin behind it.
pub const HEADER_BYTES: usize = 128;

/// No index, offset or sequence gets there: one that is above it is none.
pub const COUNT_MAX: u64 = 1 << 62;

/// Bytes of a piece's header.
pub(super) const PIECE_HEADER_BYTES: usize = 16;

/// Where the bytes that the header's checksum covers begin.
const CHECKED_FROM: usize = 8;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: U32,
    crc: U32,
    version: U32,
    group: U32,
    cluster: [u8; ClusterName::BYTES],
    index: U64,
    term: U64,
    next_offset: U64,
    log_time: U64,
    digest: U64,
    header_crc: U32,
    reserved: [u8; HEADER_BYTES - 76],
}
const _: () = assert!(size_of::<RawHeader>() == HEADER_BYTES);

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawPiece {
    pub(super) section: U32,
    pub(super) entries: U32,
    pub(super) bytes: U32,
    pub(super) crc: U32,
}
const _: () = assert!(size_of::<RawPiece>() == PIECE_HEADER_BYTES);

impl RawPiece {
    /// The checksum of a piece.
    pub(super) fn checksum(&self, payload: &[u8]) -> u32 {
        crc32(&[
            self.section.as_bytes(),
            self.entries.as_bytes(),
            self.bytes.as_bytes(),
            payload,
        ])
    }
}

/// What the last piece holds.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawEnd {
    /// Bytes before the last piece.
    pub(super) bytes: U64,
    /// Entries in all pieces.
    pub(super) entries: U64,
    /// Checksum of all bytes before the last piece.
    pub(super) crc: U32,
    pub(super) reserved: U32,
}

/// A part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Section {
    /// Nothing more follows.
    End = 0,
    /// What is known of each producer.
    Producers = 1,
    /// The members of the group.
    Members = 2,
    /// Named cursors.
    Cursors = 3,
    /// Consumer groups.
    ConsumerGroups = 4,
    /// Ids of events.
    EventIds = 5,
}

impl Section {
    /// The section of a number.
    pub(super) const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::End),
            1 => Some(Self::Producers),
            2 => Some(Self::Members),
            3 => Some(Self::Cursors),
            4 => Some(Self::ConsumerGroups),
            5 => Some(Self::EventIds),
            _ => None,
        }
    }
}

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The cluster that it belongs to.
    pub cluster: ClusterName,
    /// The group.
    pub group: GroupId,
    /// What it covers.
    pub applied: Applied,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut raw = RawHeader::new_zeroed();
        raw.magic = U32::new(SNAPSHOT_MAGIC);
        raw.version = U32::new(u32::from(self.applied.edition.0));
        raw.group = U32::new(self.group.0);
        raw.cluster = self.cluster.to_bytes();
        raw.index = U64::new(self.applied.position.index.0);
        raw.term = U64::new(self.applied.position.term.0);
        raw.next_offset = U64::new(self.applied.next_offset.0);
        raw.log_time = U64::new(self.applied.log_time);
        raw.digest = U64::new(self.applied.digest);
        raw.header_crc = U32::new(self.applied.header_crc);
        raw.crc = U32::new(crc32(&[&raw.as_bytes()[CHECKED_FROM..]]));
        zerocopy::transmute!(raw)
    }

    /// Reads the header at the start of a snapshot.
    ///
    /// # Errors
    /// It is unsound.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let at = 0;
        let Some(head) = bytes.get(..HEADER_BYTES) else {
            let at = u64::try_from(bytes.len()).expect("less than a header");
            return Err(SnapshotError::Cut { at });
        };
        let raw = RawHeader::ref_from_bytes(head).expect("its length was just taken");
        if raw.magic.get() != SNAPSHOT_MAGIC {
            let found = raw.magic.get();
            return Err(SnapshotError::Magic { found });
        }
        if raw.crc.get() != crc32(&[&head[CHECKED_FROM..]]) {
            return Err(SnapshotError::Checksum { at });
        }
        let found = raw.version.get();
        let known = |edition: &u8| (1..=Edition::BUILD.0).contains(edition);
        let edition = u8::try_from(found).ok().filter(known);
        let edition = edition.ok_or(SnapshotError::Version { found })?;
        let (index, term) = (LogIndex(raw.index.get()), Term(raw.term.get()));
        if !(1..=COUNT_MAX).contains(&index.0) {
            return Err(SnapshotError::Field { field: "index", at });
        }
        if raw.next_offset.get() > COUNT_MAX {
            let field = "next_offset";
            return Err(SnapshotError::Field { field, at });
        }
        Ok(Self {
            cluster: ClusterName::from_bytes(raw.cluster).ok_or(SnapshotError::Field {
                field: "cluster",
                at,
            })?,
            group: GroupId(raw.group.get()),
            applied: Applied {
                position: Position { term, index },
                header_crc: raw.header_crc.get(),
                next_offset: Offset(raw.next_offset.get()),
                log_time: raw.log_time.get(),
                digest: raw.digest.get(),
                edition: Edition(edition),
            },
        })
    }
}
