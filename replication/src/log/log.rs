//! The log of a running node.

use alloc::vec::Vec;

use quorate_raft::HardState;
use quorate_wire::{DiskId, LogIndex, NodeId, Offset, Time};

use super::error::{Fatal, NotHere};
use super::event::{GroupCommit, LogEvent, Read};
use super::superblock::Superblock;
use crate::seam::{Storage, StorageDone};

/// The log of one group on one disk, open for writing.
#[derive(Debug)]
pub struct Log {
    superblock: Superblock,
}

impl Log {
    /// Whether a group commit of so many bytes can be written now: there is room in the current or in a prepared segment.
    #[must_use]
    pub fn fits(&self, bytes: usize) -> bool {
        let _ = bytes;
        unimplemented!()
    }

    /// Whether a group commit is open: there is at most one at a time.
    #[must_use]
    pub fn writing(&self) -> bool {
        unimplemented!()
    }

    /// Begins a group commit; `Durable` follows.
    ///
    /// # Panics
    /// Another one is open, it does not fit, or its records do not continue the log.
    pub fn write(&mut self, commit: GroupCommit<'_>, storage: &mut impl Storage) {
        let _ = (commit, storage);
        unimplemented!()
    }

    /// All records up to here are committed: they will never be void.
    pub fn committed(&mut self, upto: LogIndex) {
        let _ = upto;
        unimplemented!()
    }

    /// Makes a hard state durable; `HardStateDurable` follows, unless a newer one overtakes it.
    pub fn store_hard_state(&mut self, state: HardState, storage: &mut impl Storage) {
        let _ = (state, storage);
        unimplemented!()
    }

    /// Makes the members durable; `MembersDurable` follows.
    pub fn store_members(&mut self, members: &[(NodeId, DiskId)], storage: &mut impl Storage) {
        let _ = (members, storage);
        unimplemented!()
    }

    /// Reads records; `Read` or `ReadVoid` follows.
    ///
    /// # Errors
    /// The first record is not in the log, not yet durable, or past `through`.
    pub fn read(&mut self, read: Read, storage: &mut impl Storage) -> Result<(), NotHere> {
        let _ = (read, storage);
        unimplemented!()
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
        let _ = (done, storage, events);
        unimplemented!()
    }

    /// Prepares segments ahead of need.
    pub fn tend(&mut self, now: Time, storage: &mut impl Storage) {
        let _ = (now, storage);
        unimplemented!()
    }

    /// When [`tend`](Self::tend) wants to be called; the end of time if nothing is to be done.
    #[must_use]
    pub fn deadline(&self) -> Time {
        unimplemented!()
    }

    /// Bytes of all segments in use, up to their last records.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        unimplemented!()
    }

    /// The superblock as it was last stored, or is being stored.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The first offset that the log has.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        unimplemented!()
    }
}
