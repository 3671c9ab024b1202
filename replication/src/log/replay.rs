//! What recovery tells whoever keeps the state that the log replicates.

use quorate_wire::{LogIndex, Record};

/// Rebuilds state from a log, in the log's order.
pub trait Replay {
    /// This record is the log's last now.
    fn append(&mut self, record: &Record<'_>);

    /// The records from `first` on were void: they were replaced.
    fn truncate(&mut self, first: LogIndex);

    /// All records up to here are committed, and will never be void.
    fn commit(&mut self, upto: LogIndex);
}
