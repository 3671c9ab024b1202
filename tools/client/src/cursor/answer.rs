//! What a node's answers mean to a consumer.

use quorate_wire::client::FetchReply;
use quorate_wire::{ErrorCode, Frame, FrameError, FrameKind, Offset, Time};
use zerocopy::FromBytes;

use super::{Asked, Cursor, EMPTY_PAUSE_NS};
use crate::ClientError;
use crate::LinkCause;
use crate::batch::{BatchError, Expect};
use crate::greeting::{Refusal, UNASKED, Welcome, expect_kind};
use crate::link::Heard;
use crate::route::Loss;
use crate::session::nanoseconds;

impl Cursor {
    /// A part of the answer is there: a large one on a slow way is no silence.
    pub(super) fn grows(&mut self, part: usize, now: Time) {
        let timeout = nanoseconds(self.config.request_timeout);
        if let Some(asked) = self.asked()
            && part > asked.part
        {
            asked.part = part;
            asked.due = asked.due.max(now.after(timeout));
        }
    }

    pub(super) fn heard(&mut self, heard: Heard<'_>, now: Time) -> Result<(), FrameError> {
        match heard {
            Heard::Welcome(welcome) => self.greeted(&welcome, now),
            Heard::Refused(refusal) if self.node().is_some() => {
                self.fetch_refused(refusal, self.offset, now);
            }
            Heard::Refused(refusal) => self.greeting_refused(refusal, now),
            Heard::Frame(frame) => self.answered(&frame, now)?,
        }
        Ok(())
    }

    fn greeted(&mut self, welcome: &Welcome, now: Time) {
        if !self.config.stick {
            self.link.route.learn(welcome.node, &welcome.nodes);
        }
        self.link.up(welcome.node, None);
        if self.call.as_ref().is_some_and(|call| call.until.is_none()) {
            self.link.route.progress();
            self.finish_batch(now);
        } else {
            self.ask(now);
        }
    }

    fn answered(&mut self, frame: &Frame<'_>, now: Time) -> Result<(), FrameError> {
        let answers = frame.header.correlation;
        let asked = self.asked().copied();
        let asked = asked.filter(|asked| asked.correlation == answers);
        let asked = asked.ok_or(UNASKED)?;
        if frame.header.kind == FrameKind::Error {
            self.fetch_refused(Refusal::parse(frame)?, asked.offset, now);
            return Ok(());
        }
        let kind = asked
            .used
            .map_or(FrameKind::FetchReply, |_| FrameKind::Push);
        expect_kind(frame, kind)?;
        self.fetched(frame, asked, now)
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
        if let Some(open) = self.link.get_mut() {
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
        self.link.route.progress();
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
            let when = self.link.route.elsewhere(refusal.leader, now);
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
        if asked + 1 >= self.link.route.count() {
            return self.fail(first.into(), now);
        }
        self.gone = Some((asked + 1, first));
        let when = self.link.route.lost(Loss::Connection, now);
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
