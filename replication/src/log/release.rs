//! Where the log begins: old records go when a snapshot has what they amount to.
//!
//! First the superblock says where the log begins; when that is durable, nothing before is found any more; when nobody reads in
//! the segments before it, their files are used again for segments to come, or removed, one after another. A crash between leaves files before the log's start, which
//! the next start removes. Owns: the order of that. Called by: the log.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use quorate_wire::{LogIndex, Offset};

use super::error::Fatal;
use super::event::LogEvent;
use super::log::{Log, Purpose};
use crate::seam::{FileId, Storage, StorageError, StorageOp, StorageOutcome};

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
        let start = self.index.start_behind(retention.covered, |bytes, newest| {
            all - bytes >= retention.bytes || newest < retention.since
        });
        // Segments that are gone by the superblock may still be there, and less of them be let go this time.
        let begins = self.keeper.start().segment;
        if let Some(start) = start.filter(|start| start.segment > begins)
            && let Some(op) = self.keeper.store_start(start, self.reached)
        {
            self.submit(Purpose::Superblock, op, storage);
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

    /// Removes what nobody needs any more, one file at a time, unless it can be used again.
    pub(super) fn clear_away(&mut self, storage: &mut impl Storage) {
        let first = self.keeper.start().segment;
        let old = self.index.first().is_some_and(|old| old < first);
        if old && self.read_in().is_none_or(|read| read >= first) {
            for (segment, bytes) in self.index.forget_before(first) {
                if !self.ahead.take_in(segment, bytes) {
                    self.going.add(FileId::Segment(segment));
                }
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
