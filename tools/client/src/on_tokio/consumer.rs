//! The consumer on tokio: a cursor over one socket, moved by whoever awaits it.
//!
//! Owns: the socket and the clock. Never: decides what to ask of whom; that is the cursor's. Called by: programs.

use std::time::Duration;

use quorate_wire::{NodeId, Offset};
use tokio::task::yield_now;

use super::socket::TokioSocket;
use crate::consumer::INPUT_BYTES;
use crate::cursor::Cursor;
use crate::session::nanoseconds;
use crate::transport::Transport;
use crate::{Batch, ClientError, ConsumerOptions};

/// Reads the log from an offset on, from any node, on a tokio runtime.
#[derive(Debug)]
pub struct AsyncConsumer {
    cursor: Cursor,
    transport: Transport<TokioSocket>,
}

impl AsyncConsumer {
    /// Connects, and waits until a node has answered the greeting.
    ///
    /// # Errors
    /// No node answers within `patience`, or a node refuses the greeting for good.
    pub async fn connect(options: ConsumerOptions) -> Result<Self, ClientError> {
        let mut consumer = Self {
            cursor: Cursor::new(options.cursor()?),
            transport: Transport::new(INPUT_BYTES),
        };
        consumer.cursor.greet(consumer.transport.now());
        consumer.end_of_call().await?;
        Ok(consumer)
    }

    /// The next batch. Waits up to `wait` for an event to be committed; then the batch has no events. Failures of a node are
    /// made good with another one.
    ///
    /// It is cancel-safe: no event is given out by a future that was dropped. What it had asked, the next call goes on to wait for,
    /// which may take up to a second longer than that call's own `wait`.
    ///
    /// # Errors
    /// No node answers within `patience`, the offset is past the end, or a node sent damaged records. After damage, the next
    /// call asks another node.
    pub async fn fetch(&mut self, wait: Duration) -> Result<Batch, ClientError> {
        self.cursor.fetch(nanoseconds(wait), self.transport.now());
        self.end_of_call().await
    }

    /// Offset of the next event that [`Self::fetch`] gives.
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

    async fn end_of_call(&mut self) -> Result<Batch, ClientError> {
        loop {
            let pause = self.transport.advance(&mut self.cursor);
            if let Some(end) = self.cursor.take() {
                // The next question is on its way while the caller looks at the answer.
                self.transport.flush(&mut self.cursor);
                return end;
            }
            match pause {
                Some(pause) => self.transport.wait(pause).await,
                None => yield_now().await,
            }
        }
    }
}
