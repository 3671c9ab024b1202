//! Recovery: from the files of a group to a log that can be written.

use alloc::vec::Vec;

use quorate_raft::Recovered;
use quorate_wire::{LogIndex, Record, RecordHeader, Term};

use super::error::{Damage, RecoveryError};
use super::event::LogConfig;
use super::format::SegmentHeader;
use super::hole::Hole;
use super::index::Spot;
use super::superblock::{self, Superblock};
use super::walk::{Visitor, to_error, walk};
use super::{Log, Replay};
use crate::seam::{Files, FilesError, SegmentId};

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

impl From<Damaged> for RecoveryError {
    fn from(damaged: Damaged) -> Self {
        let Damaged {
            segment,
            position,
            why,
        } = damaged;
        Self::Damaged {
            segment,
            position,
            why,
        }
    }
}

/// A log that can be written, and what is in it.
#[derive(Debug)]
pub struct Recovery {
    /// The log.
    pub log: Log,
    /// The superblock.
    pub superblock: Superblock,
    /// What the Raft core starts from. Its `commit` is the last one that `replay` was told.
    pub raft: Recovered,
    /// Header of the last record.
    pub last: Option<RecordHeader>,
    /// What was cut off at the log's end.
    pub cut: Option<Cut>,
    /// The damage that was found first: the log is not whole. With `holes`, it can be read, and mended, but not written further.
    /// Without, its end is lost, and nobody knows what was there: see [`Recovery::give_up_end`].
    pub damaged: Option<Damaged>,
    /// What is missing in the middle.
    pub holes: Vec<Hole>,
}

/// Where a log is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// In which segment.
    pub segment: SegmentId,
    /// Where in its file.
    pub position: u64,
    /// What is wrong.
    pub why: Damage,
}

/// Opens a log: checks every record, and tells `replay` of each.
///
/// Damage is no error: behind it, `replay` is told nothing.
///
/// # Errors
/// The files cannot be read, are of another version or disk, the superblock is damaged, or files are cut or mixed up.
pub fn recover(
    files: &impl Files,
    config: LogConfig,
    replay: &mut impl Replay,
) -> Result<Recovery, RecoveryError> {
    let found = superblock::find(files)?.ok_or(RecoveryError::SuperblockMissing { segments: 0 })?;
    let superblock = found.superblock.clone();
    let mut replaying = Replaying {
        replay,
        terms: Vec::new(),
        last: None,
        commit: LogIndex(0),
        damaged: None,
    };
    let walked = walk(files, &superblock, &mut replaying)?;
    let Replaying {
        terms,
        last,
        commit,
        damaged,
        ..
    } = replaying;
    let last_term = last.map_or(Term(0), |last| last.term);
    let term = superblock.term.max(last_term);
    let raft = Recovered {
        term,
        vote: superblock.vote.filter(|_| superblock.term == term),
        terms,
        last: last.map_or(LogIndex(0), |last| last.index),
        commit,
        unsure: superblock.unsure || walked.lost,
    };
    let (cut, holes) = (walked.cut, walked.holes.clone());
    Ok(Recovery {
        log: Log::new(found, walked, config),
        superblock,
        raft,
        last,
        cut,
        damaged,
        holes,
    })
}

impl Recovery {
    /// Gives up the damaged end of a log: what was there may have been acknowledged. That is durable first, and then what is left
    /// of later segments goes, the last one first. A crash in between leaves a log that is given up at the same place.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn give_up_end<F: Files>(&mut self, files: &mut F) -> Result<(), FilesError> {
        assert!(
            self.damaged.is_some() && self.holes.is_empty(),
            "only a damaged end is given up"
        );
        self.log.forget_end(files)?;
        let last = self.log.last_segment();
        let left = files.segments()?.into_iter().rev();
        for segment in left.take_while(|&segment| Some(segment) > last) {
            files.remove(segment)?;
        }
        Ok(())
    }
}

struct Replaying<'a, R> {
    replay: &'a mut R,
    /// For each term in the log its first index.
    terms: Vec<(Term, LogIndex)>,
    last: Option<RecordHeader>,
    commit: LogIndex,
    /// Behind damage, nothing is certain to be in its place.
    damaged: Option<Damaged>,
}

impl<R: Replay> Visitor for Replaying<'_, R> {
    fn segment(&mut self, header: &SegmentHeader) {
        if self.damaged.is_none() && header.commit > self.commit {
            self.commit = header.commit;
            self.replay.commit(header.commit);
        }
    }

    fn record(&mut self, _: Spot, record: &Record<'_>, voids: bool) {
        if self.damaged.is_some() {
            return;
        }
        let header = record.header();
        if voids {
            self.replay.truncate(header.index);
            while self.terms.pop_if(|run| run.1 >= header.index).is_some() {}
        }
        if self.terms.last().is_none_or(|run| run.0 < header.term) {
            self.terms.push((header.term, header.index));
        }
        self.last = Some(*header);
        self.replay.append(record);
    }

    fn damage(&mut self, spot: Spot, why: Damage) -> Result<(), RecoveryError> {
        // What this build does not know is not damaged.
        if let error @ RecoveryError::Version { .. } = to_error(spot, why) {
            return Err(error);
        }
        self.damaged.get_or_insert(Damaged {
            segment: spot.segment,
            position: spot.position,
            why,
        });
        Ok(())
    }
}
