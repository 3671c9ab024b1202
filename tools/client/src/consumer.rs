//! The blocking consumer: a cursor over one nonblocking socket, moved by the caller's own thread.
//!
//! Owns: the socket and the clock. Never: decides what to ask of whom; that is the cursor's. Called by: programs.

use std::time::Duration;

use quorate_wire::limits::FRAME_BODY_BYTES_MAX;
use quorate_wire::{FRAME_HEADER_BYTES, NodeId, Offset};

use crate::cursor::Cursor;
use crate::session::nanoseconds;
use crate::socket::PollSocket;
use crate::transport::Transport;
use crate::{Batch, ClientError, ConsumerOptions};

/// Bytes of the largest answer.
pub(crate) const INPUT_BYTES: usize = FRAME_HEADER_BYTES + FRAME_BODY_BYTES_MAX;

/// The longest sleep; a bound for a wait that has no other.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Reads the log from an offset on, from any node.
#[derive(Debug)]
pub struct Consumer {
    cursor: Cursor,
    transport: Transport<PollSocket>,
}

impl Consumer {
    /// Connects, and waits until a node has answered the greeting.
    ///
    /// # Errors
    /// No node answers within `patience`, or a node refuses the greeting for good.
    pub fn connect(options: ConsumerOptions) -> Result<Self, ClientError> {
        let mut consumer = Self {
            cursor: Cursor::new(options.cursor()?),
            transport: Transport::new(INPUT_BYTES),
        };
        consumer.cursor.greet(consumer.transport.now());
        consumer.end_of_call()?;
        Ok(consumer)
    }

    /// The next batch. Waits up to `wait` for an event to be committed; then the batch has no events. Failures of a node are
    /// made good with another one.
    ///
    /// # Errors
    /// No node answers within `patience`, the offset is past the end, or a node sent damaged records. After damage, the next
    /// call asks another node.
    pub fn fetch(&mut self, wait: Duration) -> Result<Batch, ClientError> {
        self.cursor.fetch(nanoseconds(wait), self.transport.now());
        self.end_of_call()
    }

    /// Offset of the next event that [`Self::fetch`] looks at. Of a consumer that begins at a time or the tail it is 0 until a node
    /// has said where that is, with the first batch.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.cursor.offset()
    }

    /// Offset after the last committed event, as far as the answers so far have said.
    #[must_use]
    pub fn committed(&self) -> Offset {
        self.cursor.committed()
    }

    /// The node that it reads from.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.cursor.node()
    }

    fn end_of_call(&mut self) -> Result<Batch, ClientError> {
        loop {
            if let Some(end) = self.cursor.take() {
                // The next question is on its way while the caller looks at the answer.
                self.transport.flush(&mut self.cursor);
                return end;
            }
            let turned = self.transport.turn(&mut self.cursor, SLEEP_MAX);
            turned.map_err(|error| ClientError::Io {
                doing: "waiting for the node",
                error,
            })?;
        }
    }
}
