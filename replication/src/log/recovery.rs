//! Recovery: from the files of a group to a log that can be written.

use alloc::vec::Vec;

use quorate_raft::Recovered;
use quorate_wire::{LogIndex, Position, Record, RecordHeader, Term};

use super::basis::{self, Basis};
use super::error::{Damage, RecoveryError};
use super::event::LogConfig;
use super::format::SegmentHeader;
use super::hole::Hole;
use super::index::{Before, Index, Spot};
use super::skip::Skip;
use super::superblock::{self, Found, Start, Superblock};
use super::walk::{Visitor, Walked, to_error, walk};
use super::{Log, Replay};
use crate::seam::{FileId, Files, FilesError, SegmentId, SnapshotId};
use crate::snapshot::SnapshotError;
use crate::state::Applied;

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
    /// The last record that the snapshot has that `replay` began with; zero if there was none.
    pub snapshot: LogIndex,
    /// Bytes of the live records behind it.
    pub bytes_behind: u64,
    /// Snapshots that are damaged, or of somebody else.
    pub unsound: Vec<(SnapshotId, SnapshotError)>,
    /// The log does not join the snapshot: it begins anew behind it.
    pub restarts: Option<Restart>,
    /// So many segments were passed over: a snapshot has what is in them.
    pub passed: usize,
    /// So many segments that lie ready were not read: nothing was under way when the last process stopped.
    pub ready_unread: usize,
    /// Files of segments before the log's start.
    released: Vec<SegmentId>,
}

/// Why a log begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// A snapshot was installed that is ahead of it, or tells of other records: those that were here were never committed.
    Installed,
    /// Its end was damaged before the snapshot's, so what was behind is lost.
    Damaged,
    /// It begins behind records that no sound snapshot covers: nothing can be made of it.
    StateLost,
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

/// Opens a log: checks every record, and tells `replay` of those behind the newest sound snapshot.
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
    let (found, basis) = begin(files, replay)?;
    go_through(files, config, replay, (found, basis), &Skip::default())
}

/// The same, but reads only what is of need now: not the segments that a snapshot covers, which are gone through when somebody reads in
/// them, and, after a stop on request, not those that lie ready. `None` if anything is odd: then [`recover`] finds out what it is, with
/// a fresh `replay`.
///
/// # Errors
/// As [`recover`].
pub fn recover_behind(
    files: &impl Files,
    config: LogConfig,
    replay: &mut impl Replay,
) -> Result<Option<Recovery>, RecoveryError> {
    let (found, basis) = begin(files, replay)?;
    let covered = basis.applied.position.index;
    let skip = Skip::find(files, &found.superblock, covered)?;
    let recovery = go_through(files, config, replay, (found, basis), &skip);
    if skip.is_nothing() {
        return recovery.map(Some);
    }
    let whole = |it: &Recovery| {
        let ended = it.cut.is_none() && it.log.reached == it.superblock.log;
        it.damaged.is_none() && it.restarts.is_none() && (skip.ready.is_empty() || ended)
    };
    Ok(recovery.ok().filter(whole))
}

/// The superblock, and the snapshot that `replay` begins with.
fn begin(files: &impl Files, replay: &mut impl Replay) -> Result<(Found, Basis), RecoveryError> {
    let found = superblock::find(files)?.ok_or(RecoveryError::SuperblockMissing { segments: 0 })?;
    let basis = basis::find(files, &found.superblock, replay)?;
    Ok((found, basis))
}

fn go_through(
    files: &impl Files,
    config: LogConfig,
    replay: &mut impl Replay,
    (mut found, basis): (Found, Basis),
    skip: &Skip,
) -> Result<Recovery, RecoveryError> {
    let superblock = found.superblock.clone();
    let mut replaying = Replaying::new(replay, basis.applied, &superblock);
    let mut walked = walk(files, &superblock, skip, &mut replaying)?;
    let restarts = replaying.restarts(&walked, superblock.start());
    if let Some(why) = restarts {
        replaying.begin_anew();
        let before = match why {
            Restart::Installed | Restart::Damaged => before(&basis.applied),
            Restart::StateLost => Before::default(),
        };
        found.superblock.start = walked.restart(&superblock, before);
    } else {
        walked.index.committed(replaying.commit);
    }
    let base = walked.index.base();
    let Replaying {
        terms,
        last,
        commit,
        damaged,
        bytes,
        ..
    } = replaying;
    let last_term = last.map_or(base.term, |last| last.term);
    let term = superblock.term.max(last_term);
    let raft = Recovered {
        term,
        vote: superblock.vote.filter(|_| superblock.term == term),
        start: Position {
            term: base.term,
            index: base.index,
        },
        terms,
        last: last.map_or(base.index, |last| last.index),
        members: Vec::new(),
        commit,
        unsure: superblock.unsure
            || walked.lost
            || restarts.is_some_and(|why| why != Restart::Installed),
    };
    let (cut, holes) = (walked.cut, walked.holes.clone());
    let released = core::mem::take(&mut walked.released);
    Ok(Recovery {
        log: Log::new(found, walked, basis.sound, config),
        superblock,
        raft,
        last,
        cut,
        damaged,
        holes,
        snapshot: basis.applied.position.index,
        bytes_behind: bytes,
        unsound: basis.unsound,
        restarts,
        passed: skip.passed.len(),
        ready_unread: skip.ready.len(),
        released,
    })
}

