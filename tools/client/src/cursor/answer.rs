//! What a node's answers mean to a consumer.

use quorate_wire::client::FetchReply;
use quorate_wire::{ErrorCode, Frame, FrameError, FrameKind, Offset, Time};
use zerocopy::FromBytes;

use super::{Asked, Cursor, EMPTY_PAUSE_NS, Link};
use crate::batch::{BatchError, Expect};
use crate::endpoint::LinkNumber;
use crate::greeting::{Refusal, Welcome};
use crate::route::Loss;
use crate::session::nanoseconds;
use crate::{ClientError, LinkCause};

/// No answer of its own: the error is about the connection, and the node closes it.
const CONNECTION: u64 = 0;

const UNASKED: FrameError = FrameError::Invalid {
    what: "an answer to no request",
};

impl Cursor {
    pub(super) fn take_frames(&mut self, number: LinkNumber, bytes: &[u8], now: Time) -> usize {
        let mut rest = bytes;
        while self.listens(number) {
            if self.call.is_none() {
                return bytes.len() - rest.len();
            }
            match Frame::parse(rest) {
                Ok(Some(frame)) => {
                    rest = rest.get(frame.bytes()..).unwrap_or_default();
                    if let Err(error) = self.frame(&frame, now) {
                        self.lose(LinkCause::Frame(error), now);
                    }
                }
                Ok(None) => {
                    self.grows(rest.len(), now);
                    return bytes.len() - rest.len();
                }
                Err(error) => self.lose(LinkCause::Frame(error), now),
            }
        }
        bytes.len()
    }

    /// A part of the answer is there: a large one on a slow way is no silence.
    fn grows(&mut self, part: usize, now: Time) {
        let timeout = nanoseconds(self.config.request_timeout);
        if let Link::Up {
            asked: Some(asked), ..
        } = &mut self.link
            && part > asked.part
        {
            asked.part = part;
            asked.due = asked.due.max(now.after(timeout));
        }
    }

