//! The log of a running node.
//!
//! Owns: every storage operation of a group, from submit to complete. Never: has more than one write of the log open; rewrites
//! a durable byte; goes on after a write that failed. Called by: the pipeline.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_wire::canary::{self, Canary};
use quorate_wire::{LogIndex, Time};

use super::ahead::{Ahead, Ready};
use super::error::{Fatal, NotHere, ReadError};
use super::event::{GroupCommit, LogConfig, LogEvent, Read};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::group::Group;
use super::index::{Before, Index, block_after};
use super::keeper::Keeper;
use super::mend::Mending;
use super::reader::{Progress, Reading};
use super::release::Going;
use super::seal::Seal;
use super::shelf::{Errand, Shelf};
use super::superblock::{Found, Reached, Superblock};
use super::survey::{Survey, Surveys};
use super::walk::Walked;
use crate::buffer::{Buffer, Slice};
use crate::seam::{
    FileId, Files, FilesError, OpId, SegmentId, SnapshotId, Storage, StorageDone, StorageError,
    StorageOp, StorageOutcome,
};

/// Most reads that are open on the disk; further ones wait, so that a write never waits for more. Two keep a disk busy.
const READS_OPEN_MAX: usize = 2;

/// What an open operation is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A part of the open group commit, or the header of the segment that it opens.
    Log,
    Superblock,
    Prepare,
    /// To seal a segment.
    Seal(SegmentId),
    Read(Reading),
    /// To know where the records of a segment are.
    Survey(Survey),
    /// For a hole; of a read, which block it reads.
    Mend(FileId, Option<(SegmentId, u64)>),
    /// For a snapshot.
    Snapshot(Errand),
    /// A file that nobody needs any more.
    Remove(FileId),
}

/// The log of one group on one disk, open for writing.
#[derive(Debug)]
pub struct Log {
    pub(super) index: Index,
    pub(super) keeper: Keeper,
    pub(super) ahead: Ahead,
    /// Whether nothing more may be written to the current segment: what is behind its last record is no room, but what a crash
    /// left of a write.
    cut: bool,
    pub(super) seal: Seal,
    pub(super) group: Option<Group>,
    /// Where the open group commit's writes end that are still to do, the last one first.
    parts: Vec<usize>,
    /// The log is durable up to here.
    pub(super) reached: Reached,
    /// It was just opened, with records in it.
    opened: bool,
    /// Reads that wait until others, or the open group commit, are over.
    reads: VecDeque<Reading>,
    pub(super) reads_open: usize,
    pub(super) surveys: Surveys,
    pub(super) open: Vec<(OpId, Purpose)>,
    pub(super) shelf: Shelf,
    pub(super) going: Going,
    /// The last operation's name.
    op: u64,
    /// Bytes of group commits.
    taken_up: u64,
    /// The hole that is being filled.
    pub(super) mending: Option<Mending>,
    /// Segments whose files were missing and have been made, each once.
    pub(super) made: Vec<SegmentId>,
    /// Length of a segment whose file was missing: as long as the longest that is there, or would be made.
    pub(super) segment_bytes: u64,
}

impl Log {
    pub(super) fn new(
        found: Found,
        walked: Walked,
        snapshots: Vec<(SnapshotId, u64)>,
        config: LogConfig,
    ) -> Self {
        let start = found.superblock.start;
        let Walked {
            index,
            prepared,
            cut,
            closed,
            holes: _,
            lost,
            longest,
            last_file: _,
            released: _,
        } = walked;
        let current = index.current().map(|segment| segment.id);
        let mut log = Self {
            index,
            keeper: Keeper::new(found),
            ahead: Ahead::new(config, start.segment, current, prepared),
            cut: (cut.is_some() && !canary::on(Canary::TornTailReused)) || lost || closed,
            seal: Seal::default(),
            group: None,
            parts: Vec::new(),
            opened: current.is_some(),
            reached: start.reached(),
            reads: VecDeque::new(),
            reads_open: 0,
            surveys: Surveys::default(),
            open: Vec::new(),
            shelf: Shelf::new(snapshots),
            going: Going::default(),
            op: 0,
            taken_up: 0,
            mending: None,
            made: Vec::new(),
            segment_bytes: longest.max(config.segment_bytes),
        };
        log.all_durable();
        log
    }

