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
use quorate_wire::{ChunkError, ClusterName, FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use quorate_wire::{NodeId, Offset, Sequence, Time};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use crate::LinkCause;
pub use crate::endpoint::{Endpoint, LinkNumber, Wish};
use crate::greeting::{GROUP, write_hello};
use crate::outbox::Outbox;
use crate::route::{Loss, Route};
pub use config::SessionConfig;
pub use outcome::{Ack, Counters, Failure};
use requests::Requests;
use window::{ChunkNumber, Window};

/// Once so many bytes are put together for one write, further chunks wait for the next one.
const STAGE_BYTES: usize = 256 << 10;

/// A node that leaves one request open while it answers so many later ones will not answer it any more.
const OPEN_SPAN_MAX: usize = 1 << 16;

#[derive(Debug)]
enum Link {
    /// No connection until this moment.
    Waiting { until: Time },
    /// The caller is to connect.
    Dialing { since: Time },
    /// Connected; the greeting has no answer yet.
    Greeting { since: Time, correlation: u64 },
    /// Greeted.
    Up(Up),
    /// The session has ended.
    Ended(Failure),
}

#[derive(Debug)]
struct Up {
    node: NodeId,
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
    /// The cluster meant, or the one that answered first: chunks never go to a second cluster.
    cluster: Option<ClusterName>,
    route: Route,
    link: Link,
    number: LinkNumber,
    window: Window,
    /// Open requests of the present connection.
    requests: Requests,
    /// The next request's correlation: never used twice, also not over several connections.
    correlation: u64,
    out: Outbox,
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
    trouble: LinkCause,
    counters: Counters,
}

impl Session {
    /// A session that wishes for a connection with the first node.
    ///
    /// # Panics
    /// The configuration has no node.
    #[must_use]
    pub fn new(config: SessionConfig, now: Time) -> Self {
        Self {
            cluster: config.cluster,
            route: Route::new(&config.nodes, config.seed),
            link: Link::Dialing { since: now },
            number: LinkNumber(1),
            window: Window::new(&config),
            requests: Requests::default(),
            correlation: 1,
            out: Outbox::default(),
            heard_at: now,
            blocked: false,
            moved: false,
            acks: VecDeque::new(),
            acked_end: Offset(0),
            doubted_since: None,
            trouble: LinkCause::None,
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

    fn link_deadline(&self) -> Option<Time> {
        match &self.link {
            Link::Waiting { until } => Some(*until),
            Link::Dialing { since } | Link::Greeting { since, .. } => {
                Some(since.after(nanoseconds(self.config.connect_timeout)))
            }
            Link::Up(up) => {
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
            Link::Ended(_) => None,
        }
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
        match &self.link {
            Link::Ended(failure) => Some(failure),
            Link::Waiting { .. } | Link::Dialing { .. } | Link::Greeting { .. } | Link::Up(_) => {
                None
            }
        }
    }

    /// The node that answered the greeting of the present connection.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match &self.link {
            Link::Up(up) => Some(up.node),
            Link::Waiting { .. }
            | Link::Dialing { .. }
            | Link::Greeting { .. }
            | Link::Ended(_) => None,
        }
    }

    /// How the last connection that failed did so.
    #[must_use]
    pub fn trouble(&self) -> &LinkCause {
        &self.trouble
    }

    /// All addresses known: the configured ones and those that nodes named.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.route.addresses()
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
        let Link::Up(up) = &mut self.link else {
            return;
        };
        let requests_max = match up.pace {
            Pace::Paused { until } if now < until => 0,
            Pace::Paused { .. } => {
                up.pace = Pace::Probing;
                1
            }
            Pace::Probing => 1,
            Pace::Full => up.requests_max,
        };
        while self.out.len() < STAGE_BYTES && self.requests.open() < requests_max {
            let Some(chunk_bytes) = self.window.waiting_bytes() else {
                return;
            };
            let frame_bytes = FRAME_HEADER_BYTES + size_of::<Produce>() + chunk_bytes;
            let open = self.requests.open();
            if open > 0 && self.requests.open_bytes() + frame_bytes > up.bytes_max {
                return;
            }
            let correlation = self.correlation;
            self.correlation += 1;
            let (number, again, bytes) = self
                .window
                .send(correlation, now)
                .expect("a chunk waits: its size was just taken");
            let asks = asks(&self.config, number);
            let asks = asks.as_bytes();
            let kind = FrameKind::Produce;
            let header = FrameHeader::seal(kind, correlation, GROUP, &[asks], bytes.len());
            self.out.bytes().extend_from_slice(&header);
            self.out.bytes().extend_from_slice(asks);
            self.out.bytes().extend_from_slice(bytes);
            self.counters.resends += u64::from(again);
            if open == 0 {
                self.heard_at = now;
            }
            self.requests.add(correlation, number, frame_bytes);
        }
    }

    /// The connection is over because the node failed.
    fn lose(&mut self, cause: LinkCause, now: Time) {
        let loss = match &self.link {
            Link::Up(_) if cause != LinkCause::Silent => Loss::Connection,
            Link::Up(_)
            | Link::Waiting { .. }
            | Link::Dialing { .. }
            | Link::Greeting { .. }
            | Link::Ended(_) => Loss::Node,
        };
        self.trouble = cause;
        let when = self.route.lost(loss, now);
        self.reconnect(when, now);
    }

    /// Drops the connection and goes where the route now points, at `when`.
    fn reconnect(&mut self, when: Time, now: Time) {
        self.disconnect();
        if when <= now {
            self.dial(now);
        } else {
            self.link = Link::Waiting { until: when };
        }
    }

    fn dial(&mut self, now: Time) {
        self.number.0 += 1;
        self.link = Link::Dialing { since: now };
    }

    fn end(&mut self, failure: Failure) {
        self.disconnect();
        self.link = Link::Ended(failure);
    }

    fn disconnect(&mut self) {
        self.requests.clear();
        self.window.go_back();
        self.out.clear();
        (self.blocked, self.moved) = (false, false);
    }
}

impl Endpoint for Session {
    fn wish(&self) -> Option<Wish<'_>> {
        match self.link {
            Link::Dialing { .. } | Link::Greeting { .. } | Link::Up(_) => Some(Wish {
                number: self.number,
                address: self.route.address(),
            }),
            Link::Waiting { .. } | Link::Ended(_) => None,
        }
    }

    fn connected(&mut self, number: LinkNumber, now: Time) {
        let Link::Dialing { since } = self.link else {
            return;
        };
        if number != self.number {
            return;
        }
        assert!(
            self.out.rest().is_empty(),
            "nothing is staged before the greeting"
        );
        let correlation = self.correlation;
        self.correlation += 1;
        write_hello(self.out.bytes(), self.cluster, correlation);
        self.heard_at = now;
        self.link = Link::Greeting { since, correlation };
    }

    fn lost(&mut self, number: LinkNumber, cause: LinkCause, now: Time) {
        let connection = match self.link {
            Link::Dialing { .. } | Link::Greeting { .. } | Link::Up(_) => true,
            Link::Waiting { .. } | Link::Ended(_) => false,
        };
        if connection && number == self.number {
            self.lose(cause, now);
        }
    }

    fn output(&mut self, now: Time) -> &[u8] {
        if self.out.shed() {
            self.stage(now);
        }
        self.out.rest()
    }

    fn wrote(&mut self, bytes: usize) {
        self.moved |= self.blocked;
        self.out.wrote(bytes);
    }

    fn received(&mut self, number: LinkNumber, bytes: &[u8], now: Time) -> usize {
        self.take_frames(number, bytes, now)
    }

    fn tick(&mut self, now: Time) {
        if std::mem::take(&mut self.moved) {
            self.heard_at = now;
        }
        self.blocked = !self.out.rest().is_empty();
        if let Some(after) = self.config.give_up {
            let too_old = |oldest: Time| now >= oldest.after(nanoseconds(after));
            if self.window.oldest().is_some_and(too_old) {
                self.end(Failure::GaveUp { after });
            }
        }
        let Some(deadline) = self.link_deadline() else {
            return;
        };
        if now < deadline {
            return;
        }
        match &mut self.link {
            Link::Waiting { .. } => self.dial(now),
            Link::Dialing { .. } => self.lose(LinkCause::ConnectTimeout, now),
            Link::Greeting { .. } => self.lose(LinkCause::Silent, now),
            Link::Up(up) => match up.pace {
                Pace::Paused { until } if until <= now => up.pace = Pace::Probing,
                Pace::Paused { .. } | Pace::Probing | Pace::Full => {
                    self.lose(LinkCause::Silent, now);
                }
            },
            Link::Ended(_) => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        let give_up = self.config.give_up.filter(|_| self.failure().is_none());
        let too_old = give_up
            .zip(self.window.oldest())
            .map(|(after, oldest)| oldest.after(nanoseconds(after)));
        too_old.into_iter().chain(self.link_deadline()).min()
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
