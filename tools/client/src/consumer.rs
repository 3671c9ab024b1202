//! The blocking consumer.

use std::time::Duration;

use quorate_wire::{NodeId, Offset};

use crate::{Batch, ClientError, ConsumerOptions};

/// Reads the log from an offset on, from any node.
#[derive(Debug)]
pub struct Consumer {}

impl Consumer {
    /// Connects, and waits until a node has answered the greeting.
    ///
    /// # Errors
    /// No node answers within `patience`, or a node refuses the greeting for good.
    pub fn connect(_options: ConsumerOptions) -> Result<Self, ClientError> {
        todo!()
    }

    /// The next batch. Waits up to `wait` for an event to be committed; then the batch is empty. Failures of a node are made
    /// good with another one.
    ///
    /// # Errors
    /// No node answers within `patience`, the offset is past the end, or a node sent damaged records.
    pub fn fetch(&mut self, _wait: Duration) -> Result<Batch, ClientError> {
        todo!()
    }

    /// Offset of the next event that [`Self::fetch`] gives.
    #[must_use]
    pub fn offset(&self) -> Offset {
        todo!()
    }

    /// Offset after the last committed event, as far as the answers so far have said.
    #[must_use]
    pub fn committed(&self) -> Offset {
        todo!()
    }

    /// The node that it reads from.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        todo!()
    }
}
