//! The blocking producer: the session over one nonblocking socket, moved by the caller's own thread.
//!
//! Owns: when bytes move. Never: decides what to send when; that is the session's. Called by: programs.

use std::time::{Duration, Instant};

use quorate_wire::{CHUNK_HEADER_BYTES, Event, ProducerId, Sequence, Time};

use crate::packer::Packer;
use crate::session::{Session, nanoseconds};
use crate::socket::PollSocket;
use crate::transport::Transport;
use crate::{Ack, ClientError, CloseError, InvalidEvent, ProducerOptions, Stats};

/// Bytes that one read takes: thousands of acknowledgements.
pub(crate) const INPUT_BYTES: usize = 256 << 10;

/// While requests are in flight, freshly sealed chunks wait until they are worth a write of their own.
const WRITE_BYTES: usize = 64 << 10;

/// The longest sleep; a bound for a wait that has no other.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// A producer: one stream of events in order, each in the log exactly once.
///
/// Bytes move when the caller calls: in `send` when the window is full or enough has gathered, in `poll`, and in `flush`. A
/// program that sends now and then ends each burst with `flush`, or calls `poll` regularly.
#[derive(Debug)]
pub struct Producer {
    session: Session,
    transport: Transport<PollSocket>,
    packer: Packer,
    /// Bytes sealed since the last turn.
    unsent: usize,
    turned_at: Time,
    id: ProducerId,
    linger: Duration,
}

impl Producer {
    /// Connects, and waits until a node has answered the greeting.
    ///
    /// # Errors
    /// No node answers within `ready_timeout`, or a node refuses the greeting for good.
    pub fn connect(options: ProducerOptions) -> Result<Self, ClientError> {
        let packer = Packer::new(&options);
        let (linger, ready_timeout) = (options.linger, options.ready_timeout);
        let config = options.session()?;
        let mut producer = Self {
            id: config.producer,
            session: Session::new(config, Time(0)),
            transport: Transport::new(INPUT_BYTES),
            packer,
            unsent: 0,
            turned_at: Time(0),
            linger,
        };
        producer.wait_ready(ready_timeout)?;
        Ok(producer)
    }

    fn wait_ready(&mut self, patience: Duration) -> Result<(), ClientError> {
        while self.session.node().is_none() {
            let left = Duration::from_nanos(nanoseconds(patience).saturating_sub(self.now().0));
            if left.is_zero() {
                return Err(self.session.unreachable());
            }
            self.turn(left)?;
        }
        Ok(())
    }

    /// Appends an event to the open chunk, and seals the chunk if that fills it. Waits while the window is full. The event is
    /// safe, as far as [`ProducerOptions::acks`] goes, when its acknowledgement has come: see [`Self::flush`] and [`Self::take_acks`].
    ///
    /// # Errors
    /// The event is over a limit (the producer goes on), or the producer has ended.
    pub fn send(&mut self, event: &Event<'_>) -> Result<Sequence, ClientError> {
        self.session.check()?;
        if self.packer.closes_before(event.size()) {
            self.seal()?;
        }
        let clock = self.transport.clock();
        let sequence = self
            .packer
            .append(event, &mut self.session, || clock.now())?;
        if self.packer.is_full() {
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
        self.session.check()?;
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
        let (Some(open), Some(due)) = (self.packer.open(), self.packer.due()) else {
            return Ok(None);
        };
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
        self.session.check()
    }

    /// Takes the acknowledgements that have come, in order.
    pub fn take_acks(&mut self) -> impl Iterator<Item = Ack> + '_ {
        std::iter::from_fn(|| self.session.take_ack())
    }

    /// What the producer has done, and what it still holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.session)
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

    /// Seals the open chunk, waits up to `patience` until everything is acknowledged, and closes the connection. A producer that is
    /// dropped instead drops what it holds.
    ///
    /// # Errors
    /// Not everything was acknowledged: the error says what was.
    pub fn close(mut self, patience: Duration) -> Result<Stats, CloseError> {
        match self.flush_within(patience) {
            Ok(()) => Ok(self.stats()),
            Err(error) => Err(CloseError::new(&self.session, &self.packer, error)),
        }
    }

    fn flush_within(&mut self, patience: Duration) -> Result<(), ClientError> {
        let start = Instant::now();
        loop {
            if self
                .packer
                .open()
                .is_some_and(|open| self.session.has_room(open.buffer.len()))
            {
                self.seal()?;
            }
            if self.packer.open().is_none() && self.session.pending_chunks() == 0 {
                return self.session.check();
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(self.session.timed_out("closing the producer", patience));
            }
            self.turn(left)?;
        }
    }

    /// Seals the open chunk, if there is one: it is sent without waiting for further events. Waits while the window is full.
    ///
    /// # Errors
    /// The producer has ended.
    pub fn seal(&mut self) -> Result<(), ClientError> {
        match self.packer.take() {
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
        self.session.check()
    }
}
