//! One nonblocking socket under an endpoint.
//!
//! Owns: the socket and the clock. Never: decides what to send when, or where to; that is the endpoint's. Called by: the blocking
//! producer and consumer, whose own thread waits, and those on an async runtime.

use std::io;
use std::time::{Duration, Instant};

use quorate_wire::{FrameError, Time};

use crate::LinkCause;
use crate::connection::{Connection, Socket};
use crate::endpoint::{Endpoint, LinkNumber};
use crate::session::nanoseconds;
use crate::socket::{PollSocket, sleep};

/// The socket under an endpoint.
#[derive(Debug)]
pub(crate) struct Transport<S> {
    connection: Option<(LinkNumber, Connection<S>)>,
    /// The input buffer while there is no connection.
    spare: Vec<u8>,
    /// Bytes of the largest frame that the endpoint takes.
    input_bytes: usize,
    clock: Clock,
}

/// Nanoseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn now(self) -> Time {
        Time(nanoseconds(self.0.elapsed()))
    }
}

/// What to wait for, when there is nothing to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// Until when at the latest; for ever if there is no deadline.
    pub(crate) timeout: Option<Duration>,
    /// Whether bytes wait for the socket to take them.
    pub(crate) blocked: bool,
}

impl<S: Socket> Transport<S> {
    /// No connection yet. `input_bytes` is the largest frame that may come.
    pub(crate) fn new(input_bytes: usize) -> Self {
        Self {
            connection: None,
            spare: vec![0; input_bytes],
            input_bytes,
            clock: Clock(Instant::now()),
        }
    }

    /// The endpoint's clock.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Lets time pass, connects, moves bytes both ways. Returns what to wait for before the next round, or nothing if bytes came
    /// in.
    pub(crate) fn advance(&mut self, end: &mut impl Endpoint) -> Option<Pause> {
        let now = self.now();
        if end.deadline().is_some_and(|due| due <= now) {
            // The answers may have come while the caller was elsewhere: they are read before the silence is judged.
            self.exchange(end, now);
        }
        end.tick(now);
        self.dial(end);
        let now = self.now();
        if self.exchange(end, now) {
            return None;
        }
        let timeout = end
            .deadline()
            .map(|due| Duration::from_nanos(due.since(now)));
        Some(Pause {
            timeout,
            blocked: !end.output(now).is_empty(),
        })
    }

    /// The socket to wait for.
    pub(crate) fn socket(&mut self) -> Option<&mut S> {
        let (_, connection) = self.connection.as_mut()?;
        Some(&mut connection.socket)
    }

    /// Makes the connection that the endpoint wishes for; if that fails at once, the one that it wishes for then.
    fn dial(&mut self, end: &mut impl Endpoint) {
        while end.wish().map(|wish| wish.number) != self.held() {
            if let Some((_, connection)) = self.connection.take() {
                self.spare = connection.into_buffer();
            }
            let Some(wish) = end.wish() else {
                return;
            };
            let number = wish.number;
            match S::dial(wish.address) {
                Ok(socket) => {
                    let mut input = std::mem::take(&mut self.spare);
                    input.resize(self.input_bytes, 0);
                    self.connection = Some((number, Connection::new(socket, input)));
                }
                // To look an address up may have taken long.
                Err(cause) => end.lost(number, cause, self.now()),
            }
        }
    }

    fn held(&self) -> Option<LinkNumber> {
        self.connection.as_ref().map(|(number, _)| *number)
    }

    /// Moves bytes both ways without waiting, and returns whether anything came in.
    fn exchange(&mut self, end: &mut impl Endpoint, now: Time) -> bool {
        let Some((number, connection)) = &mut self.connection else {
            return false;
        };
        match exchange(end, *number, connection, now) {
            Ok(moved) => moved,
            Err(cause) => {
                end.lost(*number, cause, now);
                true
            }
        }
    }

    /// Writes what the endpoint has to say, as far as the socket takes it.
    pub(crate) fn flush(&mut self, end: &mut impl Endpoint) {
        let now = self.now();
        let Some((number, connection)) = &mut self.connection else {
            return;
        };
        if let Err(cause) = write(end, *number, connection, now) {
            end.lost(*number, cause, now);
        }
    }
}

impl Transport<PollSocket> {
    /// One round: write, sleep up to `timeout` if there is nothing to do, read.
    pub(crate) fn turn(&mut self, end: &mut impl Endpoint, timeout: Duration) -> io::Result<()> {
        if let Some(pause) = self.advance(end) {
            let timeout = pause.timeout.map_or(timeout, |due| due.min(timeout));
            if !timeout.is_zero() {
                match self.socket() {
                    Some(socket) => socket.wait(pause.blocked, timeout)?,
                    None => sleep(timeout)?,
                }
                self.exchange(end, self.now());
            }
        }
        end.tick(self.now());
        Ok(())
    }
}

fn is_wished(end: &impl Endpoint, number: LinkNumber) -> bool {
    end.wish().is_some_and(|wish| wish.number == number)
}

/// Writes what there is. Says whether the connection can be read.
fn write<S: Socket>(
    end: &mut impl Endpoint,
    number: LinkNumber,
    connection: &mut Connection<S>,
    now: Time,
) -> Result<bool, LinkCause> {
    if !is_wished(end, number) || !connection.socket.established()? {
        return Ok(false);
    }
    end.connected(number, now);
    loop {
        let bytes = end.output(now);
        if bytes.is_empty() {
            return Ok(true);
        }
        let written = connection.socket.write(bytes)?;
        if written == 0 {
            return Ok(true);
        }
        end.wrote(written);
    }
}

fn exchange<S: Socket>(
    end: &mut impl Endpoint,
    number: LinkNumber,
    connection: &mut Connection<S>,
    now: Time,
) -> Result<bool, LinkCause> {
    if !is_wished(end, number) {
        // The endpoint has moved on; the next turn drops this connection.
        return Ok(true);
    }
    let mut moved = false;
    if !connection.input().is_empty() {
        // What the endpoint did not want before, it may want now.
        let taken = end.received(number, connection.input(), now);
        connection.take(taken);
        moved = taken > 0;
    }
    if !write(end, number, connection, now)? {
        return Ok(moved);
    }
    while connection.read()? {
        moved = true;
        let full = connection.is_full();
        let taken = end.received(number, connection.input(), now);
        connection.take(taken);
        if connection.is_full() {
            // No answer is so long.
            return Err(LinkCause::Frame(FrameError::TooLarge {
                bytes: connection.input().len(),
            }));
        }
        if !full {
            break;
        }
    }
    Ok(moved)
}
