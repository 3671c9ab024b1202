//! One nonblocking socket under an endpoint, moved by the caller's own thread.
//!
//! Owns: the socket and the clock. Never: decides what to send when, or where to; that is the endpoint's. Called by: the blocking
//! producer and the consumer.

use std::io;
use std::time::{Duration, Instant};

use quorate_wire::{FrameError, Time};

use crate::LinkCause;
use crate::connection::{Connection, sleep};
use crate::endpoint::{Endpoint, LinkNumber};
use crate::session::nanoseconds;

/// The socket under an endpoint.
#[derive(Debug)]
pub(crate) struct Transport {
    connection: Option<(LinkNumber, Connection)>,
    /// The input buffer while there is no connection.
    spare: Vec<u8>,
    /// Bytes of the largest frame that the endpoint takes.
    input_bytes: usize,
    start: Instant,
}

impl Transport {
    /// No connection yet. `input_bytes` is the largest frame that may come.
    pub(crate) fn new(input_bytes: usize) -> Self {
        Self {
            connection: None,
            spare: vec![0; input_bytes],
            input_bytes,
            start: Instant::now(),
        }
    }

    /// The endpoint's clock: nanoseconds since the transport was made.
    pub(crate) fn now(&self) -> Time {
        Time(nanoseconds(self.start.elapsed()))
    }

    /// One round: write, sleep up to `timeout` if there is nothing to do, read.
    pub(crate) fn turn(&mut self, end: &mut impl Endpoint, timeout: Duration) -> io::Result<()> {
        let now = self.now();
        if end.deadline().is_some_and(|due| due <= now) {
            // The answers may have come while the caller was elsewhere: they are read before the silence is judged.
            self.exchange(end, now);
        }
        end.tick(now);
        self.dial(end);
        self.exchange_and_wait(end, timeout)?;
        end.tick(self.now());
        Ok(())
    }

    fn exchange_and_wait(&mut self, end: &mut impl Endpoint, timeout: Duration) -> io::Result<()> {
        let now = self.now();
        let moved = self.exchange(end, now);
        let timeout = match end.deadline() {
            Some(due) => timeout.min(Duration::from_nanos(due.since(now))),
            None => timeout,
        };
        if moved || timeout.is_zero() {
            return Ok(());
        }
        let blocked = !end.output(now).is_empty();
        match &self.connection {
            Some((_, connection)) => connection.wait(blocked, timeout)?,
            None => sleep(timeout)?,
        }
        let now = self.now();
        self.exchange(end, now);
        Ok(())
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
            match Connection::dial(wish.address, std::mem::take(&mut self.spare)) {
                Ok(connection) => self.connection = Some((number, connection)),
                Err(cause) => {
                    self.spare = vec![0; self.input_bytes];
                    // To look an address up may have taken long.
                    end.lost(number, cause, self.now());
                }
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

fn is_wished(end: &impl Endpoint, number: LinkNumber) -> bool {
    end.wish().is_some_and(|wish| wish.number == number)
}

/// Writes what there is. Says whether the connection can be read.
fn write(
    end: &mut impl Endpoint,
    number: LinkNumber,
    connection: &mut Connection,
    now: Time,
) -> Result<bool, LinkCause> {
    if !is_wished(end, number) || !connection.established()? {
        return Ok(false);
    }
    end.connected(number, now);
    loop {
        let bytes = end.output(now);
        if bytes.is_empty() {
            return Ok(true);
        }
        let written = connection.write(bytes)?;
        if written == 0 {
            return Ok(true);
        }
        end.wrote(written);
    }
}

fn exchange(
    end: &mut impl Endpoint,
    number: LinkNumber,
    connection: &mut Connection,
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
