//! The consumer's protocol without sockets, clocks or chance: which node to ask, when to turn to another one, and which of the
//! records that come are taken.
//!
//! Owns: the offset that is wanted next, and the way to a node. Never: opens a socket, reads a clock, draws chance; gives out an
//! event twice or leaves one out. Called by: [`Consumer`](crate::Consumer), and by simulators.
//!
//! It is driven as any [`Endpoint`]; a call ([`Cursor::greet`], [`Cursor::fetch`]) is open until [`Cursor::take`] has its end.
//! Between two calls, bytes are left where they are.

mod answer;
mod config;
mod push;

use std::sync::Arc;

use quorate_wire::client::{Consistency, Fetch, ReadFrom};
use quorate_wire::{FrameKind, NodeId, Offset, Time};

use crate::batch::Seen;
use crate::endpoint::{Endpoint, LinkNumber, Wish};
use crate::greeting::{Refusal, write_frame_with};
use crate::link::Link;
use crate::route::Loss;
use crate::session::nanoseconds;
use crate::{Batch, ClientError, Filter, LinkCause};
pub use config::CursorConfig;

/// A longer wait is asked for in pieces, so that a node which froze is noticed.
const WAIT_NS_MAX: u64 = 1_000_000_000;

/// Between two questions to a node that answers "nothing yet" without having waited.
const EMPTY_PAUSE_NS: u64 = 1_000_000;

/// The fetch that has been asked and not yet answered, or the subscription.
#[derive(Clone, Copy, Debug)]
struct Asked {
    correlation: u64,
    offset: Offset,
    /// When the answer is overdue.
    due: Time,
    /// Bytes of it that have come: as long as they grow in number, it is not.
    part: usize,
    /// Of a subscription, bytes that were pushed and for which no new credit was given.
    used: Option<u32>,
    /// Whether an answer has come.
    answered: bool,
}

/// What the caller waits for.
#[derive(Debug)]
struct Call {
    /// What has come so far.
    batch: Batch,
    /// The last record that the batch, or one before it, has given out.
    seen: Seen,
    /// Until when an event is waited for; none if only a greeting is.
    until: Option<Time>,
    /// Since when no node has answered.
    since: Time,
    /// The node has nothing yet: it is asked again then; of a subscription, the call ends then.
    again: Option<Time>,
}

/// A consumer's place in the log, and its way to the nodes. See the module's description.
#[derive(Debug)]
pub struct Cursor {
    config: CursorConfig,
    link: Link<Option<Asked>>,
    call: Option<Call>,
    done: Option<Result<Batch, ClientError>>,
    filter: Arc<Filter>,
    /// Where to begin, until a node has said which offset that is.
    from: Option<ReadFrom>,
    offset: Offset,
    /// The last record given out: one that holds the boundary of two batches, or no events, is not given out twice.
    seen: Seen,
    committed: Offset,
    /// When the last call ended.
    rested: Time,
    /// How often in a row a node's log began behind the offset, and what the one said whose log begins first.
    gone: Option<(usize, Refusal)>,
}

impl Cursor {
    /// A cursor that wishes for no connection until something is asked of it.
    ///
    /// # Panics
    /// The configuration has no node.
    #[must_use]
    pub fn new(config: CursorConfig) -> Self {
        Self {
            link: Link::new(
                &config.nodes,
                config.cluster,
                config.connect_timeout,
                config.seed,
            ),
            call: None,
            done: None,
            filter: Arc::new(config.filter.clone()),
            offset: match config.from {
                ReadFrom::Offset(offset) => offset,
                ReadFrom::Time(_) | ReadFrom::Tail | ReadFrom::Start => Offset(0),
            },
            from: match config.from {
                ReadFrom::Offset(_) => None,
                from @ (ReadFrom::Time(_) | ReadFrom::Tail | ReadFrom::Start) => Some(from),
            },
            seen: Seen::default(),
            committed: Offset(0),
            rested: Time(0),
            gone: None,
            config,
        }
    }

    /// Begins to connect. The call ends, with an empty batch, when a node has answered the greeting.
    pub fn greet(&mut self, now: Time) {
        self.begin(None, now);
        if self.node().is_some() {
            self.finish_batch(now);
        }
    }

    /// Begins to ask for the next batch, and to wait up to `wait` nanoseconds for an event to be committed; then the batch has no
    /// events. Failures of a node are made good with another one, as long as patience lasts. A call that nobody took the end of
    /// goes on, with this `wait`.
    pub fn fetch(&mut self, wait: u64, now: Time) {
        let until = now.after(wait);
        if let Some(call) = &mut self.call {
            call.until = Some(until);
            if self.config.push && call.again.is_some() {
                call.again = Some(until);
            }
            return;
        }
        self.begin(Some(until), now);
        match self.link.get_mut() {
            // While the caller was away, nobody looked whether the node answers.
            Some(Some(asked)) => {
                asked.due = asked.due.after(now.since(self.rested));
                let subscribed = asked.used.is_some() && asked.answered;
                if let Some(call) = self.call.as_mut().filter(|_| subscribed) {
                    call.again = Some(until);
                }
            }
            Some(None) => self.ask(now),
            None => {}
        }
    }

    fn begin(&mut self, until: Option<Time>, now: Time) {
        assert!(
            self.call.is_none() && self.done.is_none(),
            "one call at a time"
        );
        self.gone = None;
        self.call = Some(Call {
            batch: Batch::new(self.offset, self.committed, &self.filter),
            seen: self.seen,
            until,
            since: now,
            again: None,
        });
        // A pause was for the call before.
        self.link.dial(now);
    }

