//! Where the log begins: old records go when a snapshot has what they amount to.
//!
//! First the superblock says where the log begins; when that is durable, nothing before is found any more; when nobody reads in
//! the segments before it, their files are used again for segments to come, or removed, one after another. A crash between
//! leaves files before the log's start, which the next start removes. Owns: the order of that. Called by: the log.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use quorate_wire::{LogIndex, Offset, Term};

use super::error::Fatal;
use super::event::LogEvent;
use super::hole::{Hole, Needs};
use super::index::Index;
use super::log::{Log, Purpose};
use super::segment::Segment;
use super::superblock::Start;
use crate::seam::{FileId, SegmentId, Storage, StorageError, StorageOp, StorageOutcome};

/// What of a log must stay. What need not, goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Snapshots have all up to here.
    pub covered: LogIndex,
    /// A segment may go if so many bytes of the log are left without it.
    pub bytes: u64,
    /// A segment may go if its last record is older than this log time.
    pub since: u64,
}

/// Files that are to be removed.
#[derive(Debug, Default)]
pub(super) struct Going {
    files: VecDeque<FileId>,
    removing: bool,
}

impl Going {
    pub(super) fn add(&mut self, file: FileId) {
        self.files.push_back(file);
    }
}

impl Log {
    /// The first offset that the log has.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.index.base().next_offset
    }

    /// The record before the log begins.
    #[must_use]
    pub fn start(&self) -> LogIndex {
        self.index.base().index
    }

    /// Lets old segments go, if any may; `Released` follows.
    pub fn release(&mut self, retention: &Retention, storage: &mut impl Storage) {
        // One after another.
        if self.keeper.superblock().start != self.keeper.start() {
            return;
        }
        let all = self.bytes();
        let (start, unread) = self.index.start_behind(retention.covered, |bytes, newest| {
            all - bytes >= retention.bytes || newest < retention.since
        });
        // Segments that are gone by the superblock may still be there, and less of them be let go this time.
        let begins = self.keeper.start().segment;
        if let Some(start) = start.filter(|start| start.segment > begins)
            && let Some(op) = self.keeper.store_start(start, self.reached)
        {
            self.submit(Purpose::Superblock, op, storage);
        }
        if let Some(unread) = unread.filter(|&unread| unread > begins) {
            self.begin_survey(unread);
            self.submit_reads(storage);
        }
    }

    /// The superblock is durable: perhaps it says that the log begins later.
    pub(super) fn begin_at_start(&mut self, events: &mut Vec<LogEvent>) {
        let start = self.keeper.start();
        if start.before.index > self.index.base().index {
            self.index.begin_at(&start);
            let upto = start.before.index;
            events.push(LogEvent::Released { upto });
        }
    }

    /// Has the log begin behind a hole, if others have let go what is missing, and a snapshot has what it amounts to. Says whether it
    /// does; `Released` follows.
    pub fn begin_behind(
        &mut self,
        hole: &Hole,
        (let_go, covered): (LogIndex, LogIndex),
        storage: &mut impl Storage,
    ) -> bool {
        let missing = match hole.needs() {
            Needs::Nothing => return false,
            Needs::Records(link) => link.index,
            Needs::Unknown(index) => index,
        };
        let start = self.index.start_after(hole);
        let start = start.filter(|start| missing <= let_go && start.before.index <= covered);
        let Some(start) = start else { return false };
        // The end may be lost too: the superblock goes on saying how far it was.
        let known = self.keeper.superblock().log.max(self.reached);
        if let Some(op) = self.keeper.store_start(start, known) {
            self.submit(Purpose::Superblock, op, storage);
        }
        true
    }

    /// Removes what nobody needs any more, one file at a time, unless it can be used again.
    pub(super) fn clear_away(&mut self, storage: &mut impl Storage) {
        let first = self.keeper.start().segment;
        let old = self.index.first().is_some_and(|old| old < first);
        let used = self.read_in().into_iter().chain(self.seal.segment()).min();
        if old && used.is_none_or(|used| used >= first) {
            let released = self.index.forget_before(first);
            for segment in self.ahead.take_in(released) {
                self.going.add(FileId::Segment(segment));
            }
        }
        if !self.going.removing
            && let Some(file) = self.going.files.pop_front()
        {
            self.going.removing = true;
            self.submit(Purpose::Remove(file), StorageOp::Remove { file }, storage);
        }
    }

    pub(super) fn removed(
        &mut self,
        file: FileId,
        result: Result<StorageOutcome, StorageError>,
    ) -> Result<(), Fatal> {
        self.going.removing = false;
        match result {
            Ok(_) => Ok(()),
            Err(error) => Err(Fatal::WriteFailed { what: file, error }),
        }
    }
}

impl Index {
    /// The segments that have not been released.
    pub(super) fn kept(&self) -> &[Segment] {
        let released = |begins| self.segments.partition_point(|segment| segment.id < begins);
        let released = self.begins.map_or(0, released);
        self.segments.get(released..).unwrap_or_default()
    }

    /// Where the log may begin, if it must keep all records above `covered`, and may lose the oldest segments that `goes` names
    /// by their numbers of bytes so far, and by the log times of their last records. `None` if it stays as it is. Perhaps it may
    /// begin later, with a segment that has to be gone through first.
    fn start_behind(
        &self,
        covered: LogIndex,
        mut goes: impl FnMut(u64, u64) -> bool,
    ) -> (Option<Start>, Option<SegmentId>) {
        let kept = covered.min(self.commit()).min(self.durable().index);
        let (mut found, mut unread) = (None, None);
        let mut bytes = 0;
        for (old, next) in self.segments.iter().zip(self.segments.iter().skip(1)) {
            bytes += old.end;
            if next.before.index > kept || !goes(bytes, old.newest) {
                break;
            }
            if !next.reaches_back {
                let (segment, before) = (next.id, next.before);
                (found, unread) = (Some(Start { segment, before }), None);
            } else if next.unread {
                unread = Some(next.id);
            }
        }
        (found, unread)
    }

    /// The first place behind a hole where the log could begin.
    fn start_after(&self, hole: &Hole) -> Option<Start> {
        let behind = |segment: &&Segment| {
            let known = segment.before.term > Term(0);
            segment.id > hole.end.segment && known && !segment.reaches_back
        };
        let next = self.segments.iter().find(behind)?;
        Some(Start {
            segment: next.id,
            before: next.before,
        })
    }

    /// The log begins here from now on: nothing before is found any more.
    pub(super) fn begin_at(&mut self, start: &Start) {
        assert!(
            start.before.index >= self.base.index,
            "what is gone is gone"
        );
        self.base = start.before;
        self.begins = Some(start.segment);
    }

    /// Forgets the segments before this one. Nobody reads in them. Returns them, with the lengths of their files.
    pub(super) fn forget_before(&mut self, first: SegmentId) -> Vec<(SegmentId, u64)> {
        let count = self.segments.partition_point(|segment| segment.id < first);
        assert!(count < self.segments.len(), "the last segment stays");
        let gone: Vec<Segment> = self.segments.drain(..count).collect();
        self.sealed -= gone.iter().map(|segment| segment.end).sum::<u64>();
        gone.iter()
            .map(|segment| (segment.id, segment.extent.file))
            .collect()
    }
}
