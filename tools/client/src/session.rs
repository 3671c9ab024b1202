//! The producer's protocol without sockets, clocks or chance: which node to talk to, what to send it and when to send it again,
//! until every chunk is acknowledged.
//!
//! Owns: the chunks until they are acknowledged, and the way to the leader. Never: opens a socket, reads a clock, draws chance,
//! starts a thread: moments and received bytes come in as values. Called by: [`Producer`](crate::Producer), and by simulators.
//!
//! It is driven as any [`Endpoint`].
//!
//! Go-back-N: a node takes a producer's chunks in sequence only, so after a refusal it refuses those behind it too. The session
//! goes back to the first chunk without an acknowledgement, waits until the node has answered what is still open, sends that one
//! chunk alone, and opens the window again when it is acknowledged.

mod answer;
mod config;
mod outcome;
mod report;
mod requests;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

use quorate_wire::client::{AckLevel, Produce};
use quorate_wire::{ChunkError, FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use quorate_wire::{NodeId, Offset, Sequence, Time};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use crate::LinkCause;
pub use crate::endpoint::{Endpoint, LinkNumber, Wish};
use crate::greeting::GROUP;
use crate::link::Link;
pub use config::SessionConfig;
pub use outcome::{Ack, Counters, Failure};
use requests::Requests;
use window::{ChunkNumber, Window};

/// Once so many bytes are put together for one write, further chunks wait for the next one.
const STAGE_BYTES: usize = 256 << 10;

/// A node that leaves one request open while it answers so many later ones will not answer it any more.
const OPEN_SPAN_MAX: usize = 1 << 16;

/// A connection that is up.
#[derive(Debug)]
struct Up {
    /// What node and caller both allow in flight.
    requests_max: usize,
    bytes_max: usize,
    pace: Pace,
}

/// How much may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Nothing is sent before this moment.
    Paused { until: Time },
    /// One request, and that only once all earlier ones are answered: it is not yet known that the node takes them.
    Probing,
    /// The window.
    Full,
}

/// A producer's session. The module's page says how to drive it.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    link: Link<Up>,
    /// Why the session has ended, if it has: then the link stays without a connection.
    failure: Option<Failure>,
    window: Window,
    /// Open requests of the present connection.
    requests: Requests,
    /// The last sign of life while requests are open: an answer, the first request after a silence that was in order, or bytes
    /// that the connection took after it had taken none: a large chunk on a slow way is no silence.
    heard_at: Time,
    /// Whether bytes waited for the connection when time last passed, and whether it has taken some since.
    blocked: bool,
    moved: bool,
    acks: VecDeque<Ack>,
    /// Offset after the last acknowledged chunk: a later one cannot lie before it.
    acked_end: Offset,
    /// Since when nodes say that what was acknowledged is not there.
    doubted_since: Option<Time>,
    counters: Counters,
}

impl Session {
    /// A session that wishes for a connection with the first node.
    ///
    /// # Panics
    /// The configuration has no node.
    #[must_use]
    pub fn new(config: SessionConfig, now: Time) -> Self {
        let mut link = Link::new(
            &config.nodes,
            config.cluster,
            config.connect_timeout,
            config.seed,
        );
        link.dial(now);
        Self {
            link,
            failure: None,
            window: Window::new(&config),
            requests: Requests::default(),
            heard_at: now,
            blocked: false,
            moved: false,
            acks: VecDeque::new(),
            acked_end: Offset(0),
            doubted_since: None,
            counters: Counters::default(),
            config,
        }
    }

    /// Whether a chunk of so many bytes, its header included, would be within the window.
    #[must_use]
    pub fn has_room(&self, chunk_bytes: usize) -> bool {
        self.window.has_room(chunk_bytes)
    }

