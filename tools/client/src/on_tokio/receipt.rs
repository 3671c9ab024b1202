//! What a program holds of an event until it is acknowledged.

use std::sync::Arc;

use quorate_wire::{Offset, Sequence};

use super::core::{Acked, Shared};
use crate::{Ack, ClientError};

/// The promise of an event's acknowledgement. To drop it costs nothing: the event is sent all the same.
#[derive(Debug)]
pub struct Receipt {
    sequence: Sequence,
    chunk: Acked,
    shared: Arc<Shared>,
}

impl Receipt {
    pub(super) fn new(sequence: Sequence, chunk: Acked, shared: Arc<Shared>) -> Self {
        Self {
            sequence,
            chunk,
            shared,
        }
    }

    /// The event's sequence.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Waits until the event is acknowledged, and returns its offset. It is cancel-safe, and may be asked again.
    ///
    /// # Errors
    /// The producer has ended, or was dropped, before that: the event may or may not be in the log.
    pub async fn offset(&mut self) -> Result<Offset, ClientError> {
        let ack = self.ack().await?;
        Ok(ack.offset.plus(self.sequence.0 - ack.first.0))
    }

    /// As [`Self::offset`], with all that is known of the event's chunk.
    ///
    /// # Errors
    /// As for [`Self::offset`].
    pub async fn ack(&mut self) -> Result<Ack, ClientError> {
        match self.chunk.wait_for(Option::is_some).await {
            Ok(ack) => Ok(ack.expect("it was waited for")),
            Err(_) => Err(self.shared.why_ended()),
        }
    }
}
