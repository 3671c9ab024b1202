//! The disk, as submit and complete.

use alloc::vec::Vec;

use crate::buffer::{Buffer, Slice};

/// Names an operation between submit and complete. Chosen by the submitter, unique while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Number of a segment file, rising along the log from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

/// A snapshot of the state, named by the index of the last record that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(pub u64);

/// A file of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileId {
    /// The superblock: two copies side by side.
    Superblock,
    /// A segment of the log.
    Segment(SegmentId),
    /// A snapshot.
    Snapshot(SnapshotId),
}

/// What the disk shall do. Positions and lengths are multiples of a block.
#[derive(Debug)]
pub enum StorageOp {
    /// Write, and complete only when the bytes would survive the loss of power (`O_DIRECT` and `RWF_DSYNC`).
    Write {
        /// Into which file; a segment must have been prepared or found at start-up.
        file: FileId,
        /// Where.
        position: u64,
        /// What: whole blocks.
        bytes: Slice,
    },
    /// Read.
    Read {
        /// From which file.
        file: FileId,
        /// Where.
        position: u64,
        /// How many bytes; the file must be that long.
        length: usize,
        /// Where to put them: from its start. Comes back with the completion.
        into: Buffer,
    },
    /// Create a segment file of `bytes` zeros, durable with its name. Takes long: it happens beside the other operations.
    Prepare {
        /// Which segment; must not exist yet.
        segment: SegmentId,
        /// How long: whole blocks.
        bytes: u64,
        /// A segment as long whose file nobody needs any more: filled with zeros, it becomes the new one, and takes no further
        /// room. No other operation on it is open. It is gone whatever comes of it, but for a crash, which may leave it with some
        /// of its blocks zero.
        from: Option<SegmentId>,
    },
    /// Give a segment whose file nobody needs any more another number: its bytes stay, but for the first ones. Durable with its
    /// name. A crash leaves it under one number or the other, and under the new one with `head`. If it fails, nothing is left.
    Reuse {
        /// Its new number; must not exist yet.
        segment: SegmentId,
        /// Its old one. No other operation on it is open.
        from: SegmentId,
        /// What it begins with from now on: whole blocks.
        head: Slice,
    },
    /// Add to the one snapshot that has no name yet; at position zero, a new one is begun. Nothing of it is durable before it is
    /// published. This, `Publish` and `Remove` happen beside the other operations, in the order in which they are submitted.
    Append {
        /// Where: the end of what was appended.
        position: u64,
        /// What: whole blocks.
        bytes: Slice,
    },
    /// Give the snapshot that was appended its name, once all of it is durable. A crash leaves all of it, or nothing. Replaces one
    /// of the same name.
    Publish {
        /// Its name.
        snapshot: SnapshotId,
    },
    /// Take a segment or a snapshot away, durably. No other operation on it is open.
    Remove {
        /// Which one; it is no error if it is not there.
        file: FileId,
    },
}

/// An operation that is over.
#[derive(Debug)]
pub struct StorageDone {
    /// The submitter's name for it.
    pub id: OpId,
    /// How it went.
    pub result: Result<StorageOutcome, StorageError>,
}

/// An operation that went well.
#[derive(Debug)]
pub enum StorageOutcome {
    /// All bytes are durable.
    Written,
    /// All bytes were read; the buffer comes back.
    Read(Buffer),
    /// The segment can be written.
    Prepared,
    /// The bytes are appended.
    Appended,
    /// The snapshot is durable, and has its name.
    Published,
    /// The file is gone.
    Removed,
}

/// An operation that went wrong. A write that did is never retried: whether it happened is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No room on the file system. Of a `Prepare`, an `Append` or a `Publish`, nothing is left behind.
    #[error("no space left on the disk")]
    Full,
    /// Fewer bytes than asked.
    #[error("only {bytes} bytes were transferred")]
    Short {
        /// How many.
        bytes: usize,
    },
    /// The operating system refused.
    #[error("the operating system says error {errno}")]
    Os {
        /// Its error number.
        errno: i32,
    },
}

/// How fast segments are prepared: each byte of them takes the disk from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the disk can.
    Full,
    /// The disk is left to others after each piece for as long as the piece took.
    Half,
    /// At most so many bytes a second; not zero.
    Bytes(u64),
}

/// A disk. Operations may complete in any order.
pub trait Storage {
    /// Begins an operation. The pipeline keeps no more than 64 open.
    fn submit(&mut self, id: OpId, op: StorageOp);

    /// Begins what was submitted now, and not at the turn's end: the pipeline goes on working meanwhile.
    fn start(&mut self) {}

    /// From now on, segments are prepared at this pace, also the one that is at work. At first the pace is full.
    fn pace(&mut self, pace: Pace);

    /// Moves what has completed to the end of `done`.
    fn completed(&mut self, done: &mut Vec<StorageDone>);
}
