//! Keeps the superblock: writes each change to one copy, then to the other.
//!
//! Owns: the superblock's file. Never: has more than one write of it open, so that one copy is always whole. Called by: the log.

use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_raft::HardState;
use quorate_wire::{DiskId, NodeId};

use super::event::LogEvent;
use super::log::{Log, Purpose};
use super::superblock::{self, COPIES, COPY_BYTES, Found, Reached, Start, Superblock};
use crate::buffer::{Buffer, Slice};
use crate::seam::{FileId, Files, FilesError, Storage, StorageOp};

const _: () = assert!(COPIES == 2, "the other of two copies");

/// What is being written.
#[derive(Debug)]
struct Change {
    bytes: Slice,
    /// The copy that is being written.
    copy: usize,
    /// Whether the other copy has it.
    second: bool,
    news: News,
}

/// What is to be told when the superblock is durable.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    hard_state: Option<u64>,
    members: bool,
    given_up: bool,
    start: Option<Start>,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Keeper {
    /// As it shall be.
    superblock: Superblock,
    /// What has changed since the last write began.
    waiting: Option<News>,
    open: Option<Change>,
    /// The copy that the next change is written to first.
    first: usize,
    /// Where the log begins, as the disk has it.
    start: Start,
    /// The disk says that the log has ended: it must not when the log goes on.
    says_ended: bool,
}

impl Keeper {
    pub(super) fn new(found: Found) -> Self {
        let mut superblock = found.superblock;
        Self {
            start: superblock.start,
            says_ended: core::mem::take(&mut superblock.ended),
            superblock,
            waiting: None,
            open: None,
            first: found.first,
        }
    }

    pub(super) fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The log begins here, and is empty: durable in both copies when this returns. Before anything else is written. Whoever is
    /// not sure whether it has lost something says so at once.
    pub(super) fn restart<F: Files>(
        &mut self,
        start: Start,
        unsure: bool,
        files: &mut F,
    ) -> Result<(), FilesError> {
        assert!(self.open.is_none(), "nothing is being written at the start");
        self.superblock.unsure |= unsure;
        (self.superblock.start, self.start) = (start, start);
        self.superblock.log = start.reached();
        self.superblock.sequence += 1;
        superblock::format(files, &self.superblock)
    }

    /// The log goes on: durable in both copies when this returns. Before anything else is written.
    pub(super) fn go_on<F: Files>(&mut self, files: &mut F) -> Result<(), FilesError> {
        assert!(self.open.is_none(), "nothing is being written at the start");
        if !core::mem::take(&mut self.says_ended) {
            return Ok(());
        }
        self.superblock.sequence += 1;
        superblock::format(files, &self.superblock)
    }

    /// The log has ended. Returns a write to submit, if none is open.
    pub(super) fn end(&mut self, log: Reached) -> Option<StorageOp> {
        self.superblock.ended = true;
        self.waiting.get_or_insert_default();
        self.begin(log)
    }

