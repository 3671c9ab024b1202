//! The snapshots on the disk: two are kept, the newest ones.
//!
//! Owns: which there are, and the one that is being written. Never: looks into one; counts one before it is durable with its
//! name. Called by: the log.

use alloc::vec::Vec;

use super::error::Fatal;
use super::event::{LogEvent, SnapshotEvent};
use super::log::{Log, Purpose};
use crate::buffer::{Buffer, Slice};
use crate::seam::{FileId, SnapshotId, Storage, StorageError, StorageOp, StorageOutcome};

/// Snapshots that are kept: should the newest one decay, the log behind the other is still there.
const KEPT: usize = 2;

/// What is asked of the disk for a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    /// To write a part.
    Append,
    /// To give it its name.
    Publish(SnapshotId),
    /// To read a part.
    Read(u64),
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Rising, with their lengths.
    kept: Vec<(SnapshotId, u64)>,
    /// One that stays although two newer ones are there.
    lent: Option<SnapshotId>,
    /// Bytes of the one that is being written.
    written: u64,
    /// A part or the name of it is on its way.
    writing: bool,
}

impl Shelf {
    pub(super) fn new(kept: Vec<(SnapshotId, u64)>) -> Self {
        Self {
            kept,
            lent: None,
            written: 0,
            writing: false,
        }
    }
}

impl Log {
    /// The snapshots that are there, the newest one last.
    pub fn snapshots(&self) -> impl ExactSizeIterator<Item = SnapshotId> {
        self.shelf.kept.iter().map(|kept| kept.0)
    }

    /// The newest snapshot, and how long it is.
    #[must_use]
    pub fn newest_snapshot(&self) -> Option<(SnapshotId, u64)> {
        self.shelf.kept.last().copied()
    }

    /// How long a snapshot is, if it is there.
    #[must_use]
    pub fn snapshot_bytes(&self, snapshot: SnapshotId) -> Option<u64> {
        let mut kept = self.shelf.kept.iter();
        kept.find(|kept| kept.0 == snapshot).map(|kept| kept.1)
    }

    /// Whether all that was handed in of the snapshot at work is written.
    #[must_use]
    pub fn snapshot_is_idle(&self) -> bool {
        !self.shelf.writing
    }

    /// Begins to write a snapshot; what was written of another one is of no meaning any more.
    pub fn begin_snapshot(&mut self) {
        assert!(!self.shelf.writing, "one part is written at a time");
        self.shelf.written = 0;
    }

    /// Writes the next part; `Written` or `Failed` follows.
    pub fn write_snapshot(&mut self, bytes: Slice, storage: &mut impl Storage) {
        assert!(!self.shelf.writing, "one part is written at a time");
        self.shelf.writing = true;
        let position = self.shelf.written;
        self.shelf.written += bytes.len() as u64;
        let append = StorageOp::Append { position, bytes };
        self.submit(Purpose::Snapshot(Errand::Append), append, storage);
    }

    /// All of it is written; `Kept` follows.
    pub fn keep_snapshot(&mut self, snapshot: SnapshotId, storage: &mut impl Storage) {
        assert!(!self.shelf.writing, "all of it is written");
        self.shelf.writing = true;
        let publish = StorageOp::Publish { snapshot };
        self.submit(
            Purpose::Snapshot(Errand::Publish(snapshot)),
            publish,
            storage,
        );
    }

    /// Reads a part; `Read` follows.
    pub fn read_snapshot(
        &mut self,
        token: u64,
        snapshot: SnapshotId,
        (position, length): (u64, usize),
        storage: &mut impl Storage,
    ) {
        let read = StorageOp::Read {
            file: FileId::Snapshot(snapshot),
            position,
            length,
            into: Buffer::zeroed(length),
        };
        self.submit(Purpose::Snapshot(Errand::Read(token)), read, storage);
    }

    /// This one stays until another one is lent, or none.
    pub fn lend_snapshot(&mut self, snapshot: Option<SnapshotId>) {
        self.shelf.lent = snapshot;
        self.thin_out();
    }

    pub(super) fn errand_done(
        &mut self,
        errand: Errand,
        result: Result<StorageOutcome, StorageError>,
        events: &mut Vec<LogEvent>,
    ) -> Result<(), Fatal> {
        let event = match (errand, result) {
            (Errand::Read(token), result) => {
                let bytes = match result {
                    Ok(StorageOutcome::Read(bytes)) => Some(bytes),
                    Ok(_) | Err(_) => None,
                };
                SnapshotEvent::Read { token, bytes }
            }
            (Errand::Append, Ok(_)) => {
                self.shelf.writing = false;
                SnapshotEvent::Written
            }
            (Errand::Append | Errand::Publish(_), Err(StorageError::Full)) => {
                self.shelf.writing = false;
                for segment in self.ahead.take_spare() {
                    self.going.add(FileId::Segment(segment));
                }
                SnapshotEvent::Failed
            }
            (Errand::Publish(snapshot), Ok(_)) => {
                self.shelf.writing = false;
                let written = self.shelf.written;
                self.shelf.kept.retain(|kept| kept.0 != snapshot);
                self.shelf.kept.push((snapshot, written));
                self.shelf.kept.sort_unstable();
                self.thin_out();
                SnapshotEvent::Kept(snapshot)
            }
            (Errand::Append | Errand::Publish(_), Err(error)) => {
                let what = FileId::Snapshot(match errand {
                    Errand::Publish(snapshot) => snapshot,
                    Errand::Append | Errand::Read(_) => SnapshotId(0),
                });
                return Err(Fatal::WriteFailed { what, error });
            }
        };
        events.push(LogEvent::Snapshot(event));
        Ok(())
    }

    /// Lets old ones go. None goes that is being read.
    fn thin_out(&mut self) {
        let Shelf { kept, lent, .. } = &mut self.shelf;
        let read = self
            .open
            .iter()
            .any(|(_, purpose)| matches!(purpose, Purpose::Snapshot(Errand::Read(_))));
        let spare = kept.len().saturating_sub(KEPT);
        let goes = |at: usize, snapshot| at < spare && !read && Some(snapshot) != *lent;
        let mut at = 0;
        let going = &mut self.going;
        kept.retain(|&(snapshot, _)| {
            let gone = goes(at, snapshot);
            at += 1;
            if gone {
                going.add(FileId::Snapshot(snapshot));
            }
            !gone
        });
    }
}
