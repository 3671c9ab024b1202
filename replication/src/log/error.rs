//! What can be wrong with the files of a log, each with its stable code.

use quorate_wire::{ErrorCode, GroupId, LogIndex, Offset, RecordError, Term};

use super::superblock::Identity;
use crate::seam::{FileId, FilesError, SegmentId, StorageError};

/// Why a block is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The file is shorter or longer than it should be.
    #[error("{found} bytes where {expected} are expected")]
    Length {
        /// How many it should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// It does not begin with its magic.
    #[error("the magic is {found:#010x}")]
    Magic {
        /// What is there.
        found: u32,
    },
    /// The checksum does not fit.
    #[error("the checksum is {found:#010x}, its bytes give {computed:#010x}")]
    Checksum {
        /// What the block says.
        found: u32,
        /// What its bytes say.
        computed: u32,
    },
    /// A version that this build does not read.
    #[error("version {found}, which this build does not read")]
    Version {
        /// The version.
        found: u32,
    },
    /// A field is out of range.
    #[error("the field {0} is out of range")]
    Field(&'static str),
}

/// How bytes that were durable have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The segment's header is unsound.
    #[error("the segment's header: {0}")]
    Header(FormatError),
    /// A segment is not there, and later ones are.
    #[error("the file is missing")]
    Missing,
    /// The segment's header contradicts the log before it, or the file it stands in.
    #[error("the segment's header and the log before it disagree on {0}")]
    Joint(&'static str),
    /// A record is unsound, and nothing says that it was never finished.
    #[error("{0}")]
    Record(RecordError),
    /// A record of another group.
    #[error("a record of group {found}")]
    Group {
        /// The group.
        found: GroupId,
    },
    /// A record is missing.
    #[error("the record has index {found}, and the one before it {last}")]
    Index {
        /// Index of the record.
        found: LogIndex,
        /// The last index before it.
        last: LogIndex,
    },
    /// A record stands where one that is known to be committed stood.
    #[error("the record at index {index} replaces a committed one")]
    Committed {
        /// The index.
        index: LogIndex,
    },
    /// A record that is in the log already: a write went astray.
    #[error("the record at index {index} is here a second time")]
    Twice {
        /// The index.
        index: LogIndex,
    },
    /// A record does not carry the checksum of the one before it.
    #[error("the record at index {index} does not continue the chain")]
    Chain {
        /// The index.
        index: LogIndex,
    },
    /// A record's first offset is not the next one.
    #[error("the record's offset is {found} where {expected} is next")]
    Offset {
        /// What the record says.
        found: Offset,
        /// What comes next.
        expected: Offset,
    },
    /// A record's term is below the one before it.
    #[error("the record's term is {found}, and the one before it has {before}")]
    Term {
        /// Its term.
        found: Term,
        /// The term of the one before it.
        before: Term,
    },
    /// The log ends before a place that is known to have been durable.
    #[error("the log ends here, and was durable up to byte {position} of segment {segment}")]
    EndsEarly {
        /// Up to which segment.
        segment: u64,
        /// Up to which byte of it.
        position: u64,
    },
    /// Zeros where a record was.
    #[error("the bytes are zero, and what follows them was written after them")]
    Lost,
    /// Bytes that are no record, and nothing says that they were never finished.
    #[error("the bytes are no record, and not zero")]
    Stray,
}

/// Why a log cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// A file cannot be read.
    #[error(
        "{0}; cure: see that the node's user may read and write the data directory, and that the disk is sound"
    )]
    Files(FilesError),
    /// There is no superblock.
    #[error(
        "the superblock is missing beside {segments} segments of a log; cure: keep the directory and the other nodes \
         running, and replace the node (docs/runbooks/damaged-disk.md); an older copy of the file may have forgotten a vote"
    )]
    SuperblockMissing {
        /// How many segments there are.
        segments: usize,
    },
    /// Both copies of the superblock are damaged.
    #[error(
        "both copies of the superblock are damaged (the first: {a}; the second: {b}); cure: keep the directory and the \
         other nodes running, and replace the node (docs/runbooks/damaged-disk.md)"
    )]
    SuperblockDamaged {
        /// What is wrong with the first copy.
        a: FormatError,
        /// What is wrong with the second copy.
        b: FormatError,
    },
    /// The log begins behind records that no sound snapshot covers.
    #[error(
        "no sound snapshot has what the records before the log's start amount to; cure: replace the disk if it is failing, restore \
         the data directory; nobody else has this group's log"
    )]
    StateLost,
    /// Bytes that were durable have changed.
    #[error(
        "segment {} of the log is damaged at byte {position}: {why}; cure: keep the directory and the other nodes running; move a \
         file away that was cut or has another's number: what is missing is fetched from them (docs/runbooks/damaged-disk.md)",
        segment.0
    )]
    Damaged {
        /// Which segment.
        segment: SegmentId,
        /// Where in its file.
        position: u64,
        /// What is wrong.
        why: Damage,
    },
    /// A file of another version.
    #[error("{} is of version {found}, which this build does not read; cure: start the build of Quorate that wrote it, or a later one", name(*file))]
    Version {
        /// Which file.
        file: FileId,
        /// Its version.
        found: u32,
    },
    /// A segment that was written by another disk than the superblock's.
    #[error(
        "segment {} belongs to cluster {}, node {}, disk {}, and the superblock to cluster {}, node {}, disk {}; cure: do not \
         mix the files of several data directories",
        segment.0, found.cluster, found.node, found.disk, expected.cluster, expected.node, expected.disk
    )]
    Identity {
        /// Which segment.
        segment: SegmentId,
        /// Who the superblock says the disk is.
        expected: Identity,
        /// Who the segment says it is.
        found: Identity,
    },
}

