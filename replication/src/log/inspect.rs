//! Looking at a log that no node has open.

use quorate_wire::{LogIndex, Record, Term};

use super::error::{Damage, RecoveryError};
use super::format::SegmentHeader;
use super::recovery::Cut;
use crate::seam::{Files, SegmentId};

/// Something in a log's files.
#[derive(Debug)]
pub enum Inspected<'a> {
    /// A segment begins.
    Segment(&'a SegmentHeader),
    /// A record.
    Record {
        /// In which segment.
        segment: SegmentId,
        /// Where in its file.
        position: u64,
        /// The record.
        record: Record<'a>,
        /// Whether a later record has taken its place.
        void: bool,
    },
    /// An end that was never finished.
    Cut(Cut),
    /// Damage; it goes on with the next record that can be found.
    Damage {
        /// In which segment.
        segment: SegmentId,
        /// Where in its file.
        position: u64,
        /// What is wrong.
        why: Damage,
    },
}

/// What is in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segments in use.
    pub segments: u64,
    /// Records that are not void.
    pub records: u64,
    /// Events in them.
    pub events: u64,
    /// Index of the first one; zero if there is none.
    pub first: LogIndex,
    /// Index of the last one; zero if there is none.
    pub last: LogIndex,
    /// Term of the last one.
    pub last_term: Term,
    /// Places that are damaged.
    pub damaged: u64,
}

/// Shows every segment and every record, and goes on behind damage where it can.
///
/// # Errors
/// The files cannot be read, or the superblock is damaged.
pub fn inspect(
    files: &impl Files,
    visit: &mut dyn FnMut(Inspected<'_>),
) -> Result<Summary, RecoveryError> {
    let _ = (files, visit);
    unimplemented!()
}

/// Shows the records that are not void, in order.
///
/// # Errors
/// The files cannot be read, or are damaged.
pub fn live_records(
    files: &impl Files,
    visit: &mut dyn FnMut(&Record<'_>),
) -> Result<(), RecoveryError> {
    let _ = (files, visit);
    unimplemented!()
}
