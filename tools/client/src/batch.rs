//! What one fetch brought: whole records, checked.

use quorate_wire::{Event, Offset, Record};

/// Records and events from the asked offset on. Every record has passed its checksums.
#[derive(Clone, Debug)]
pub struct Batch {}

impl Batch {
    /// The records, whole and in order, each once over the life of a consumer. The first may begin before the asked offset.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        std::iter::empty()
    }

    /// The events from the asked offset on, each with its offset.
    pub fn events(&self) -> impl Iterator<Item = (Offset, Event<'_>)> {
        std::iter::empty()
    }

    /// Whether it holds no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// Offset of the first event that it was asked for.
    #[must_use]
    pub fn offset(&self) -> Offset {
        todo!()
    }

    /// Offset after its last event: where the next batch begins.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        todo!()
    }

    /// Offset after the last committed event that the answering node knew.
    #[must_use]
    pub fn committed(&self) -> Offset {
        todo!()
    }
}