fn before(applied: &Applied) -> Before {
    Before {
        index: applied.position.index,
        next_offset: applied.next_offset,
        term: applied.position.term,
        header_crc: applied.header_crc,
    }
}

impl Walked {
    /// Forgets all that was found: the log begins anew behind this record, in a segment that was never there.
    fn restart(&mut self, superblock: &Superblock, before: Before) -> Start {
        let next = self.last_file.map(|last| SegmentId(last.0 + 1));
        let start = Start {
            segment: next.unwrap_or(superblock.start.segment),
            before,
        };
        *self = Self {
            index: Index::new(superblock.identity.group, before),
            prepared: Vec::new(),
            cut: None,
            closed: false,
            holes: Vec::new(),
            lost: false,
            longest: self.longest,
            last_file: None,
            released: Vec::new(),
        };
        start
    }
}

impl Recovery {
    /// Makes durable what recovery has decided: where the log begins, that its end was given up, and that it goes on. Then the files
    /// go that nobody needs any more. A crash in between leads to the same place.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn settle<F: Files>(&mut self, files: &mut F) -> Result<(), FilesError> {
        if self.restarts.is_some() {
            let unsure = self.raft.unsure;
            let start = self.log.keeper.superblock().start;
            self.log.keeper.restart(start, unsure, files)?;
            for segment in files.segments()? {
                files.remove(FileId::Segment(segment))?;
            }
        } else if self.damaged.is_some() && self.holes.is_empty() {
            self.give_up_end(files)?;
        }
        self.log.keeper.go_on(files)?;
        for segment in self.released.drain(..) {
            files.remove(FileId::Segment(segment))?;
        }
        for &(snapshot, _) in &self.unsound {
            files.remove(FileId::Snapshot(snapshot))?;
        }
        Ok(())
    }

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
            files.remove(FileId::Segment(segment))?;
        }
        Ok(())
    }
}

struct Replaying<'a, R> {
    replay: &'a mut R,
    /// What `replay` has from a snapshot.
    from: Applied,
    /// The log's last record so far at the snapshot's index is the snapshot's.
    joins: bool,
    /// The last record that `replay` was told.
    told: LogIndex,
    /// Bytes of the records that it was told.
    bytes: u64,
    /// For each term in the log its first index.
    terms: Vec<(Term, LogIndex)>,
    last: Option<RecordHeader>,
    commit: LogIndex,
    /// Behind damage, nothing is certain to be in its place.
    damaged: Option<Damaged>,
}

impl<'a, R: Replay> Replaying<'a, R> {
    fn new(replay: &'a mut R, from: Applied, superblock: &Superblock) -> Self {
        let covered = from.position.index;
        Self {
            replay,
            joins: before(&from).link() == superblock.start.before.link(),
            from,
            told: covered,
            bytes: 0,
            terms: Vec::new(),
            last: None,
            commit: covered,
            damaged: None,
        }
    }

    /// Whether the log has to begin anew, and why.
    fn restarts(&self, walked: &Walked, start: LogIndex) -> Option<Restart> {
        let covered = self.from.position.index;
        let last = walked.index.last().index;
        let joins = if walked.holes.is_empty() {
            self.joins
        } else {
            // What is missing is put back first, if that leads further than the snapshot.
            last >= covered
        };
        if covered < start {
            Some(Restart::StateLost)
        } else if joins {
            None
        } else if self.damaged.is_some() {
            Some(Restart::Damaged)
        } else {
            Some(Restart::Installed)
        }
    }

    /// Perhaps a term begins with this record.
    fn term_of(&mut self, header: &RecordHeader) {
        if self.terms.last().is_none_or(|run| run.0 < header.term) {
            self.terms.push((header.term, header.index));
        }
    }

    /// Forgets the log.
    fn begin_anew(&mut self) {
        assert!(
            self.told == self.from.position.index,
            "of a log that does not join, nothing was told"
        );
        self.terms.clear();
        self.last = None;
    }

    /// The record takes others' place.
    fn void(&mut self, index: LogIndex) {
        let covered = self.from.position.index;
        self.joins &= index > covered;
        while self.terms.pop_if(|run| run.1 >= index).is_some() {}
        let first = index.max(covered.next());
        if first <= self.told {
            self.replay.truncate(first);
            self.told = first.previous();
        }
    }
}

impl<R: Replay> Visitor for Replaying<'_, R> {
    fn segment(&mut self, header: &SegmentHeader) {
        // Behind damage, what was told may be void by records that are missing.
        let known = self.commit.next()..=self.told;
        if self.damaged.is_none() && known.contains(&header.commit) {
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
            self.void(header.index);
        }
        self.term_of(header);
        self.last = Some(*header);
        if header.index == self.from.position.index {
            self.joins = header.header_crc == self.from.header_crc;
        } else if header.index > self.told && self.joins {
            self.told = header.index;
            self.bytes += record.bytes().len() as u64;
            self.replay.append(record);
        }
    }

    fn passed(&mut self, first: &RecordHeader) {
        self.term_of(first);
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
