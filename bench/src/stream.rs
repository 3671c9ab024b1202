//! One producer: its session, and the socket that the session wishes for.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use quorate_client::session::{Endpoint, Failure, LinkNumber, Session};
use quorate_client::{ClientError, InvalidEvent, LinkCause, Time};
use quorate_wire::FrameError;

use crate::measured::Measured;

/// Bytes that one read takes: thousands of acknowledgements.
const INPUT_BYTES: usize = 256 << 10;

/// How long an attempt to connect may block the loop.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// The events of every request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) events: u32,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Stream {
    session: Session,
    socket: Option<(LinkNumber, TcpStream)>,
    /// Read bytes that are no whole frame yet lie in `input[..filled]`.
    input: Vec<u8>,
    filled: usize,
    /// The socket took less than there was to write.
    blocked: bool,
}

impl Stream {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            socket: None,
            input: vec![0; INPUT_BYTES],
            filled: 0,
            blocked: false,
        }
    }

    /// The socket to wait for, and whether for writing too.
    pub(crate) fn awaited(&self) -> Option<(&TcpStream, bool)> {
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
            measured.acked(ack.events, ack.latency());
        }
    }

    /// Fills the window.
    pub(crate) fn fill(&mut self, request: &Request, now: Time) -> Result<(), ClientError> {
        // The session's window has room for so many requests in flight, however large they are.
        while self.session.has_room(request.bytes.len()) {
            let mut buffer = self.session.buffer();
            buffer.extend_from_slice(&request.bytes);
            self.session
                .push(request.events, buffer, now)
                .map_err(|error| ClientError::InvalidEvent(InvalidEvent::Chunk(error)))?;
        }
        Ok(())
    }

    /// Lets time pass, sees to the connection, and writes.
    pub(crate) fn send(&mut self, now: Time) -> Result<(), ClientError> {
        self.session.tick(now);
        self.dial(now);
        self.write(now);
        match self.session.failure() {
            Some(failure) => Err(self.ended(failure.clone())),
            None => Ok(()),
        }
    }

    fn dial(&mut self, now: Time) {
        let wished = self.session.wish().map(|wish| wish.number);
        let held = self.socket.as_ref().map(|(number, _)| *number);
        if held.is_some() && held != wished {
            self.socket = None;
        }
        self.blocked = false;
        let Some(wish) = self.session.wish().filter(|_| self.socket.is_none()) else {
            return;
        };
        let number = wish.number;
        self.filled = 0;
        match connect(wish.address) {
            Ok(socket) => {
                self.socket = Some((number, socket));
                self.session.connected(number, now);
            }
            Err(cause) => self.session.lost(number, cause, now),
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

    fn ended(&self, failure: Failure) -> ClientError {
        match failure {
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
        }
    }
}

fn connect(address: &str) -> Result<TcpStream, LinkCause> {
    let addresses = address
        .to_socket_addrs()
        .map_err(|_| LinkCause::Unresolved)?;
    let mut cause = LinkCause::Unresolved;
    for address in addresses {
        let connected = TcpStream::connect_timeout(&address, CONNECT_WITHIN).and_then(|socket| {
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => return Ok(socket),
            Err(error) => cause = LinkCause::Io(error.kind()),
        }
    }
    Err(cause)
}

fn passing(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind())
}
