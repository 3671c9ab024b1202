//! One question at a time over one connection, each with a deadline: what questions of state need.

use std::time::{Duration, Instant};

use quorate_wire::limits::FRAME_BODY_BYTES_MAX;
use quorate_wire::{FRAME_HEADER_BYTES, Frame, FrameError, FrameKind};
use zerocopy::{Immutable, IntoBytes};

use crate::connection::{Connection, Socket as _};
use crate::greeting::{Refusal, UNASKED, Welcome, expect_kind, write_frame, write_hello};
use crate::socket::PollSocket;
use crate::{ClientError, LinkCause};

/// The correlation of refusals that answer no request: the node closes the connection.
const CONNECTION: u64 = 0;

/// A greeted connection.
#[derive(Debug)]
pub(crate) struct Conversation {
    connection: Connection<PollSocket>,
    /// Correlation of the last request.
    correlation: u64,
    /// Bytes of the answer at the front of the buffer.
    answered: usize,
}

/// An answer, still in the connection's buffer.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// The frame that was asked for.
    Frame(Frame<'a>),
    /// The node refused.
    Refused(Refusal),
}

/// Why a conversation did not come about.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The node failed, or said no for now.
    Link(LinkCause),
    /// The node said no for good.
    Refused(Refusal),
}

impl Conversation {
    /// Connects to `address` and greets, whichever cluster that belongs to.
    pub(crate) fn open(address: &str, timeout: Duration) -> Result<(Self, Welcome), OpenError> {
        let deadline = Instant::now() + timeout;
        let input = vec![0; FRAME_HEADER_BYTES + FRAME_BODY_BYTES_MAX];
        let socket = PollSocket::dial(address).map_err(OpenError::Link)?;
        let mut connection = Connection::new(socket, input);
        while !connection.socket.established().map_err(OpenError::Link)? {
            wait(&connection, false, deadline, LinkCause::ConnectTimeout)
                .map_err(OpenError::Link)?;
        }
        let mut conversation = Self {
            connection,
            correlation: 0,
            answered: 0,
        };
        let welcome = conversation.greet(deadline)?;
        Ok((conversation, welcome))
    }

    fn greet(&mut self, deadline: Instant) -> Result<Welcome, OpenError> {
        self.correlation += 1;
        let mut hello = Vec::new();
        write_hello(&mut hello, None, self.correlation);
        self.write(&hello, deadline).map_err(OpenError::Link)?;
        let answer = self
            .answer(FrameKind::HelloReply, deadline)
            .map_err(OpenError::Link)?;
        let welcome = match answer {
            Answer::Frame(frame) => {
                Welcome::parse(&frame).map_err(|error| OpenError::Link(LinkCause::Frame(error)))?
            }
            Answer::Refused(refusal) if refusal.ends_connection_only() => {
                return Err(OpenError::Link(refusal.into_cause()));
            }
            Answer::Refused(refusal) => return Err(OpenError::Refused(refusal)),
        };
        self.taken();
        Ok(welcome)
    }

    /// Sends a request without a tail.
    pub(crate) fn ask<M: IntoBytes + Immutable>(
        &mut self,
        kind: FrameKind,
        message: &M,
        deadline: Instant,
    ) -> Result<(), LinkCause> {
        self.correlation += 1;
        let mut request = Vec::new();
        write_frame(&mut request, kind, self.correlation, message);
        self.write(&request, deadline)
    }

    /// Waits for the answer to the last request. It stays in the buffer until [`Self::taken`].
    pub(crate) fn answer(
        &mut self,
        kind: FrameKind,
        deadline: Instant,
    ) -> Result<Answer<'_>, LinkCause> {
        while whole(self.connection.input())?.is_none() {
            if !self.connection.read()? {
                wait(&self.connection, false, deadline, LinkCause::Silent)?;
            }
        }
        let frame = whole(self.connection.input())?.expect("the loop ends with a whole frame");
        self.answered = frame.bytes();
        let asked = frame.header.correlation;
        if frame.header.kind == FrameKind::Error && [CONNECTION, self.correlation].contains(&asked)
        {
            return Refusal::parse(&frame)
                .map(Answer::Refused)
                .map_err(LinkCause::Frame);
        }
        if asked != self.correlation {
            return Err(LinkCause::Frame(UNASKED));
        }
        expect_kind(&frame, kind).map_err(LinkCause::Frame)?;
        Ok(Answer::Frame(frame))
    }

    /// The answer at the front of the buffer is done with.
    pub(crate) fn taken(&mut self) {
        self.connection.take(self.answered);
        self.answered = 0;
    }

    fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), LinkCause> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.connection.socket.write(rest)?;
            rest = rest.get(written..).unwrap_or_default();
            if written == 0 {
                wait(&self.connection, true, deadline, LinkCause::Silent)?;
            }
        }
        Ok(())
    }
}

/// Asks the node at `address` one question, with a connection of its own.
pub(crate) fn ask_once<M: IntoBytes + Immutable, T>(
    address: &str,
    (kind, message): &(FrameKind, M),
    reply: FrameKind,
    timeout: Duration,
    parse: impl FnOnce(&Frame<'_>, Welcome) -> Result<T, FrameError>,
) -> Result<T, ClientError> {
    let deadline = Instant::now() + timeout;
    let failed = |cause| match cause {
        LinkCause::Frame(error) => ClientError::Protocol(error),
        LinkCause::ConnectTimeout | LinkCause::Silent => ClientError::TimedOut {
            what: "the answer to a question",
            after: timeout,
            last: cause,
        },
        LinkCause::None
        | LinkCause::Unresolved
        | LinkCause::Io(_)
        | LinkCause::Closed
        | LinkCause::Refused { .. } => ClientError::Unreachable {
            nodes: vec![address.to_owned()],
            last: cause,
        },
    };
    let (mut conversation, welcome) =
        Conversation::open(address, timeout).map_err(|error| match error {
            OpenError::Link(cause) => failed(cause),
            OpenError::Refused(refusal) => refusal.into(),
        })?;
    conversation.ask(*kind, message, deadline).map_err(failed)?;
    match conversation.answer(reply, deadline).map_err(failed)? {
        Answer::Frame(frame) => parse(&frame, welcome).map_err(ClientError::Protocol),
        Answer::Refused(refusal) => Err(refusal.into()),
    }
}

/// The frame at the front of the buffer, if it is whole. Cheap to ask again: a long tail is not under the frame's checksum.
fn whole(input: &[u8]) -> Result<Option<Frame<'_>>, LinkCause> {
    Frame::parse(input).map_err(LinkCause::Frame)
}

/// Sleeps until there is news; `late` at the deadline.
fn wait(
    connection: &Connection<PollSocket>,
    writes: bool,
    deadline: Instant,
    late: LinkCause,
) -> Result<(), LinkCause> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(late);
    }
    connection
        .socket
        .wait(writes, left)
        .map_err(|error| LinkCause::Io(error.kind()))
}