    /// The log ends where it ends now, and what was behind is lost: durable at once. Only before anything is under way.
    pub(super) fn forget_end<F: Files>(&mut self, files: &mut F) -> Result<(), FilesError> {
        self.keeper.forget_end(self.reached, files)
    }

    /// The last segment that is in use or can be.
    pub(super) fn last_segment(&self) -> Option<SegmentId> {
        self.ahead
            .last()
            .or_else(|| self.index.current().map(|segment| segment.id))
    }

    /// Whether a group commit of so many bytes can be written now: there is room in the current or in a prepared segment.
    #[must_use]
    pub fn fits(&self, bytes: usize) -> bool {
        self.has_room(bytes) || self.ahead.takes(bytes as u64)
    }

    /// Whether a group commit is open: there is at most one at a time.
    #[must_use]
    pub fn writing(&self) -> bool {
        self.group.is_some()
    }

    /// Begins a group commit; `Durable` follows.
    ///
    /// # Panics
    /// Another one is open, it does not fit, or its records do not continue the log.
    pub fn write(&mut self, commit: GroupCommit<'_>, storage: &mut impl Storage) {
        assert!(!self.writing(), "one group commit is open at a time");
        assert!(!self.keeper.has_ended(), "nothing is behind a log's end");
        let header = (!self.has_room(commit.bytes.len())).then(|| self.roll(commit.commit));
        self.taken_up += commit.bytes.len() as u64;
        let mut group = Group::place(&commit, &mut self.index, &mut self.parts);
        // The header is durable before the first record: a record shows that everything before it is there.
        let first = header.or_else(|| group.next(&mut self.parts));
        self.submit(Purpose::Log, first.expect("a group has a part"), storage);
        self.group = Some(group);
    }

    /// From now on, segments that come into use get sums, so that their files need no zeros when they are used again: no member is
    /// of a build that could not read that.
    pub fn keep_sums(&mut self) {
        self.ahead.keep_sums();
    }

    /// All records up to here are committed: they will never be void.
    pub fn committed(&mut self, upto: LogIndex) {
        self.index.committed(upto);
    }

    /// Reads records; `Read` or `ReadVoid` follows.
    ///
    /// # Errors
    /// The first record is not in the log, not yet durable, or past `through`.
    pub fn read(&mut self, read: Read, storage: &mut impl Storage) -> Result<(), NotHere> {
        let reading = Reading::begin(read, &self.index).ok_or(NotHere)?;
        self.submit_read(reading, storage);
        Ok(())
    }

    /// Takes what the disk has completed. All operations of this log come here.
    ///
    /// # Errors
    /// A write failed, and the node must stop.
    pub fn completed(
        &mut self,
        done: StorageDone,
        storage: &mut impl Storage,
        events: &mut Vec<LogEvent>,
    ) -> Result<(), Fatal> {
        let open = self.open.iter().position(|open| open.0 == done.id);
        let open = open.expect("what completes was submitted");
        match self.open.swap_remove(open).1 {
            Purpose::Log => {
                written(self.writing_to(), done.result)?;
                self.write_on(storage, events);
            }
            Purpose::Superblock => {
                written(FileId::Superblock, done.result)?;
                if let Some(op) = self.keeper.written(self.reached, events) {
                    self.submit(Purpose::Superblock, op, storage);
                }
                self.begin_at_start(events);
            }
            Purpose::Prepare => self.prepared(done.result, storage, events)?,
            Purpose::Seal(segment) => {
                written(FileId::Segment(segment), done.result)?;
                self.seal.written();
            }
            Purpose::Read(reading) => self.read_on(reading, done.result, storage, events),
            Purpose::Survey(survey) => self.survey_on(survey, done.result, storage, events),
            Purpose::Mend(file, edge) => self.mend_on(file, edge, done.result, storage, events)?,
            Purpose::Snapshot(errand) => self.errand_done(errand, done.result, events)?,
            Purpose::Remove(file) => self.removed(file, done.result)?,
        }
        Ok(())
    }