    fn listens(&self, number: LinkNumber) -> bool {
        match self.link {
            Link::Greeting { .. } | Link::Up { .. } => number == self.number,
            Link::Waiting { .. } | Link::Dialing { .. } => false,
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, now: Time) -> Result<(), FrameError> {
        let correlation = frame.header.correlation;
        let error = frame.header.kind == FrameKind::Error;
        match self.link {
            Link::Up { .. } if error && correlation == CONNECTION => {
                self.fetch_refused(Refusal::parse(frame)?, self.offset, now);
                Ok(())
            }
            Link::Greeting { .. } if error && correlation == CONNECTION => {
                self.greeting_refused(Refusal::parse(frame)?, now);
                Ok(())
            }
            Link::Greeting {
                correlation: asked, ..
            } if asked == correlation => {
                if error {
                    self.greeting_refused(Refusal::parse(frame)?, now);
                    return Ok(());
                }
                expect(frame, FrameKind::HelloReply)?;
                self.greeted(&Welcome::parse(frame)?, now);
                Ok(())
            }
            Link::Up {
                asked: Some(asked), ..
            } if asked.correlation == correlation => {
                if error {
                    self.fetch_refused(Refusal::parse(frame)?, asked.offset, now);
                    return Ok(());
                }
                let kind = asked
                    .used
                    .map_or(FrameKind::FetchReply, |_| FrameKind::Push);
                expect(frame, kind)?;
                self.fetched(frame, asked, now)
            }
            Link::Greeting { .. }
            | Link::Up { .. }
            | Link::Waiting { .. }
            | Link::Dialing { .. } => Err(UNASKED),
        }
    }

    fn greeted(&mut self, welcome: &Welcome, now: Time) {
        if let Some(text) = welcome.mismatch(self.cluster) {
            let error = ClientError::Refused {
                code: ErrorCode::ClusterMismatch,
                text,
                expected: 0,
                limit: 0,
            };
            self.fail(error, now);
            return;
        }
        self.cluster = Some(welcome.cluster);
        if !self.config.stick {
            self.route.learn(welcome.node, &welcome.nodes);
        }
        self.link = Link::Up {
            node: welcome.node,
            asked: None,
        };
        if self.call.as_ref().is_some_and(|call| call.until.is_none()) {
            self.route.progress();
            self.finish_batch(now);
        } else {
            self.ask(now);
        }
    }

    fn fetched(&mut self, frame: &Frame<'_>, asked: Asked, now: Time) -> Result<(), FrameError> {
        assert!(
            asked.offset == self.offset,
            "the offset only moves with the batch that is asked for next"
        );
        let reply = FetchReply::ref_from_bytes(frame.message).map_err(|_| FrameError::Invalid {
            what: "the answer to a fetch is cut",
        })?;
        let next = Offset(reply.next.get());
        let bytes = u32::try_from(frame.tail.len()).expect("frames are bounded");
        let due = self.overdue(now);
        if let Link::Up { asked: open, .. } = &mut self.link {
            *open = asked.used.map(|used| Asked {
                offset: next,
                due,
                part: 0,
                used: Some(used.saturating_add(bytes)),
                answered: true,
                ..asked
            });
        }
        self.give_credit();
        let call = self.call.as_mut().expect("answers wait for a call");
        let expect = Expect {
            check_chunks: self.config.check_chunks,
            seen: call.seen,
        };
        if self.from.take().is_some() {
            self.offset = Offset(reply.begin.get());
            call.batch.begin(self.offset);
        }
        let taken = call.batch.extend(frame.tail, expect);
        match taken.and_then(|seen| call.batch.advance(next).map(|()| seen)) {
            Ok(seen) => call.seen = seen,
            Err(error) => {
                let error = match error {
                    BatchError::Damaged(error) => ClientError::Damaged(error),
                    BatchError::Unchained(index) => ClientError::ChainBroken { index },
                    BatchError::Misplaced(error) => ClientError::Protocol(error),
                };
                self.fail(error, now);
                return Ok(());
            }
        }
        let committed = Offset(reply.committed.get());
        call.batch.set_committed(committed);
        self.committed = self.committed.max(committed);
        self.route.progress();
        self.gone = None;
        call.since = now;
        let waits = call.until.is_some_and(|until| now < until);
        if call.batch.is_empty() && waits {
            // What the filter has left out is passed by at once.
            let moved = self.offset < next;
            self.offset = next;
            let pause = now.after(if moved { 0 } else { EMPTY_PAUSE_NS });
            let push = self.config.push;
            call.again = call
                .until
                .map(|until| if push { until } else { until.min(pause) });
        } else {
            self.finish_batch(now);
        }
        Ok(())
    }

    fn fetch_refused(&mut self, refusal: Refusal, offset: Offset, now: Time) {
        // Another node has already shown that the offset exists: this one is behind.
        let behind = refusal.code == ErrorCode::OffsetPastEnd && offset <= self.committed;
        // No leader here, or not for long: that passes.
        let unsettled = refusal.code == ErrorCode::ConsistencyUnavailable;
        if refusal.code == ErrorCode::OffsetBeforeStart && !self.config.stick {
            self.begins_later(refusal, now);
        } else if behind || unsettled || refusal.ends_connection_only() {
            let when = self.route.elsewhere(now);
            self.go_on(refusal.into_cause(), when, now);
        } else {
            self.fail(refusal.into(), now);
        }
    }

    /// The node's log begins behind the offset, and another one's may not: what is wanted is gone when as many have said so as there
    /// are nodes.
    fn begins_later(&mut self, refusal: Refusal, now: Time) {
        let cause = LinkCause::Refused {
            code: refusal.code,
            text: refusal.text.clone(),
        };
        let (asked, first) = match self.gone.take() {
            Some((asked, first)) if first.expected <= refusal.expected => (asked, first),
            Some((asked, _)) => (asked, refusal),
            None => (0, refusal),
        };
        if asked + 1 >= self.route.count() {
            return self.fail(first.into(), now);
        }
        self.gone = Some((asked + 1, first));
        let when = self.route.lost(Loss::Connection, now);
        self.go_on(cause, when, now);
    }

    /// The node will not talk on this connection.
    fn greeting_refused(&mut self, refusal: Refusal, now: Time) {
        if refusal.ends_connection_only() {
            self.lose(refusal.into_cause(), now);
        } else {
            self.fail(refusal.into(), now);
        }
    }
}

fn expect(frame: &Frame<'_>, kind: FrameKind) -> Result<(), FrameError> {
    if frame.header.kind == kind {
        return Ok(());
    }
    Err(FrameError::Kind {
        kind: frame.header.kind.to_byte(),
        flags: 0,
    })
}
