//! What goes into a log and what comes out of it.

use bytes::Bytes;
use quorate_raft::Mark;
use quorate_wire::{LogIndex, Offset, Term};

use super::error::ReadError;
use crate::buffer::{Buffer, Slice};
use crate::seam::SnapshotId;

/// How a log lays out its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Length of a new segment: whole blocks.
    pub segment_bytes: u64,
    /// How many segments lie ready ahead of need: they are prepared while the log works.
    pub segments_ahead: usize,
    /// How many more are prepared while there is time.
    pub segments_stock: usize,
    /// How fast, in bytes a second.
    pub stock_bytes: u64,
}

/// Where a record lies in a group commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its index.
    pub index: LogIndex,
    /// Offset of its first event.
    pub base_offset: Offset,
    /// Where it begins, counted from the start of the group commit.
    pub at: usize,
    /// Its size.
    pub bytes: usize,
}

/// One write.
#[derive(Debug)]
pub struct GroupCommit<'a> {
    /// Whole blocks: records side by side from the start, zeros behind the last one; at most
    /// [`WRITE_BYTES_MAX`](super::WRITE_BYTES_MAX) bytes.
    pub bytes: Slice,
    /// Its records, in order: at least one. A record whose index is in the log already makes the log's records from there on
    /// void.
    pub records: &'a [Place],
    /// What to report when it is durable.
    pub mark: Mark,
    /// An index that is known to be committed.
    pub commit: LogIndex,
}

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the record with this index.
    Index(LogIndex),
    /// At the record that holds the event with this offset.
    Offset(Offset),
    /// At the first record whose log time is this one or later.
    Time(u64),
}

/// A request for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The caller's name for it.
    pub token: u64,
    /// Where it begins.
    pub from: From,
    /// The last record that it may return.
    pub through: LogIndex,
    /// Most bytes of records. One record is returned even if it alone is larger.
    pub bytes_max: usize,
    /// Whether it stops where the term changes.
    pub one_term: bool,
}

/// Records that were read: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecords {
    /// Whole records side by side, each checked.
    pub bytes: Bytes,
    /// Index of the first one.
    pub first: LogIndex,
    /// Index of the last one.
    pub last: LogIndex,
    /// Term of the first one.
    pub term: Term,
    /// Offset of the first event in them.
    pub base_offset: Offset,
    /// Offset after the last event in them.
    pub next_offset: Offset,
}

/// Something that the log has to tell.
#[derive(Debug)]
pub enum LogEvent {
    /// The group commit with this mark is durable.
    Durable(Mark),
    /// The hard state of this version is durable.
    HardStateDurable {
        /// The version.
        version: u64,
    },
    /// The members are durable.
    MembersDurable,
    /// A further segment is ready.
    RoomMade,
    /// A segment could not be prepared: the disk is full. It is tried again.
    DiskFull,
    /// A read is over.
    Read {
        /// Its name.
        token: u64,
        /// What was read. An error says that this copy of the log is not whole.
        result: Result<ReadRecords, ReadError>,
    },
    /// A segment that recovery passed over is damaged. Reads that waited for it are void.
    Damaged(ReadError),
    /// What was handed in to fill a hole is durable: more may follow.
    MendReady,
    /// The hole is filled.
    Mended,
    /// The hole cannot be filled now: the disk is full, or what is beside the hole cannot be read.
    MendFailed,
    /// It is durable that the log was given up at a hole.
    GivenUp,
    /// The log begins behind this record now.
    Released {
        /// The last one that is gone.
        upto: LogIndex,
    },
    /// The disk has done something for a snapshot.
    Snapshot(SnapshotEvent),
    /// The records that a read asked for became void before it was over.
    ReadVoid {
        /// Its name.
        token: u64,
    },
}

/// What the disk has done for a snapshot.
#[derive(Debug)]
pub enum SnapshotEvent {
    /// The part that was handed in is written: another one may follow.
    Written,
    /// It is durable, and counts.
    Kept(SnapshotId),
    /// There was no room for it: nothing of it is left.
    Failed,
    /// A part was read; none, if it cannot be read any more.
    Read {
        /// The caller's name for the read.
        token: u64,
        /// The part.
        bytes: Option<Buffer>,
    },
}