    /// The end of the call: the batch; or that no node answers within `patience`, the offset is past the end, or a node sent
    /// damaged records. After damage, the next call asks another node.
    pub fn take(&mut self) -> Option<Result<Batch, ClientError>> {
        self.done.take()
    }

    /// Offset of the next event that [`Self::fetch`] looks at; 0 until a node has said where the asked time, tail or start is.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Offset after the last committed event, as far as the answers so far have said.
    #[must_use]
    pub fn committed(&self) -> Offset {
        self.committed
    }

    /// The node that it reads from.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.link.node()
    }

    /// The request that is open.
    fn asked(&mut self) -> Option<&mut Asked> {
        self.link.get_mut()?.as_mut()
    }

    /// Sends the question for the batch of the call; or, with no call, for the one after it.
    fn ask(&mut self, now: Time) {
        let due = self.overdue(now);
        let (kind, bytes) = match self.config.push {
            true => (FrameKind::Subscribe, self.window()),
            false => (FrameKind::Fetch, self.config.bytes_max),
        };
        if self.node().is_none() {
            return;
        }
        let wait = match &mut self.call {
            Some(call) => {
                call.again = None;
                call.until.map_or(0, |until| until.since(now))
            }
            None => 0,
        };
        // A node is asked for whole milliseconds.
        let wait_ms = wait.min(WAIT_NS_MAX) / 1_000_000;
        let correlation = self.link.next_correlation();
        let asked = Asked {
            correlation,
            offset: self.offset,
            due: due.after(wait_ms * 1_000_000),
            part: 0,
            used: self.config.push.then_some(0),
            answered: false,
        };
        if let Some(open) = self.link.get_mut() {
            *open = Some(asked);
        }
        let from = self.from.unwrap_or(ReadFrom::Offset(self.offset));
        let fetch = Fetch {
            wait_ms: u32::try_from(wait_ms).expect("the wait is bounded").into(),
            filter_clauses: self.filter.clauses().into(),
            ..Fetch::new(from, bytes).with(self.config.consistency)
        };
        let out = self.link.out.bytes();
        write_frame_with(out, kind, correlation, &fetch, self.filter.bytes());
    }

    /// The call has its batch.
    fn finish_batch(&mut self, now: Time) {
        let call = self.call.take().expect("a call is open");
        self.seen = call.seen;
        self.offset = call.batch.next_offset();
        // While the caller looks at a batch, the next one is already on its way; but what was asked before the caller wants it is not
        // all that there is when the caller does.
        let ahead = self.config.consistency != Consistency::Linearizable && !self.config.push;
        if ahead && call.until.is_some() && self.offset < call.batch.committed() {
            self.ask(now);
        }
        self.done = Some(Ok(call.batch));
        self.rested = now;
    }

    /// No node will do: the call ends, and the next one turns to another node.
    fn fail(&mut self, error: ClientError, now: Time) {
        let when = self.link.route.lost(Loss::Node, now);
        self.link.leave(when);
        self.call = None;
        self.done = Some(Err(error));
    }

    /// The node failed: another one may do.
    fn lose(&mut self, cause: LinkCause, now: Time) {
        let when = self.link.route.lost(Loss::Node, now);
        self.go_on(cause, when, now);
    }

    /// Turns to where the route now points at `when`, unless patience has ended.
    fn go_on(&mut self, cause: LinkCause, when: Time, now: Time) {
        self.link.leave(when);
        self.link.trouble = cause;
        let Some(call) = &mut self.call else {
            return;
        };
        call.again = None;
        if now.since(call.since) >= nanoseconds(self.config.patience) {
            self.call = None;
            self.done = Some(Err(ClientError::Unreachable {
                nodes: self.link.route.addresses(),
                last: self.link.trouble.clone(),
            }));
        } else if when <= now {
            self.link.dial(now);
        }
    }
}

impl Endpoint for Cursor {
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

    fn received(&mut self, number: LinkNumber, bytes: &[u8], now: Time) -> usize {
        let mut rest = bytes;
        // Between two calls, bytes are left where they are.
        while self.call.is_some() || !self.link.listens(number) {
            let Some(heard) = self.link.hear(number, &mut rest) else {
                self.grows(rest.len(), now);
                break;
            };
            if let Err(error) = heard.and_then(|heard| self.heard(heard, now)) {
                self.lose(LinkCause::Frame(error), now);
            }
        }
        bytes.len() - rest.len()
    }

    fn tick(&mut self, now: Time) {
        let Some(call) = &self.call else {
            return;
        };
        if call.again.is_some_and(|again| again <= now) {
            if self.config.push {
                return self.finish_batch(now);
            }
            self.ask(now);
        }
        let silent = self.asked().is_some_and(|asked| asked.due <= now);
        let silent = silent.then_some(LinkCause::Silent);
        if let Some(late) = self.link.tick(now).or(silent) {
            self.lose(late, now);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let call = self.call.as_ref()?;
        let asked = self.link.get().copied().flatten();
        let due = self.link.deadline().or(asked.map(|asked| asked.due));
        call.again.into_iter().chain(due).min()
    }

    fn output(&mut self, _now: Time) -> &[u8] {
        self.link.out.shed();
        self.link.out.rest()
    }

    fn wrote(&mut self, bytes: usize) {
        self.link.out.wrote(bytes);
    }
}
