//! One client's connection: its socket, its output, what it has in flight.
//!
//! ```text
//!            Hello             an error that ends it        flushed, half-closed, and the client
//!  Greeting -------> Open ---------------------> Ending -- closed its side or was given a second --> Closed
//!                      \                                                                             ^
//!                       `-- the client closed its side --> Finishing -- all its answers are sent ----'
//! ```
//!
//! Owns: the phase, the output's bound, the counts of what is in flight. Never: parses, or asks the pipeline. Called by: its
//! reader, its writer, the pump and the sweeper, all on one thread.

use std::cell::{Cell, RefCell};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use quorate_replication::gate::{Quota, Subscriptions};

use super::acceptor::Seat;
use super::bell::Bell;
use super::executor::Stream;

/// How long a client that was told why its connection ends has for reading it.
pub(super) const ENDING_TIME: Duration = Duration::from_secs(1);

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its greeting has not come.
    Greeting,
    /// It may ask.
    Open,
    /// It was told why it ends. What it still sends is thrown away: a socket closed with bytes unread resets the
    /// connection, and the client might never read why.
    Ending,
    /// The client closed its side, and gets the answers that it waits for.
    Finishing,
    /// It is over: its tasks end.
    Closed,
}

/// What happens when a deadline has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The greeting did not come in time.
    Hello,
    /// The frame did not end in time.
    Frame,
    /// The client took too long to go.
    Leave,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// The shard's name for it, never used again.
    pub(super) name: u64,
    pub(super) client: Option<SocketAddr>,
    pub(super) stream: Stream,
    phase: Cell<Phase>,
    /// Whether the client takes one answer for several requests.
    pub(super) merged: Cell<bool>,
    pub(super) deadline: Cell<Option<(Instant, Overdue)>>,
    pub(super) in_flight: InFlight,
    /// What it may send, and has used of that.
    pub(super) quota: Cell<Quota>,
    output: RefCell<Vec<u8>>,
    /// Bytes of answers that the socket has not taken, in `output` and with the writer.
    unsent: Cell<usize>,
    /// Wakes the writer.
    pub(super) writer: Bell,
    /// Wakes the reader when it waits for the end of a `Finishing`.
    pub(super) gone: Bell,
    pub(super) subscriptions: RefCell<Subscriptions>,
    /// Whether a subscription waits for room in flight.
    pub(super) hungry: Cell<bool>,
    /// Whether the client has closed its side.
    client_left: Cell<bool>,
    /// Its place among the node's connections; none if it came when all were taken.
    seat: Option<Seat>,
}

/// What a connection waits for.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) requests: Cell<usize>,
    pub(super) fetches: Cell<usize>,
    /// Fetches of subscriptions.
    pub(super) pushes: Cell<usize>,
    pub(super) chunk_bytes: Cell<usize>,
}

/// The answer does not fit: the client does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slow;

impl Connection {
    pub(super) fn new(
        name: u64,
        client: Option<SocketAddr>,
        stream: Stream,
        seat: Option<Seat>,
        quota: Quota,
    ) -> Self {
        Self {
            name,
            client,
            stream,
            phase: Cell::new(Phase::Greeting),
            merged: Cell::new(false),
            deadline: Cell::new(None),
            in_flight: InFlight::default(),
            quota: Cell::new(quota),
            output: RefCell::default(),
            unsent: Cell::new(0),
            writer: Bell::default(),
            gone: Bell::default(),
            subscriptions: RefCell::default(),
            hungry: Cell::new(false),
            client_left: Cell::new(false),
            seat,
        }
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The greeting was accepted. `merged`: one answer may stand for several requests.
    pub(super) fn open(&self, merged: bool) {
        assert!(
            self.phase.get() == Phase::Greeting,
            "a connection greets once"
        );
        self.phase.set(Phase::Open);
        self.merged.set(merged);
        self.deadline.set(None);
    }

    /// Flush the output, half-close, and wait for the client to go.
    pub(super) fn end(&self, now: Instant) {
        if matches!(self.phase.get(), Phase::Ending | Phase::Closed) {
            return;
        }
        self.phase.set(Phase::Ending);
        self.deadline.set(Some((now + ENDING_TIME, Overdue::Leave)));
        self.writer.ring();
    }

    /// The client closed its side: send what it waits for, until `deadline`.
    pub(super) fn finish(&self, deadline: Instant) {
        self.client_left.set(true);
        match self.phase.get() {
            Phase::Greeting | Phase::Open => {
                self.phase.set(Phase::Finishing);
                self.deadline.set(Some((deadline, Overdue::Leave)));
            }
            // It has its deadline.
            Phase::Ending => {}
            Phase::Finishing | Phase::Closed => return,
        }
        self.writer.ring();
    }

    pub(super) const fn has_client_left(&self) -> bool {
        self.client_left.get()
    }

    /// Whether it came when all places of the node were taken.
    pub(super) const fn is_extra(&self) -> bool {
        self.seat.is_none()
    }

    /// Ends everything at once.
    pub(super) fn close(&self) {
        if self.phase.replace(Phase::Closed) == Phase::Closed {
            return;
        }
        self.deadline.set(None);
        *self.output.borrow_mut() = Vec::new();
        // The reader and the writer wake up on a socket that is shut down.
        self.stream.shutdown(Shutdown::Both);
        self.writer.ring();
        self.gone.ring();
    }

    /// Adds an answer to the output. The caller sees to it that the connection is closed if the client is too slow.
    pub(super) fn answer(&self, most: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Slow> {
        // Of a connection that was told why it ends, that was the last word.
        if matches!(self.phase.get(), Phase::Ending | Phase::Closed) {
            return Ok(());
        }
        let mut output = self.output.borrow_mut();
        let before = output.len();
        write(&mut output);
        let unsent = self.unsent.get() + output.len() - before;
        self.unsent.set(unsent);
        if unsent > most {
            return Err(Slow);
        }
        drop(output);
        self.writer.ring();
        Ok(())
    }

    /// Takes the output away, for writing it, and leaves `empty` in its place.
    pub(super) fn take_output(&self, empty: &mut Vec<u8>) {
        assert!(empty.is_empty(), "what was taken before has been written");
        std::mem::swap(&mut *self.output.borrow_mut(), empty);
    }

    /// Bytes of answers that the socket has not taken.
    pub(super) const fn unsent(&self) -> usize {
        self.unsent.get()
    }

    /// The socket has taken so many bytes.
    pub(super) fn sent(&self, bytes: usize) {
        self.unsent.set(self.unsent.get() - bytes);
    }

    /// Whether every answer that the client waits for is sent.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight.requests.get() == 0 && self.unsent.get() == 0
    }
}
