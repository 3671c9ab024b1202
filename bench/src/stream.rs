//! One producer: its session, and the socket that the session wishes for.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use quorate_client::session::{Endpoint, LinkNumber, Session};
use quorate_client::{AckLevel, ClientError, InvalidEvent, LinkCause, Time};
use quorate_wire::FrameError;

use crate::dial::{Dial, DialState};
use crate::ids::Ids;
use crate::measured::Measured;
use crate::schedule::Turns;

/// Bytes that one read takes: thousands of acknowledgements.
const INPUT_BYTES: usize = 256 << 10;

/// What is sent, one request after the other, and again.
#[derive(Debug)]
pub(crate) struct Requests {
    /// Events in each.
    pub(crate) events: u32,
    /// The events of each.
    pub(crate) bytes: Vec<Vec<u8>>,
    /// Those of the events, if they have any.
    pub(crate) ids: Option<Ids>,
}

impl Requests {
    fn nth(&self, number: usize) -> &[u8] {
        let place = number % self.bytes.len().max(1);
        self.bytes.get(place).map_or(&[], Vec::as_slice)
    }

    /// Whether no further one can be made.
    pub(crate) fn are_used_up(&self) -> bool {
        let ids = self.ids.as_ref();
        ids.is_some_and(|ids| ids.are_used_up(self.events))
    }
}

#[derive(Debug)]
pub(crate) struct Stream {
    session: Session,
    /// What its acknowledgements are to promise.
    acks: AckLevel,
    socket: Option<(LinkNumber, TcpStream)>,
    /// Invariant: while there is a socket, nothing is dialled.
    dial: Option<Dial>,
    /// Read bytes that are no whole frame yet lie in `input[..filled]`.
    input: Vec<u8>,
    filled: usize,
    /// The socket took less than there was to write.
    blocked: bool,
    /// Requests made so far: they say which one is next.
    made: usize,
    /// When each request that is not yet acknowledged was due, in order: acknowledgements come in that order too. Empty in a
    /// closed loop.
    dues: VecDeque<Time>,
}

impl Stream {
    pub(crate) fn new(session: Session, acks: AckLevel) -> Self {
        Self {
            session,
            acks,
            socket: None,
            dial: None,
            input: vec![0; INPUT_BYTES],
            filled: 0,
            blocked: false,
            made: 0,
            dues: VecDeque::new(),
        }
    }

    /// The socket to wait for, and whether for writing too.
    pub(crate) fn awaited(&self) -> Option<(&TcpStream, bool)> {
        if let Some(dial) = &self.dial {
            return dial.socket().map(|socket| (socket, true));
        }
        let (_, socket) = self.socket.as_ref()?;
        Some((socket, self.blocked))
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Reads, and counts what was acknowledged.
    pub(crate) fn receive(&mut self, now: Time, measured: &mut Measured) {
        while let Some((number, socket)) = &mut self.socket {
            let number = *number;
            let room = self.input.get_mut(self.filled..).unwrap_or_default();
            let read = match socket.read(room) {
                Ok(0) => return self.lost(LinkCause::Closed, now),
                Ok(read) => read,
                Err(error) if passing(&error) => return,
                Err(error) => return self.lost(LinkCause::Io(error.kind()), now),
            };
            let full = read == room.len();
            self.filled += read;
            let bytes = self.input.get(..self.filled).unwrap_or_default();
            let taken = self.session.received(number, bytes, now);
            self.input.copy_within(taken..self.filled, 0);
            self.filled -= taken;
            self.count(measured);
            if !full {
                return;
            }
            if self.filled == self.input.len() {
                // No answer to a producer is so long.
                let error = FrameError::TooLarge { bytes: INPUT_BYTES };
                return self.lost(LinkCause::Frame(error), now);
            }
        }
    }

    fn count(&mut self, measured: &mut Measured) {
        while let Some(ack) = self.session.take_ack() {
            let began = self.dues.pop_front().unwrap_or(ack.sent_at);
            measured.acked(ack.events, began, ack.acked_at);
            measured.told(&ack, self.acks);
        }
    }

    /// Fills the window.
    pub(crate) fn fill(&mut self, requests: &mut Requests, now: Time) -> Result<(), ClientError> {
        while self.has_room() && !requests.are_used_up() {
            self.push(requests, now)?;
        }
        Ok(())
    }

    /// Sends what is due, and what is overdue, as far as the window allows.
    pub(crate) fn catch_up(
        &mut self,
        requests: &mut Requests,
        turns: &mut Turns,
        now: Time,
        measured: &mut Measured,
    ) -> Result<(), ClientError> {
        while let Some(due) = turns.next_due().filter(|&due| due <= now)
            && self.has_room()
            && !requests.are_used_up()
        {
            self.push(requests, now)?;
            turns.take();
            self.dues.push_back(due);
            measured.sent(due, now);
        }
        Ok(())
    }

    /// Whether the window has room for a request: it is told in requests, their bytes bound nothing.
    pub(crate) fn has_room(&self) -> bool {
        self.session.has_room(0)
    }

    fn push(&mut self, requests: &mut Requests, now: Time) -> Result<(), ClientError> {
        let mut buffer = self.session.buffer();
        if let Some(ids) = &mut requests.ids {
            ids.write(requests.events, &mut buffer);
        }
        buffer.extend_from_slice(requests.nth(self.made));
        self.session
            .push(requests.events, buffer, now)
            .map_err(|error| ClientError::InvalidEvent(InvalidEvent::Chunk(error)))?;
        self.made += 1;
        Ok(())
    }

    /// Lets time pass, sees to the connection, and writes.
    pub(crate) fn send(&mut self, now: Time) -> Result<(), ClientError> {
        self.session.tick(now);
        self.dial(now);
        self.write(now);
        self.session.check()
    }

    /// Sees to it that there is the connection that the session wishes for, or an attempt at it.
    fn dial(&mut self, now: Time) {
        let wished = self.session.wish().map(|wish| wish.number);
        let held = self.socket.as_ref().map(|(number, _)| *number);
        let dialed = self.dial.as_ref().map(Dial::number);
        if held.or(dialed) != wished {
            (self.socket, self.dial) = (None, None);
        }
        self.blocked = false;
        if self.socket.is_none() && self.dial.is_none() {
            let Some(wish) = self.session.wish() else {
                return;
            };
            self.filled = 0;
            self.dial = Some(Dial::begin(wish.number, wish.address));
        }
        let Some(dial) = &mut self.dial else {
            return;
        };
        let number = dial.number();
        match dial.state() {
            DialState::Open => {}
            DialState::Connected(socket) => {
                (self.socket, self.dial) = (Some((number, socket)), None);
                self.session.connected(number, now);
            }
            DialState::Failed(cause) => {
                self.dial = None;
                self.session.lost(number, cause, now);
            }
        }
    }

    fn write(&mut self, now: Time) {
        while let Some((_, socket)) = &mut self.socket {
            let bytes = self.session.output(now);
            if bytes.is_empty() {
                return;
            }
            match socket.write(bytes) {
                Ok(written) => self.session.wrote(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if passing(&error) => {
                    self.blocked = true;
                    return;
                }
                Err(error) => self.lost(LinkCause::Io(error.kind()), now),
            }
        }
    }

    fn lost(&mut self, cause: LinkCause, now: Time) {
        if let Some((number, _)) = self.socket.take() {
            self.session.lost(number, cause, now);
        }
    }
}

fn passing(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind())
}
