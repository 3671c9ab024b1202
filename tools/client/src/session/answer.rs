//! What a node's answers mean to a producer.

use quorate_wire::client::{AckLevel, ProduceReply, TracedReply};
use quorate_wire::{ErrorCode, Frame, FrameError, FrameKind, Offset, ProducerId, Sequence, Time};
use zerocopy::FromBytes;

use super::window::{ChunkNumber, Flight, Placed};
use super::{Failure, OPEN_SPAN_MAX, Pace, Session, Up, nanoseconds};
use crate::LinkCause;
use crate::greeting::{Refusal, UNASKED, Welcome, expect_kind};
use crate::link::Heard;

/// A leader that stood still, or was cut off, may go on for an election timeout after another one was elected, and knows nothing
/// of what that one acknowledged. For so long, its word that a chunk is missing is no proof.
const DOUBT_NS: u64 = 1_000_000_000;

fn placed(reply: ProduceReply, now: Time) -> Result<Placed, FrameError> {
    let level = AckLevel::from_byte(reply.level).ok_or(FrameError::Invalid {
        what: "no such level of acknowledgement",
    })?;
    Ok(Placed {
        offset: Offset(reply.base_offset.get()),
        level,
        stages: None,
        at: now,
    })
}

impl Session {
    pub(super) fn heard(&mut self, heard: Heard<'_>, now: Time) -> Result<(), FrameError> {
        self.heard_at = now;
        match heard {
            Heard::Welcome(welcome) => self.greeted(&welcome, now),
            Heard::Refused(refusal) => self.connection_refused(refusal, now),
            Heard::Frame(frame) => self.answered(&frame, now)?,
        }
        Ok(())
    }

    fn greeted(&mut self, welcome: &Welcome, now: Time) {
        self.link.route.learn(welcome.node, &welcome.nodes);
        if let Some(leader) = self.link.route.hint(welcome.leader, now) {
            let when = self.link.route.towards(leader, now);
            self.reconnect(when, now);
            return;
        }
        let leads = welcome
            .leader
            .is_some_and(|leader| leader.node == welcome.node);
        let up = Up {
            requests_max: welcome
                .window_requests
                .min(self.config.window_requests.max(1)),
            bytes_max: welcome.window_bytes.min(self.config.window_bytes),
            pace: if leads { Pace::Full } else { Pace::Probing },
        };
        self.link.up(welcome.node, up);
        self.counters.connections += 1;
    }

    fn answered(&mut self, frame: &Frame<'_>, now: Time) -> Result<(), FrameError> {
        let correlation = frame.header.correlation;
        if frame.header.kind == FrameKind::Error {
            let refusal = Refusal::parse(frame)?;
            let (number, _) = self.requests.answered(correlation).ok_or(UNASKED)?;
            self.chunk_refused(number, correlation, refusal, now);
            return Ok(());
        }
        let (reply, placed) = if frame.header.kind == FrameKind::TracedReply {
            let traced = TracedReply::read_from_bytes(frame.message).map_err(|_| UNASKED)?;
            let placed = Placed {
                stages: Some(traced.stages),
                ..placed(traced.reply, now)?
            };
            (traced.reply, placed)
        } else {
            expect_kind(frame, FrameKind::ProduceReply)?;
            let reply = ProduceReply::read_from_bytes(frame.message).map_err(|_| UNASKED)?;
            (reply, placed(reply, now)?)
        };
        if placed.level == AckLevel::Accepted && self.config.acks != AckLevel::Accepted {
            return Err(FrameError::Invalid {
                what: "less is promised than was asked for",
            });
        }
        let before = u64::from(reply.before.get());
        let mut first = correlation.checked_sub(before).ok_or(UNASKED)?;
        self.link.route.progress();
        self.doubted_since = None;
        let mut placed = placed;
        while first <= correlation && self.failure.is_none() {
            let events = self.produced(first, placed)?;
            placed.offset = placed.offset.plus(u64::from(events));
            first += 1;
        }
        self.report();
        self.check_span(now);
        Ok(())
    }

    /// The chunk has a place. That holds whichever send of it the answer is to. Says how many events it has.
    fn produced(&mut self, correlation: u64, placed: Placed) -> Result<u32, FrameError> {
        let (number, events) = self.requests.answered(correlation).ok_or(UNASKED)?;
        if let Some(chunk) = self.window.get_mut(number) {
            match chunk.flight {
                Flight::Acked(before) if before.offset == placed.offset => {}
                Flight::Acked(_) => {
                    self.contradicted("two offsets for one chunk");
                    return Ok(events);
                }
                Flight::Waiting => chunk.flight = Flight::Acked(placed),
                Flight::Sent { correlation: last } => {
                    chunk.flight = Flight::Acked(placed);
                    if last == correlation {
                        self.open_window();
                    }
                }
            }
        }
        Ok(events)
    }