impl RecoveryError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Files(_) => ErrorCode::DataUnwritable,
            Self::SuperblockMissing { .. } | Self::SuperblockDamaged { .. } => {
                ErrorCode::SuperblockDamaged
            }
            Self::StateLost => ErrorCode::SnapshotsDamaged,
            Self::Damaged { .. } => ErrorCode::LogDamaged,
            Self::Version { .. } => ErrorCode::DataVersion,
            Self::Identity {
                expected, found, ..
            } => {
                if expected.cluster == found.cluster {
                    ErrorCode::DataOfAnotherNode
                } else {
                    ErrorCode::DataOfAnotherCluster
                }
            }
        }
    }
}

/// A reason to stop the node at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// A write did not become durable. It is never tried again: whether it happened is unknown.
    #[error(
        "writing {} failed: {error}; the node stops, for it can no longer promise what it acknowledges; cure: look at the \
         disk (dmesg, smartctl), then start the node again",
        name(*what)
    )]
    WriteFailed {
        /// Which file.
        what: FileId,
        /// How it failed.
        error: StorageError,
    },
}

impl Fatal {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::WriteFailed { .. } => ErrorCode::WriteFailed,
        }
    }

    /// The exit status of the node that stops for it.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        self.code()
            .exit_status()
            .expect("the codes of a failing disk end a process")
    }
}

/// A read that cannot be answered: this copy of the log is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The operating system could not read.
    #[error("segment {} cannot be read at byte {position}: {error}", segment.0)]
    Failed {
        /// Which segment.
        segment: SegmentId,
        /// Where in its file.
        position: u64,
        /// How it failed.
        error: StorageError,
    },
    /// What was read is not what was written.
    #[error("segment {} is damaged at byte {position}: {why}", segment.0)]
    Damaged {
        /// Which segment.
        segment: SegmentId,
        /// Where in its file.
        position: u64,
        /// What is wrong.
        why: Damage,
    },
}

/// No such record is in the log and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such record is durable here")]
pub struct NotHere;

struct Name(FileId);

fn name(file: FileId) -> Name {
    Name(file)
}

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            FileId::Superblock => f.write_str("the superblock"),
            FileId::Segment(segment) => write!(f, "segment {} of the log", segment.0),
            FileId::Snapshot(snapshot) => write!(f, "the snapshot at index {}", snapshot.0),
        }
    }
}
