//! The log on the disk: segments, superblock, recovery, and reading back.
//!
//! Owns: the bytes of a group's files, and which of them are true. Never: a durable byte again, once it is written. Called by:
//! the pipeline, and the commands that look at a log at rest. The specification is `docs/log-format.md`.

mod ahead;
mod basis;
mod behind;
mod error;
mod event;
mod filling;
mod format;
mod gap;
mod group;
mod hole;
mod index;
mod inspect;
mod keeper;
#[expect(
    clippy::module_inception,
    reason = "the log's files are told by what is in them, and one is the log"
)]
mod log;
mod mend;
mod opened;
mod passed;
mod reader;
mod recovery;
mod release;
mod replay;
mod seal;
mod seen;
mod segment;
mod shelf;
mod skip;
mod sums;
mod superblock;
mod survey;
mod tail;
mod walk;

pub use error::{Damage, Fatal, FormatError, NotHere, ReadError, RecoveryError};
pub use event::{From, GroupCommit, LogConfig, LogEvent, Place, Read, ReadRecords, SnapshotEvent};
pub use format::{
    SECTOR_BYTES, SEGMENT_HEADER_BYTES, SEGMENT_MAGIC, SegmentHeader, WRITE_BYTES_MAX,
};
pub use hole::{Hole, Link, Needs};
pub use inspect::{
    Inspected, InspectedSnapshot, Summary, inspect, inspect_snapshots, live_records,
};
pub use log::Log;
pub use mend::NoRoom;
pub use reader::READ_BYTES_MAX;
pub use recovery::{Cut, Damaged, Recovery, Restart, recover, recover_behind};
pub use release::Retention;
pub use replay::Replay;
pub use superblock::{
    COPIES, COPY_BYTES, Identity, LOG_VERSION, SUPERBLOCK_MAGIC, Superblock, format,
    read_superblock,
};
