//! Recovery: from the files of a group to a log that can be written.

use alloc::vec::Vec;

use quorate_raft::Recovered;
use quorate_wire::{LogIndex, Record, RecordHeader, Term};

use super::error::{Damage, RecoveryError};
use super::event::LogConfig;
use super::format::SegmentHeader;
use super::index::Spot;
use super::superblock::{self, Superblock};
use super::walk::{Visitor, to_error, walk};
use super::{Log, Replay};
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
    /// What the Raft core starts from. Its `commit` is the last one that `replay` was told.
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
    let found = superblock::find(files)?.ok_or(RecoveryError::SuperblockMissing { segments: 0 })?;
    let superblock = found.superblock.clone();
    let mut replaying = Replaying {
        replay,
        terms: Vec::new(),
        last: None,
        commit: LogIndex(0),
    };
    let walked = walk(files, &superblock, &mut replaying)?;
    let Replaying {
        terms,
        last,
        commit,
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
        unsure: superblock.unsure,
    };
    let cut = walked.cut;
    Ok(Recovery {
        log: Log::new(found, walked, config),
        superblock,
        raft,
        last,
        cut,
    })
}

struct Replaying<'a, R> {
    replay: &'a mut R,
    /// For each term in the log its first index.
    terms: Vec<(Term, LogIndex)>,
    last: Option<RecordHeader>,
    commit: LogIndex,
}

impl<R: Replay> Visitor for Replaying<'_, R> {
    fn segment(&mut self, header: &SegmentHeader) {
        if header.commit > self.commit {
            self.commit = header.commit;
            self.replay.commit(header.commit);
        }
    }

    fn record(&mut self, _: Spot, record: &Record<'_>, voids: bool) {
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
        Err(to_error(spot, why))
    }
}