    /// Prepares segments ahead of need. The first time, it also has the superblock say how far the log was when it was opened: what
    /// is lost of that later, the next start finds missing.
    pub fn tend(&mut self, now: Time, storage: &mut impl Storage) {
        if core::mem::take(&mut self.opened) {
            self.note_reached(storage);
        }
        if let Some(op) = self.seal.next(SegmentId(self.reached.segment)) {
            let segment = self.seal.segment().expect("one is being sealed");
            self.submit(Purpose::Seal(segment), op, storage);
        }
        self.clear_away(storage);
        if let Some(pace) = self.ahead.new_pace(now, self.taken_up) {
            storage.pace(pace);
        }
        if let Some(op) = self.ahead.tend(now) {
            self.submit(Purpose::Prepare, op, storage);
        }
    }

    /// Has the superblock say how far the log is durable now: what is lost of that, the next start finds missing.
    pub fn note_reached(&mut self, storage: &mut impl Storage) {
        if let Some(op) = self.keeper.note(self.reached) {
            self.submit(Purpose::Superblock, op, storage);
        }
    }

    /// Its process is about to stop, and nothing is written any more: has the superblock say so. The next start then knows without
    /// reading them that the segments that lie ready hold nothing.
    ///
    /// # Panics
    /// A group commit is open, or a hole is being filled.
    pub fn end(&mut self, storage: &mut impl Storage) {
        assert!(!self.writing(), "what is under way is over first");
        assert!(self.mending.is_none(), "a log with holes has no known end");
        if let Some(op) = self.keeper.end(self.reached) {
            self.submit(Purpose::Superblock, op, storage);
        }
    }

