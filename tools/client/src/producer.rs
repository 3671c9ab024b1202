//! The blocking producer: the session over one nonblocking socket, moved by the caller's own thread.
//!
//! Owns: the open chunk, and how long it stays open. Never: decides what to send when; that is the session's. Called by: programs.

use std::time::Duration;

use quorate_wire::limits::{CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX};
use quorate_wire::{CHUNK_HEADER_BYTES, Event, NodeId, ProducerId, Sequence, Time};

use crate::session::{Failure, Session, SessionConfig, nanoseconds};
use crate::transport::Transport;
use crate::{Ack, ClientError, InvalidEvent, LinkCause, ProducerOptions};

/// Bytes that one read takes: thousands of acknowledgements.
const INPUT_BYTES: usize = 256 << 10;

/// While requests are in flight, freshly sealed chunks wait until they are worth a write of their own.
const WRITE_BYTES: usize = 64 << 10;

/// The longest sleep; a bound for a wait that has no other.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What a producer has done, and what it still holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The node that the producer is connected with.
    pub node: Option<NodeId>,
    /// Connections greeted after the first one.
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
    /// Requests on the present connection that have no answer.
    pub in_flight: usize,
}

/// The chunk that still takes events.
#[derive(Debug)]
struct Open {
    buffer: Vec<u8>,
    events: u32,
    since: Time,
}

/// A producer: one stream of events in order, each in the log exactly once.
///
/// Bytes move when the caller calls: in `send` when the window is full or enough has gathered, in `poll`, and in `flush`. A
/// program that sends now and then ends each burst with `flush`, or calls `poll` regularly.
#[derive(Debug)]
pub struct Producer {
    session: Session,
    transport: Transport,
    open: Option<Open>,
    /// Bytes sealed since the last turn.
    unsent: usize,
    turned_at: Time,
    id: ProducerId,
    batch_events: u32,
    batch_bytes: usize,
    linger: Duration,
}

impl Producer {
    /// Connects, and waits until a node has answered the greeting.
    ///
    /// # Errors
    /// No node answers within `ready_timeout`, or a node refuses the greeting for good.
    pub fn connect(options: ProducerOptions) -> Result<Self, ClientError> {
        if options.nodes.is_empty() {
            return Err(ClientError::Unreachable {
                nodes: Vec::new(),
                last: LinkCause::Unresolved,
            });
        }
        let id = match options.producer {
            Some(id) => id,
            None => ProducerId(random()?),
        };
        let config = SessionConfig {
            nodes: options.nodes,
            cluster: options.cluster,
            producer: id,
            epoch: options.epoch,
            window_requests: options.window_requests,
            window_bytes: options.window_bytes,
            connect_timeout: options.connect_timeout,
            request_timeout: options.request_timeout,
            give_up: options.give_up,
            acks_max: options.acks_max,
            seed: random()?,
        };
        let mut producer = Self {
            session: Session::new(config, Time(0)),
            transport: Transport::new(INPUT_BYTES),
            open: None,
            unsent: 0,
            turned_at: Time(0),
            id,
            batch_events: options.batch_events.clamp(1, CHUNK_EVENTS_MAX),
            batch_bytes: options.batch_bytes.min(CHUNK_BYTES_MAX),
            linger: options.linger,
        };
        producer.wait_ready(options.ready_timeout)?;
        Ok(producer)
    }

    fn wait_ready(&mut self, patience: Duration) -> Result<(), ClientError> {
        while self.session.node().is_none() {
            let left = Duration::from_nanos(nanoseconds(patience).saturating_sub(self.now().0));
            if left.is_zero() {
                return Err(ClientError::Unreachable {
                    nodes: self.session.addresses(),
                    last: self.session.trouble().clone(),
                });
            }
            self.turn(left)?;
        }
        Ok(())
    }

    /// Appends an event to the open chunk, and seals the chunk if that fills it. Waits while the window is full. The event is
    /// safe when its acknowledgement has come: see [`Self::flush`] and [`Self::take_acks`].
    ///
    /// # Errors
    /// The event is over a limit (the producer goes on), or the producer has ended.
    pub fn send(&mut self, event: &Event<'_>) -> Result<Sequence, ClientError> {
        self.check()?;
        let size = event.size();
        let overfull = |open: &Open| open.buffer.len() + size > self.batch_bytes;
        if self.open.as_ref().is_some_and(overfull) {
            self.seal()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open {
                buffer: self.session.buffer(),
                events: 0,
                since: self.now(),
            },
        };
        let written = append(&mut open.buffer, event, size);
        let at = u64::from(open.events);
        if written.is_ok() {
            open.events += 1;
        }
        let full = open.events >= self.batch_events;
        if open.events > 0 {
            self.open = Some(open);
        }
        written?;
        let sequence = self.session.next_sequence().plus(at);
        if full {
            self.seal()?;
        }
        Ok(sequence)
    }

    /// Sends `events` events, already encoded one behind the other as [`Event::write`] does it, as one chunk. The bytes are not
    /// looked at: a node refuses them if they are unsound, and the producer ends. Waits while the window is full: see
    /// [`Self::has_room`]. Returns the sequence of the first event.
    ///
    /// # Errors
    /// The chunk is over a limit (the producer goes on), or the producer has ended.
    pub fn send_encoded(&mut self, events: u32, bytes: &[u8]) -> Result<Sequence, ClientError> {
        self.check()?;
        self.seal()?;
        let mut buffer = self.session.buffer();
        buffer.extend_from_slice(bytes);
        self.push(events, buffer)
    }

