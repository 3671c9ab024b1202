//! The log's part in filling a hole: one operation of the disk after another.
//!
//! Called by: the pipeline, which fetches what was missing.

use alloc::vec::Vec;

use quorate_wire::Record;

use super::error::Fatal;
use super::event::LogEvent;
use super::hole::Hole;
use super::log::{Log, Purpose};
use super::mend::{Mending, NoRoom, Step};
use crate::seam::{FileId, SegmentId, Storage, StorageError, StorageOp, StorageOutcome};

impl Log {
    /// Begins to fill a hole; `MendReady` follows.
    pub fn mend(&mut self, hole: &Hole, storage: &mut impl Storage, events: &mut Vec<LogEvent>) {
        assert!(self.mending.is_none(), "one hole is filled at a time");
        let identity = self.superblock().identity;
        let mending = Mending::new(hole, &self.made, identity, self.segment_bytes);
        self.mending = Some(mending);
        self.mend_next(storage, events);
    }

    /// Puts records into the hole, after `MendReady`; another one follows.
    ///
    /// # Errors
    /// They do not fit: they are not what was there.
    pub fn mend_with<'r>(
        &mut self,
        records: impl Iterator<Item = Record<'r>>,
        storage: &mut impl Storage,
        events: &mut Vec<LogEvent>,
    ) -> Result<(), NoRoom> {
        let mending = self.mending.as_mut().expect("a hole is being filled");
        for record in records {
            mending.put(&record)?;
        }
        self.mend_next(storage, events);
        Ok(())
    }

    /// Fills up what is left of the hole, after `MendReady`; `Mended` follows.
    pub fn mend_end(&mut self, storage: &mut impl Storage, events: &mut Vec<LogEvent>) {
        let mending = self.mending.as_mut().expect("a hole is being filled");
        mending.complete();
        self.mend_next(storage, events);
    }

    /// Leaves the hole as it is, after `MendReady` or `MendFailed`.
    pub fn mend_abandon(&mut self) {
        self.mending = None;
    }

    /// Gives up what is in a hole and behind it, though it may have been acknowledged; `GivenUp` follows. The files are then
    /// recovered anew.
    pub fn give_up(&mut self, hole: &Hole, storage: &mut impl Storage) {
        self.reached = hole.cut;
        if let Some(op) = self.keeper.give_up(hole.cut) {
            self.submit(Purpose::Superblock, op, storage);
        }
    }

    fn mend_next(&mut self, storage: &mut impl Storage, events: &mut Vec<LogEvent>) {
        let mending = self.mending.as_mut().expect("a hole is being filled");
        match mending.step() {
            Step::Next(op) => {
                let (file, edge) = match &op {
                    StorageOp::Read {
                        file: file @ FileId::Segment(segment),
                        position,
                        ..
                    } => (*file, Some((*segment, *position))),
                    StorageOp::Write { file, .. } | StorageOp::Read { file, .. } => (*file, None),
                    StorageOp::Prepare { segment, .. } => (FileId::Segment(*segment), None),
                    StorageOp::Reuse { .. }
                    | StorageOp::Append { .. }
                    | StorageOp::Publish { .. }
                    | StorageOp::Remove { .. } => unreachable!("no way to fill a hole"),
                };
                self.submit(Purpose::Mend(file, edge), op, storage);
            }
            Step::Ready => events.push(LogEvent::MendReady),
            Step::Over => {
                self.mending = None;
                events.push(LogEvent::Mended);
            }
        }
    }

    pub(super) fn mend_on(
        &mut self,
        file: FileId,
        edge: Option<(SegmentId, u64)>,
        result: Result<StorageOutcome, StorageError>,
        storage: &mut impl Storage,
        events: &mut Vec<LogEvent>,
    ) -> Result<(), Fatal> {
        match (result, edge) {
            (Ok(StorageOutcome::Read(block)), Some(edge)) => {
                let mending = self.mending.as_mut().expect("a hole is being filled");
                mending.read(edge, block);
            }
            (Err(_), Some(_)) | (Err(StorageError::Full), None) => {
                events.push(LogEvent::MendFailed);
                return Ok(());
            }
            (Ok(StorageOutcome::Prepared), _) => {
                if let FileId::Segment(segment) = file {
                    self.made.push(segment);
                }
            }
            (Ok(_), _) => {}
            (Err(error), None) => return Err(Fatal::WriteFailed { what: file, error }),
        }
        self.mend_next(storage, events);
        Ok(())
    }
}
