//! The blocking producer: the session over one nonblocking socket.

use std::time::Duration;

use quorate_wire::{Event, NodeId, ProducerId, Sequence, Time};

use crate::{Ack, ClientError, ProducerOptions};

/// What a producer has done, and what it still holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The node that the producer is connected with.
    pub node: Option<NodeId>,
    /// Connections made after the first one.
    pub reconnects: u64,
    /// Chunks sent again.
    pub resends: u64,
    /// Refusals that were retried.
    pub refusals: u64,
    /// Chunks acknowledged.
    pub acked_chunks: u64,
    /// Events acknowledged.
    pub acked_events: u64,
    /// Acknowledgements that were dropped because nobody took them.
    pub dropped_acks: u64,
    /// Chunks sealed and not yet acknowledged.
    pub pending_chunks: usize,
    /// Their bytes.
    pub pending_bytes: usize,
    /// Chunks on the wire of the present connection.
    pub in_flight: usize,
}

/// A producer: one stream of events in order, each in the log exactly once.
#[derive(Debug)]
pub struct Producer {}

impl Producer {
    /// Connects, and waits until a node has answered the greeting.
    ///
    /// # Errors
    /// No node answers within `ready_timeout`, or a node refuses the greeting for good.
    pub fn connect(_options: ProducerOptions) -> Result<Self, ClientError> {
        todo!()
    }

    /// Appends an event to the open chunk, and seals the chunk if that fills it. Waits while the window is full. The event is
    /// safe when its acknowledgement has come: see [`Self::flush`] and [`Self::take_acks`].
    ///
    /// # Errors
    /// The event is over a limit (the producer goes on), or the producer has ended.
    pub fn send(&mut self, _event: &Event<'_>) -> Result<Sequence, ClientError> {
        todo!()
    }

    /// Sends `events` events, already encoded one behind the other as [`Event::write`] does it, as one chunk. The bytes are not
    /// looked at: a node refuses them if they are unsound. Waits while the window is full: see [`Self::has_room`].
    ///
    /// # Errors
    /// The chunk is over a limit (the producer goes on), or the producer has ended.
    pub fn send_encoded(&mut self, _events: u32, _bytes: &[u8]) -> Result<Sequence, ClientError> {
        todo!()
    }

    /// Whether a chunk with so many bytes of events would be taken without waiting.
    #[must_use]
    pub fn has_room(&self, _bytes: usize) -> bool {
        todo!()
    }

    /// Seals a chunk that has lingered, writes what can be written, and waits up to `timeout` for answers. Returns how many
    /// acknowledgements there are to take. With a zero timeout it does not wait.
    ///
    /// # Errors
    /// The producer has ended.
    pub fn poll(&mut self, _timeout: Duration) -> Result<usize, ClientError> {
        todo!()
    }

    /// Seals the open chunk, and waits until everything is acknowledged.
    ///
    /// # Errors
    /// The producer has ended.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        todo!()
    }

    /// Takes the acknowledgements that have come, in order.
    pub fn take_acks(&mut self) -> impl Iterator<Item = Ack> + '_ {
        std::iter::empty()
    }

    /// What the producer has done, and what it still holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// The producer's id.
    #[must_use]
    pub fn id(&self) -> ProducerId {
        todo!()
    }

    /// The producer's clock: nanoseconds since it was made. [`Ack`] speaks in it.
    #[must_use]
    pub fn now(&self) -> Time {
        todo!()
    }

    /// Waits until everything is acknowledged, and closes the connection.
    ///
    /// # Errors
    /// The producer has ended before that.
    pub fn close(mut self) -> Result<Stats, ClientError> {
        self.flush()?;
        Ok(self.stats())
    }
}