    /// Whether the log has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.superblock.ended
    }

    /// Where the log begins, as the disk has it.
    pub(super) fn start(&self) -> Start {
        self.start
    }

    /// The log shall begin here. Returns a write to submit, if none is open.
    pub(super) fn store_start(&mut self, start: Start, log: Reached) -> Option<StorageOp> {
        assert!(
            start.segment > self.superblock.start.segment,
            "what is gone is gone"
        );
        self.superblock.start = start;
        self.waiting.get_or_insert_default().start = Some(start);
        self.begin(log)
    }

    /// The log ends at `log`, and what was behind may have been acknowledged: durable in both copies when this returns. Before
    /// anything else is written.
    pub(super) fn forget_end<F: Files>(
        &mut self,
        log: Reached,
        files: &mut F,
    ) -> Result<(), FilesError> {
        assert!(self.open.is_none(), "nothing is being written at the start");
        if self.superblock.unsure && self.superblock.log <= log {
            return Ok(());
        }
        self.superblock.unsure = true;
        self.superblock.log = log;
        self.superblock.sequence += 1;
        superblock::format(files, &self.superblock)
    }

    /// Returns a write to submit, if none is open.
    pub(super) fn store_hard_state(&mut self, state: HardState, log: Reached) -> Option<StorageOp> {
        assert!(
            state.term >= self.superblock.term,
            "terms never fall in a node's life"
        );
        self.superblock.term = state.term;
        self.superblock.vote = state.vote;
        self.superblock.unsure = state.unsure;
        self.waiting.get_or_insert_default().hard_state = Some(state.version);
        self.begin(log)
    }

    /// Returns a write to submit, if none is open.
    pub(super) fn store_members(
        &mut self,
        members: &[(NodeId, DiskId)],
        log: Reached,
    ) -> Option<StorageOp> {
        self.superblock.members = members.to_vec();
        self.waiting.get_or_insert_default().members = true;
        self.begin(log)
    }

    /// The node was removed from its group. Returns a write to submit, if that is news and none is open.
    pub(super) fn store_removed(&mut self, log: Reached) -> Option<StorageOp> {
        if !core::mem::replace(&mut self.superblock.removed, true) {
            self.waiting.get_or_insert_default();
        }
        self.begin(log)
    }

    /// What is behind `log` is given up, though it may have been acknowledged. Returns a write to submit, if none is open.
    pub(super) fn give_up(&mut self, log: Reached) -> Option<StorageOp> {
        self.superblock.unsure = true;
        self.waiting.get_or_insert_default().given_up = true;
        self.begin(log)
    }

    /// Whether nothing is being written, or to be written.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_none() && self.waiting.is_none()
    }

    /// The log is durable up to `log`. Returns a write to submit, if that is news and none is open.
    pub(super) fn note(&mut self, log: Reached) -> Option<StorageOp> {
        if self.superblock.log < log {
            self.waiting.get_or_insert_default();
        }
        self.begin(log)
    }

    /// The open write is durable. Returns the next one to submit.
    pub(super) fn written(
        &mut self,
        log: Reached,
        events: &mut Vec<LogEvent>,
    ) -> Option<StorageOp> {
        let mut change = self.open.take().expect("a write of the superblock is open");
        if change.second {
            if let Some(version) = change.news.hard_state {
                events.push(LogEvent::HardStateDurable { version });
            }
            if change.news.members {
                events.push(LogEvent::MembersDurable);
            }
            if change.news.given_up {
                events.push(LogEvent::GivenUp);
            }
            self.start = change.news.start.unwrap_or(self.start);
            return self.begin(log);
        }
        change.second = true;
        change.copy = COPIES - 1 - change.copy;
        Some(self.write(change))
    }

    fn begin(&mut self, log: Reached) -> Option<StorageOp> {
        if self.open.is_some() {
            return None;
        }
        let news = self.waiting.take()?;
        self.superblock.sequence += 1;
        self.superblock.log = log;
        let mut buffer = Buffer::zeroed(COPY_BYTES);
        self.superblock.encode(&mut buffer);
        let change = Change {
            bytes: Slice::new(Arc::new(buffer), 0..COPY_BYTES),
            copy: self.first,
            second: false,
            news,
        };
        Some(self.write(change))
    }

    fn write(&mut self, change: Change) -> StorageOp {
        let op = StorageOp::Write {
            file: FileId::Superblock,
            position: (change.copy * COPY_BYTES) as u64,
            bytes: change.bytes.clone(),
        };
        self.open = Some(change);
        op
    }
}

impl Log {
    /// Makes a hard state durable; `HardStateDurable` follows, unless a newer one overtakes it.
    pub fn store_hard_state(&mut self, state: HardState, storage: &mut impl Storage) {
        let op = self.keeper.store_hard_state(state, self.reached);
        self.store(op, storage);
    }

    /// Makes the members durable; `MembersDurable` follows.
    pub fn store_members(&mut self, members: &[(NodeId, DiskId)], storage: &mut impl Storage) {
        let op = self.keeper.store_members(members, self.reached);
        self.store(op, storage);
    }

    /// Writes down that this node was removed from its group. Nothing waits for it: who forgets it is told again.
    pub fn store_removed(&mut self, storage: &mut impl Storage) {
        let op = self.keeper.store_removed(self.reached);
        self.store(op, storage);
    }

    fn store(&mut self, op: Option<StorageOp>, storage: &mut impl Storage) {
        if let Some(op) = op {
            self.submit(Purpose::Superblock, op, storage);
        }
    }
}