    /// Whether the superblock on the disk is as it shall be.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        self.keeper.is_settled()
    }

    /// When [`tend`](Self::tend) wants to be called; the end of time if nothing is to be done.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.ahead.deadline()
    }

    /// Bytes of all segments in use, up to their last records.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.index.bytes()
    }

    /// Bytes of segments that lie ready.
    #[must_use]
    pub fn ready_bytes(&self) -> u64 {
        self.ahead.bytes()
    }

    /// Bytes of group commits, but for those that were forgotten.
    #[must_use]
    pub fn taken_up(&self) -> u64 {
        self.taken_up
    }

    /// Counts so many of them no more.
    pub fn forget_taken_up(&mut self, bytes: u64) {
        self.taken_up -= bytes;
    }

    /// The superblock as it shall be: its last change may still be on the way to the disk.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        self.keeper.superblock()
    }

    fn has_room(&self, bytes: usize) -> bool {
        !self.cut
            && self.index.current().is_some_and(|current| {
                block_after(current.end) + bytes as u64 <= current.extent.room
            })
    }

    /// The next segment comes into use. Returns the write of its header.
    fn roll(&mut self, commit: LogIndex) -> StorageOp {
        let Ready {
            segment,
            extent,
            reused,
        } = self.ahead.pop();
        let Before {
            index,
            next_offset,
            header_crc,
            ..
        } = self.index.last();
        let header = SegmentHeader {
            identity: self.superblock().identity,
            segment,
            segment_bytes: extent.file,
            first_index: index.next(),
            first_offset: next_offset,
            previous: header_crc,
            previous_end: self.index.current().map_or(0, |current| current.end),
            commit: commit.min(index),
            sums: extent.room < extent.file,
        };
        let mut block = Buffer::zeroed(SEGMENT_HEADER_BYTES);
        header.encode(&mut block);
        let before = self.index.current();
        let before = before.map(|before| (before.extent, before.end));
        let identity = &header.identity;
        self.seal.roll((segment, extent), reused, before, identity);
        self.index.open(segment, extent);
        self.cut = false;
        StorageOp::Write {
            file: FileId::Segment(segment),
            position: 0,
            bytes: Slice::new(Arc::new(block), 0..SEGMENT_HEADER_BYTES),
        }
    }

    /// Writes what is left of the open group commit.
    fn write_on(&mut self, storage: &mut impl Storage, events: &mut Vec<LogEvent>) {
        let group = self.group.as_mut().expect("a group commit is open");
        if let Some(op) = group.next(&mut self.parts) {
            return self.submit(Purpose::Log, op, storage);
        }
        events.push(LogEvent::Durable(group.mark));
        self.sum();
        self.group = None;
        self.all_durable();
        self.submit_reads(storage);
    }

    fn all_durable(&mut self) {
        self.index.all_durable();
        let start = self.keeper.start();
        self.reached = self.index.current().map_or_else(
            || start.reached(),
            |current| Reached::new(current.id, current.end),
        );
    }

    fn writing_to(&self) -> FileId {
        let group = self.group.as_ref().expect("a group commit is open");
        FileId::Segment(group.segment())
    }

    fn read_on(
        &mut self,
        reading: Reading,
        result: Result<StorageOutcome, StorageError>,
        storage: &mut impl Storage,
        events: &mut Vec<LogEvent>,
    ) {
        self.reads_open -= 1;
        let token = reading.token();
        let progress = match result {
            Ok(StorageOutcome::Read(buffer)) => reading.take(buffer, &self.index),
            Ok(_) => unreachable!("a read ends as one"),
            Err(error) => Err(reading.failed(error)),
        };
        match progress {
            // Somebody waits for it already.
            Ok(Progress::Again(reading)) => {
                if let Some(reading) = self.wait_for_survey(reading) {
                    self.reads.push_front(reading);
                }
            }
            Ok(Progress::Done(records)) => events.push(read_event(token, Ok(records))),
            Ok(Progress::Void) => events.push(LogEvent::ReadVoid { token }),
            Err(error) => events.push(read_event(token, Err(error))),
        }
        self.submit_reads(storage);
    }

    pub(super) fn submit_read(&mut self, reading: Reading, storage: &mut impl Storage) {
        let ready = self.wait_for_survey(reading);
        self.reads.extend(ready);
        self.submit_reads(storage);
    }

    /// Submits reads while no group commit is open: producers wait for that, and one disk does both.
    pub(super) fn submit_reads(&mut self, storage: &mut impl Storage) {
        while !self.writing()
            && self.reads_open < READS_OPEN_MAX
            && let Some((purpose, op)) = self.next_piece().or_else(|| self.next_read())
        {
            self.reads_open += 1;
            self.submit(purpose, op, storage);
        }
    }

    fn next_read(&mut self) -> Option<(Purpose, StorageOp)> {
        let reading = self.reads.pop_front()?;
        let op = reading.op();
        Some((Purpose::Read(reading), op))
    }

    /// The first segment that somebody reads in, or is about to.
    pub(super) fn read_in(&self) -> Option<SegmentId> {
        let open = self.open.iter().filter_map(|(_, purpose)| match purpose {
            Purpose::Read(reading) => Some(reading.segment()),
            Purpose::Log
            | Purpose::Superblock
            | Purpose::Prepare
            | Purpose::Survey(_)
            | Purpose::Seal(_)
            | Purpose::Mend(..)
            | Purpose::Snapshot(_)
            | Purpose::Remove(_) => None,
        });
        open.chain(self.reads.iter().map(Reading::segment))
            .chain(self.surveyed_in())
            .min()
    }

    pub(super) fn submit(&mut self, purpose: Purpose, op: StorageOp, storage: &mut impl Storage) {
        self.op += 1;
        let id = OpId(self.op);
        self.open.push((id, purpose));
        storage.submit(id, op);
    }
}

fn read_event(token: u64, result: Result<super::ReadRecords, ReadError>) -> LogEvent {
    LogEvent::Read { token, result }
}

/// A write that is not known to have happened ends everything.
fn written(what: FileId, result: Result<StorageOutcome, StorageError>) -> Result<(), Fatal> {
    match result {
        Ok(StorageOutcome::Written) => Ok(()),
        Ok(_) => unreachable!("a write ends as one"),
        Err(_) if canary::on(Canary::WriteErrorIgnored) => Ok(()),
        Err(error) => Err(Fatal::WriteFailed { what, error }),
    }
}