    /// Whether a chunk with so many bytes of events would be taken without waiting.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.session.has_room(CHUNK_HEADER_BYTES + bytes)
    }

    /// Seals a chunk that has lingered, writes what can be written, and waits up to `timeout` for answers. Returns how many
    /// acknowledgements there are to take. With a zero timeout it does not wait.
    ///
    /// # Errors
    /// The producer has ended.
    pub fn poll(&mut self, timeout: Duration) -> Result<usize, ClientError> {
        let timeout = match self.seal_lingered()? {
            Some(left) => timeout.min(left),
            None => timeout,
        };
        self.turn(timeout)?;
        self.seal_lingered()?;
        Ok(self.session.acks())
    }

    /// Seals the open chunk if it has waited long enough and the window takes it; else returns how long it may still wait.
    fn seal_lingered(&mut self) -> Result<Option<Duration>, ClientError> {
        let Some(open) = &self.open else {
            return Ok(None);
        };
        let due = open.since.after(nanoseconds(self.linger));
        let left = due.since(self.now());
        if left > 0 {
            return Ok(Some(Duration::from_nanos(left)));
        }
        if self.session.has_room(open.buffer.len()) {
            self.seal()?;
        }
        Ok(None)
    }

    /// Seals the open chunk, and waits until everything is acknowledged.
    ///
    /// # Errors
    /// The producer has ended.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.seal()?;
        while self.session.pending_chunks() > 0 {
            self.turn(SLEEP_MAX)?;
        }
        self.check()
    }

    /// Takes the acknowledgements that have come, in order.
    pub fn take_acks(&mut self) -> impl Iterator<Item = Ack> + '_ {
        std::iter::from_fn(|| self.session.take_ack())
    }

    /// What the producer has done, and what it still holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = self.session.counters();
        Stats {
            node: self.session.node(),
            reconnects: counters.greetings.saturating_sub(1),
            resends: counters.resends,
            refusals: counters.refusals,
            acked_chunks: counters.acked_chunks,
            acked_events: counters.acked_events,
            dropped_acks: counters.dropped_acks,
            pending_chunks: self.session.pending_chunks(),
            pending_bytes: self.session.pending_bytes(),
            in_flight: self.session.in_flight(),
        }
    }

    /// The producer's id.
    #[must_use]
    pub fn id(&self) -> ProducerId {
        self.id
    }

    /// The producer's clock: nanoseconds since it was made. [`Ack`] speaks in it.
    #[must_use]
    pub fn now(&self) -> Time {
        self.transport.now()
    }

    /// Waits until everything is acknowledged, and closes the connection.
    ///
    /// # Errors
    /// The producer has ended before that.
    pub fn close(mut self) -> Result<Stats, ClientError> {
        self.flush()?;
        Ok(self.stats())
    }

    /// Seals the open chunk, if there is one. Waits while the window is full.
    fn seal(&mut self) -> Result<(), ClientError> {
        match self.open.take() {
            Some(open) => self.push(open.events, open.buffer).map(drop),
            None => Ok(()),
        }
    }

    fn push(&mut self, events: u32, buffer: Vec<u8>) -> Result<Sequence, ClientError> {
        let bytes = buffer.len();
        while !self.session.has_room(bytes) {
            self.turn(SLEEP_MAX)?;
        }
        let now = self.now();
        let idle = self.session.pending_chunks() == 0;
        let sequence = self
            .session
            .push(events, buffer, now)
            .map_err(|error| ClientError::InvalidEvent(InvalidEvent::Chunk(error)))?;
        self.unsent += bytes;
        let lingered = now.since(self.turned_at) >= nanoseconds(self.linger);
        if idle || lingered || self.unsent >= WRITE_BYTES {
            self.turn(Duration::ZERO)?;
        }
        Ok(sequence)
    }

    /// One round: write, sleep up to `timeout` if there is nothing to do, read.
    fn turn(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let turned = self.transport.turn(&mut self.session, timeout);
        turned.map_err(|error| ClientError::Io {
            doing: "waiting for the node",
            error,
        })?;
        self.unsent = 0;
        self.turned_at = self.now();
        self.check()
    }

    fn check(&self) -> Result<(), ClientError> {
        let Some(failure) = self.session.failure() else {
            return Ok(());
        };
        Err(match failure.clone() {
            Failure::Refused {
                code,
                text,
                expected,
            } => ClientError::Refused {
                code,
                text,
                expected,
            },
            Failure::Protocol(error) => ClientError::Protocol(error),
            Failure::GaveUp { after } => ClientError::TimedOut {
                what: "the acknowledgement of a chunk",
                after,
                last: self.session.trouble().clone(),
            },
        })
    }
}

/// Appends the event, or leaves the buffer as it was.
fn append(buffer: &mut Vec<u8>, event: &Event<'_>, size: usize) -> Result<(), ClientError> {
    let invalid = |error| ClientError::InvalidEvent(InvalidEvent::Event(error));
    let before = buffer.len();
    let room = size.min(CHUNK_BYTES_MAX);
    buffer.resize(before + room, 0);
    let to = buffer.get_mut(before..).unwrap_or_default();
    match event.write(to) {
        Ok(written) => {
            assert!(written == Some(size), "the event fits the room made for it");
            Ok(())
        }
        Err(error) => {
            buffer.truncate(before);
            Err(invalid(error))
        }
    }
}

fn random() -> Result<u64, ClientError> {
    getrandom::u64().map_err(|error| ClientError::Io {
        doing: "drawing a random number",
        error: error.into(),
    })
}
