//! What recovery tells whoever keeps the state that the log replicates.

use quorate_wire::{LogIndex, Record};

use super::Identity;
use crate::snapshot::SnapshotError;
use crate::state::Applied;

/// Rebuilds state from a snapshot and a log, in the log's order.
pub trait Replay {
    /// Begins with what a snapshot holds, instead of with nothing. Says what that is.
    ///
    /// # Errors
    /// The bytes are no snapshot of this disk's group; nothing has changed.
    fn begin(&mut self, snapshot: &[u8], of: &Identity) -> Result<Applied, SnapshotError>;

    /// This record is the log's last now.
    fn append(&mut self, record: &Record<'_>);

    /// The records from `first` on were void: they were replaced.
    fn truncate(&mut self, first: LogIndex);

    /// All records up to here are committed, and will never be void.
    fn commit(&mut self, upto: LogIndex);
}