    /// The node has taken what was sent last: it takes more.
    fn open_window(&mut self) {
        if let Some(up) = self.link.get_mut()
            && up.pace == Pace::Probing
        {
            up.pace = Pace::Full;
        }
    }

    /// Moves acknowledgements to the caller, in order.
    fn report(&mut self) {
        // Events that have ids are in no order: what was refused is behind what came after it.
        let ordered = self.config.producer != ProducerId::NONE;
        while let Some(ack) = self.window.pop_acked() {
            if ordered && ack.offset < self.acked_end {
                self.contradicted("a later chunk has an earlier offset");
                return;
            }
            self.acked_end = ack.offset.plus(u64::from(ack.events));
            self.counters.acked_chunks += 1;
            self.counters.acked_events += u64::from(ack.events);
            if self.acks.len() >= self.config.acks_max {
                self.acks.pop_front();
                self.counters.dropped_acks += 1;
            }
            self.acks.push_back(ack);
        }
    }

    fn contradicted(&mut self, what: &'static str) {
        self.end(Failure::Protocol(FrameError::Invalid { what }));
    }

    fn check_span(&mut self, now: Time) {
        if self.requests.span() > OPEN_SPAN_MAX.max(4 * self.config.window_requests) {
            self.lose(LinkCause::Silent, now);
        }
    }

    fn connection_refused(&mut self, refusal: Refusal, now: Time) {
        if refusal.ends_connection_only() {
            self.counters.refusals += 1;
            self.lose(refusal.into_cause(), now);
        } else {
            self.refused_for_good(refusal);
        }
    }

    fn chunk_refused(&mut self, number: ChunkNumber, asked: u64, refusal: Refusal, now: Time) {
        let latest = Flight::Sent { correlation: asked };
        let concerns = |chunk: &super::window::Pending| chunk.flight == latest;
        if !self.window.get(number).is_some_and(concerns) {
            return;
        }
        // A chunk behind one that was refused, or is not yet answered, is out of sequence through no fault of its own. The first
        // one is not: either the node was deposed and does not know it yet, or the cluster has lost what it acknowledged, or
        // forgotten the producer.
        let gap =
            refusal.code == ErrorCode::SequenceGap || refusal.code == ErrorCode::ProducerUnknown;
        let behind = gap && number > self.window.front();
        let doubted = gap && !behind && {
            let since = *self.doubted_since.get_or_insert(now);
            now.since(since) < DOUBT_NS
        };
        if !behind && !doubted && !refusal.code.retry() {
            if gap && self.config.acks == AckLevel::Accepted {
                let first = Sequence(refusal.expected);
                return self.end(Failure::AcceptedLost { first });
            }
            return self.refused_for_good(refusal);
        }
        self.counters.refusals += 1;
        self.window.go_back();
        if behind {
            self.set_pace(Pace::Probing);
        } else {
            self.go_on_after(refusal, now);
        }
    }

    fn go_on_after(&mut self, refusal: Refusal, now: Time) {
        let hint = self.link.route.hint(refusal.leader, now);
        let not_here = [
            ErrorCode::SequenceGap,
            ErrorCode::ProducerUnknown,
            ErrorCode::NotLeader,
            ErrorCode::ShuttingDown,
            ErrorCode::Forming,
            ErrorCode::Repairing,
            ErrorCode::TooManyConnections,
        ];
        if refusal.code == ErrorCode::ShuttingDown {
            self.link.route.distrust(now);
        }
        if let Some(leader) = hint {
            let when = self.link.route.towards(leader, now);
            self.reconnect(when, now);
        } else if not_here.contains(&refusal.code) {
            let when = self.link.route.elsewhere(refusal.leader, now);
            self.reconnect(when, now);
        } else {
            let asked = now.after(nanoseconds(refusal.retry_after));
            let until = self.link.route.pause(now).max(asked);
            self.set_pace(Pace::Paused { until });
        }
        self.link.trouble = refusal.into_cause();
    }

    fn set_pace(&mut self, pace: Pace) {
        if let Some(up) = self.link.get_mut() {
            up.pace = pace;
        }
    }

    fn refused_for_good(&mut self, refusal: Refusal) {
        self.end(Failure::Refused {
            code: refusal.code,
            text: refusal.text,
            expected: refusal.expected,
        });
    }
}