    /// A buffer for the next chunk, with room for its header in front; events are appended to it. Buffers come back from
    /// acknowledged chunks.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.window.buffer()
    }

    /// Takes a chunk: a buffer of [`Self::buffer`] with `events` events behind the header's room. The caller has asked
    /// [`Self::has_room`].
    ///
    /// # Errors
    /// The chunk is over a limit; the session goes on without it.
    pub fn push(
        &mut self,
        events: u32,
        buffer: Vec<u8>,
        now: Time,
    ) -> Result<Sequence, ChunkError> {
        self.window.push(events, buffer, now)
    }

    /// The sequence that the next chunk begins with.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.window.next_sequence()
    }

    /// When the pause ends, or the node has been silent for too long.
    fn pace_deadline(&self) -> Option<Time> {
        let up = self.link.get()?;
        let wait = match self.config.acks {
            AckLevel::All => nanoseconds(self.config.all_timeout),
            AckLevel::Quorum | AckLevel::Accepted => 0,
        };
        let patience = nanoseconds(self.config.request_timeout);
        let silence = self.heard_at.after(patience).after(wait);
        let silence = (self.requests.open() > 0).then_some(silence);
        let pause = match up.pace {
            Pace::Paused { until } => Some(until),
            Pace::Probing | Pace::Full => None,
        };
        silence.into_iter().chain(pause).min()
    }

    /// Takes the oldest acknowledgement; they come in order of their sequences.
    pub fn take_ack(&mut self) -> Option<Ack> {
        self.acks.pop_front()
    }

    /// Acknowledgements to take.
    #[must_use]
    pub fn acks(&self) -> usize {
        self.acks.len()
    }

    /// Why the session has ended, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The node that answered the greeting of the present connection.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.link.node()
    }

    /// How the last connection that failed did so.
    #[must_use]
    pub fn trouble(&self) -> &LinkCause {
        &self.link.trouble
    }

    /// All addresses known: the configured ones and those that nodes named.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.link.route.addresses()
    }

    /// What the session has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Chunks that are not yet acknowledged.
    #[must_use]
    pub fn pending_chunks(&self) -> usize {
        self.window.len()
    }

    /// Their bytes.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.window.bytes()
    }

    /// Every event with a sequence before this one is acknowledged.
    #[must_use]
    pub fn acked_before(&self) -> Sequence {
        self.window.acked_before()
    }

    /// Requests on the present connection that have no answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.requests.open()
    }

    /// Puts waiting chunks into the output, as far as the window allows.
    fn stage(&mut self, now: Time) {
        let Some(up) = self.link.get_mut() else {
            return;
        };
        let bytes_max = up.bytes_max;
        let requests_max = match up.pace {
            Pace::Paused { until } if now < until => 0,
            Pace::Paused { .. } => {
                up.pace = Pace::Probing;
                1
            }
            Pace::Probing => 1,
            Pace::Full => up.requests_max,
        };
        while self.link.out.len() < STAGE_BYTES && self.requests.open() < requests_max {
            let Some(chunk_bytes) = self.window.waiting_bytes() else {
                return;
            };
            let frame_bytes = FRAME_HEADER_BYTES + size_of::<Produce>() + chunk_bytes;
            let open = self.requests.open();
            if open > 0 && self.requests.open_bytes() + frame_bytes > bytes_max {
                return;
            }
            let correlation = self.link.next_correlation();
            let (sent, again, bytes) = self
                .window
                .send(correlation, now)
                .expect("a chunk waits: its size was just taken");
            let asks = asks(&self.config, sent.0);
            let asks = asks.as_bytes();
            let kind = FrameKind::Produce;
            let header = FrameHeader::seal(kind, correlation, GROUP, &[asks], bytes.len());
            let out = self.link.out.bytes();
            out.extend_from_slice(&header);
            out.extend_from_slice(asks);
            out.extend_from_slice(bytes);
            self.counters.resends += u64::from(again);
            if open == 0 {
                self.heard_at = now;
            }
            self.requests.add(correlation, sent, frame_bytes);
        }
    }

    /// The connection is over because the node failed.
    fn lose(&mut self, cause: LinkCause, now: Time) {
        let when = self.link.fail(&cause, now);
        self.link.trouble = cause;
        self.reconnect(when, now);
    }

    /// Drops the connection and goes where the route now points, at `when`.
    fn reconnect(&mut self, when: Time, now: Time) {
        self.disconnect(when);
        if when <= now {
            self.link.dial(now);
        }
    }

    fn end(&mut self, failure: Failure) {
        self.disconnect(Time(u64::MAX));
        self.failure = Some(failure);
    }

    fn disconnect(&mut self, until: Time) {
        self.requests.clear();
        self.window.go_back();
        (self.blocked, self.moved) = (false, false);
        self.link.leave(until);
    }

    /// When the age of the oldest chunk ends the session, and how old that is.
    fn gives_up(&self) -> Option<(Time, Duration)> {
        let after = self.config.give_up?;
        let end = self.window.oldest()?.after(nanoseconds(after));
        Some((end, after))
    }
}

impl Endpoint for Session {
    fn wish(&self) -> Option<Wish<'_>> {
        self.link.wish()
    }

    fn connected(&mut self, number: LinkNumber, _now: Time) {
        self.link.connected(number);
    }

    fn lost(&mut self, number: LinkNumber, cause: LinkCause, now: Time) {
        if self.link.is(number) {
            self.lose(cause, now);
        }
    }

    fn output(&mut self, now: Time) -> &[u8] {
        if self.link.out.shed() {
            self.stage(now);
        }
        self.link.out.rest()
    }

    fn wrote(&mut self, bytes: usize) {
        self.moved |= self.blocked;
        self.link.out.wrote(bytes);
    }

    fn received(&mut self, number: LinkNumber, bytes: &[u8], now: Time) -> usize {
        let mut rest = bytes;
        while let Some(heard) = self.link.hear(number, &mut rest) {
            if let Err(error) = heard.and_then(|heard| self.heard(heard, now)) {
                self.lose(LinkCause::Frame(error), now);
            }
        }
        bytes.len() - rest.len()
    }

    fn tick(&mut self, now: Time) {
        if self.failure.is_some() {
            return;
        }
        if std::mem::take(&mut self.moved) {
            self.heard_at = now;
        }
        self.blocked = !self.link.out.rest().is_empty();
        if let Some((end, after)) = self.gives_up()
            && end <= now
        {
            return self.end(Failure::GaveUp { after });
        }
        if let Some(late) = self.link.tick(now) {
            return self.lose(late, now);
        }
        if self.pace_deadline().is_none_or(|due| now < due) {
            return;
        }
        match self.link.get_mut() {
            Some(up) if matches!(up.pace, Pace::Paused { until } if until <= now) => {
                up.pace = Pace::Probing;
            }
            Some(_) => self.lose(LinkCause::Silent, now),
            None => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        if self.failure.is_some() {
            return None;
        }
        let link = self.link.deadline().or(self.pace_deadline());
        let end = self.gives_up().map(|(end, _)| end);
        link.into_iter().chain(end).min()
    }
}

/// What is asked for a chunk.
fn asks(config: &SessionConfig, chunk: ChunkNumber) -> Produce {
    let traced = config.trace_one_in > 0 && chunk.0.is_multiple_of(config.trace_one_in);
    let timeout_ms = u32::try_from(config.all_timeout.as_millis()).unwrap_or(u32::MAX);
    Produce {
        acks: config.acks.to_byte(),
        flags: if traced { Produce::TRACE } else { 0 },
        priority: config.priority,
        reserved: 0,
        timeout_ms: U32::new(timeout_ms),
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
