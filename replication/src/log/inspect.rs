//! Looking at a log that no node has open.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, Offset, Record, Term};

use super::basis;
use super::error::{Damage, RecoveryError};
use super::format::SegmentHeader;
use super::index::{Index, Spot};
use super::recovery::Cut;
use super::skip::Skip;
use super::superblock;
use super::walk::{Visitor, to_error, walk};
use crate::seam::{Files, SegmentId, SnapshotId};
use crate::snapshot::SnapshotError;

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
    /// The record before the log begins; zero if nothing has been released.
    pub start: LogIndex,
    /// The first offset that it has.
    pub start_offset: Offset,
    /// Segments that lie ready.
    pub ready: u64,
    /// Term of the last one.
    pub last_term: Term,
    /// Places that are damaged.
    pub damaged: u64,
}

/// Shows every segment and every record, and goes on behind damage where it can. Which records are void is certain only if
/// nothing is damaged.
///
/// # Errors
/// The files cannot be read, are of another version or disk, or the superblock is missing or damaged.
pub fn inspect(
    files: &impl Files,
    visit: &mut dyn FnMut(Inspected<'_>),
) -> Result<Summary, RecoveryError> {
    let found = superblock::find(files)?.ok_or(RecoveryError::SuperblockMissing { segments: 0 })?;
    // Whether a record is void is known only at the end.
    let index = walk(files, &found.superblock, &Skip::default(), &mut Blind)?.index;
    let mut looking = Looking {
        index: &index,
        visit,
        summary: Summary::default(),
    };
    let walked = walk(files, &found.superblock, &Skip::default(), &mut looking)?;
    if let Some(cut) = walked.cut {
        (looking.visit)(Inspected::Cut(cut));
    }
    let base = walked.index.base();
    Ok(Summary {
        start: base.index,
        start_offset: base.next_offset,
        ready: walked.prepared.len() as u64,
        ..looking.summary
    })
}

/// A snapshot in a log's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedSnapshot {
    /// Its name.
    pub snapshot: SnapshotId,
    /// How long it is.
    pub bytes: u64,
    /// Why it is none.
    pub wrong: Option<SnapshotError>,
}

/// Goes through all snapshots, by rising index.
///
/// # Errors
/// The files cannot be read.
pub fn inspect_snapshots(files: &impl Files) -> Result<Vec<InspectedSnapshot>, RecoveryError> {
    let inspected = |snapshot| {
        let bytes = files.snapshot(snapshot)?;
        let bytes = bytes.as_ref();
        Ok(InspectedSnapshot {
            snapshot,
            bytes: bytes.len() as u64,
            wrong: basis::check(bytes, snapshot).err(),
        })
    };
    let snapshots = files.snapshots().map_err(RecoveryError::Files)?;
    let all: Result<_, _> = snapshots.into_iter().map(inspected).collect();
    all.map_err(RecoveryError::Files)
}

/// Shows the records that are not void, in order.
///
/// # Errors
/// The files cannot be read, or are damaged.
pub fn live_records(
    files: &impl Files,
    visit: &mut dyn FnMut(&Record<'_>),
) -> Result<(), RecoveryError> {
    let found = superblock::find(files)?.ok_or(RecoveryError::SuperblockMissing { segments: 0 })?;
    let (superblock, skip) = (&found.superblock, &Skip::default());
    let mut strict = Strict { index: None, visit };
    let index = walk(files, superblock, skip, &mut strict)?.index;
    strict.index = Some(&index);
    walk(files, superblock, skip, &mut strict).map(drop)
}

/// Sees nothing, and goes on.
struct Blind;

impl Visitor for Blind {
    fn segment(&mut self, _: &SegmentHeader) {}

    fn record(&mut self, _: Spot, _: &Record<'_>, _: bool) {}

    fn damage(&mut self, _: Spot, _: Damage) -> Result<(), RecoveryError> {
        Ok(())
    }
}

struct Looking<'a> {
    index: &'a Index,
    visit: &'a mut dyn FnMut(Inspected<'_>),
    summary: Summary,
}

impl Visitor for Looking<'_> {
    fn segment(&mut self, header: &SegmentHeader) {
        self.summary.segments += 1;
        (self.visit)(Inspected::Segment(header));
    }

    fn record(&mut self, spot: Spot, record: &Record<'_>, _: bool) {
        let void = !self.index.lives(spot);
        if !void {
            let header = record.header();
            if self.summary.records == 0 {
                self.summary.first = header.index;
            }
            self.summary.records += 1;
            self.summary.events += u64::from(header.event_count);
            self.summary.last = header.index;
            self.summary.last_term = header.term;
        }
        (self.visit)(Inspected::Record {
            segment: spot.segment,
            position: spot.position,
            record: *record,
            void,
        });
    }

    fn damage(&mut self, spot: Spot, why: Damage) -> Result<(), RecoveryError> {
        self.summary.damaged += 1;
        (self.visit)(Inspected::Damage {
            segment: spot.segment,
            position: spot.position,
            why,
        });
        Ok(())
    }
}

/// Shows what is not void, once the index is known.
struct Strict<'a> {
    index: Option<&'a Index>,
    visit: &'a mut dyn FnMut(&Record<'_>),
}

impl Visitor for Strict<'_> {
    fn segment(&mut self, _: &SegmentHeader) {}

    fn record(&mut self, spot: Spot, record: &Record<'_>, _: bool) {
        if self.index.is_some_and(|index| index.lives(spot)) {
            (self.visit)(record);
        }
    }

    fn damage(&mut self, spot: Spot, why: Damage) -> Result<(), RecoveryError> {
        Err(to_error(spot, why))
    }
}
