//! Recovery.

use quorate_raft::Recovered;
use quorate_wire::RecordHeader;

use super::error::RecoveryError;
use super::event::LogConfig;
use super::{Log, Replay, Superblock};
use crate::seam::{Files, SegmentId};

/// What was at a log's end and never finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// In which segment.
    pub segment: SegmentId,
    /// Where the log ends in its file.
    pub position: u64,
    /// How many bytes behind it are void.
    pub bytes: u64,
}

/// A log that can be written, and what is in it.
#[derive(Debug)]
pub struct Recovery {
    /// The log.
    pub log: Log,
    /// The superblock.
    pub superblock: Superblock,
    /// What the Raft core starts from.
    pub raft: Recovered,
    /// Header of the last record.
    pub last: Option<RecordHeader>,
    /// What was cut off at the log's end.
    pub cut: Option<Cut>,
}

/// Opens a log: checks every record, and tells `replay` of each.
///
/// # Errors
/// The files cannot be read, or are damaged.
pub fn recover(
    files: &impl Files,
    config: LogConfig,
    replay: &mut impl Replay,
) -> Result<Recovery, RecoveryError> {
    let _ = (files, config, replay);
    unimplemented!()
}
