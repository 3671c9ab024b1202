//! What a node's answers mean to a producer.

use quorate_wire::client::{AckLevel, ProduceReply, TracedReply};
use quorate_wire::{ErrorCode, Frame, FrameError, FrameKind, Offset, Sequence, Time};
use zerocopy::FromBytes;

use super::window::{ChunkNumber, Flight, Placed};
use super::{Failure, Link, LinkNumber, OPEN_SPAN_MAX, Pace, Session, Up, nanoseconds};
use crate::LinkCause;
use crate::greeting::{Refusal, Welcome};

/// No answer of its own: the error is about the connection, and the node closes it.
const CONNECTION: u64 = 0;

/// A leader that stood still, or was cut off, may go on for an election timeout after another one was elected, and knows nothing
/// of what that one acknowledged. For so long, its word that a chunk is missing is no proof.
const DOUBT_NS: u64 = 1_000_000_000;

const UNASKED: FrameError = FrameError::Invalid {
    what: "an answer to no request",
};

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
    pub(super) fn take_frames(&mut self, number: LinkNumber, bytes: &[u8], now: Time) -> usize {
        let mut rest = bytes;
        while self.listens(number) {
            match Frame::parse(rest) {
                Ok(Some(frame)) => {
                    rest = rest.get(frame.bytes()..).unwrap_or_default();
                    if let Err(error) = self.frame(&frame, now) {
                        self.lose(LinkCause::Frame(error), now);
                    }
                }
                Ok(None) => return bytes.len() - rest.len(),
                Err(error) => self.lose(LinkCause::Frame(error), now),
            }
        }
        bytes.len()
    }

    fn listens(&self, number: LinkNumber) -> bool {
        match self.link {
            Link::Greeting { .. } | Link::Up(_) => number == self.number,
            Link::Waiting { .. } | Link::Dialing { .. } | Link::Ended(_) => false,
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, now: Time) -> Result<(), FrameError> {
        self.heard_at = now;
        match frame.header.kind {
            FrameKind::HelloReply => self.greeted(frame, now),
            FrameKind::ProduceReply => {
                let reply = ProduceReply::read_from_bytes(frame.message).map_err(|_| UNASKED)?;
                self.produced(frame.header.correlation, placed(reply, now)?, now)
            }
            FrameKind::TracedReply => {
                let reply = TracedReply::read_from_bytes(frame.message).map_err(|_| UNASKED)?;
                let placed = Placed {
                    stages: Some(reply.stages),
                    ..placed(reply.reply, now)?
                };
                self.produced(frame.header.correlation, placed, now)
            }
            FrameKind::Error => self.refused(frame, now),
            FrameKind::Hello
            | FrameKind::Produce
            | FrameKind::Fetch
            | FrameKind::Status
            | FrameKind::Subscribe
            | FrameKind::Credit
            | FrameKind::Unsubscribe
            | FrameKind::Push
            | FrameKind::Unsubscribed
            | FrameKind::Admin
            | FrameKind::AdminReply
            | FrameKind::PeerHello
            | FrameKind::PreVote
            | FrameKind::PreVoteReply
            | FrameKind::Vote
            | FrameKind::VoteReply
            | FrameKind::Append
            | FrameKind::AppendReply
            | FrameKind::Repair
            | FrameKind::RepairReply
            | FrameKind::ReadIndex
            | FrameKind::ReadIndexReply
            | FrameKind::TimeoutNow
            | FrameKind::SnapshotOffer
            | FrameKind::SnapshotFetch
            | FrameKind::SnapshotChunk
            | FrameKind::FetchReply
            | FrameKind::StatusReply
            | FrameKind::Audit
            | FrameKind::AuditReply
            | FrameKind::Command
            | FrameKind::CommandReply
            | FrameKind::Cursors
            | FrameKind::CursorsReply
            | FrameKind::Heartbeat
            | FrameKind::HeartbeatReply
            | FrameKind::Groups
            | FrameKind::GroupsReply => Err(FrameError::Kind {
                kind: frame.header.kind.to_byte(),
                flags: 0,
            }),
        }
    }

    fn greeted(&mut self, frame: &Frame<'_>, now: Time) -> Result<(), FrameError> {
        match self.link {
            Link::Greeting { correlation, .. } if correlation == frame.header.correlation => {}
            Link::Greeting { .. }
            | Link::Up(_)
            | Link::Waiting { .. }
            | Link::Dialing { .. }
            | Link::Ended(_) => return Err(UNASKED),
        }
        let welcome = Welcome::parse(frame)?;
        if let Some(text) = welcome.mismatch(self.cluster) {
            self.end(Failure::Refused {
                code: ErrorCode::ClusterMismatch,
                text,
                expected: 0,
            });
            return Ok(());
        }
        self.cluster = Some(welcome.cluster);
        self.counters.greetings += 1;
        self.route.learn(welcome.node, &welcome.nodes);
        if let Some(leader) = self.route.hint(welcome.leader, now) {
            let when = self.route.towards(leader, now);
            self.reconnect(when, now);
            return Ok(());
        }
        let leads = welcome
            .leader
            .is_some_and(|leader| leader.node == welcome.node);
        self.link = Link::Up(Up {
            node: welcome.node,
            requests_max: welcome
                .window_requests
                .min(self.config.window_requests.max(1)),
            bytes_max: welcome.window_bytes.min(self.config.window_bytes),
            pace: if leads { Pace::Full } else { Pace::Probing },
        });
        Ok(())
    }

    /// The chunk has a place. That holds whichever send of it the answer is to.
    fn produced(&mut self, correlation: u64, placed: Placed, now: Time) -> Result<(), FrameError> {
        let number = self.requests.answered(correlation).ok_or(UNASKED)?;
        if placed.level == AckLevel::Accepted && self.config.acks != AckLevel::Accepted {
            return Err(FrameError::Invalid {
                what: "less is promised than was asked for",
            });
        }
        self.route.progress();
        self.doubted_since = None;
        if let Some(chunk) = self.window.get_mut(number) {
            match chunk.flight {
                Flight::Acked(before) if before.offset == placed.offset => {}
                Flight::Acked(_) => {
                    self.contradicted("two offsets for one chunk");
                    return Ok(());
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
        self.report();
        self.check_span(now);
        Ok(())
    }

    /// The node has taken what was sent last: it takes more.
    fn open_window(&mut self) {
        if let Link::Up(up) = &mut self.link
            && up.pace == Pace::Probing
        {
            up.pace = Pace::Full;
        }
    }

    /// Moves acknowledgements to the caller, in order.
    fn report(&mut self) {
        while let Some(ack) = self.window.pop_acked() {
            if ack.offset < self.acked_end {
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

    fn refused(&mut self, frame: &Frame<'_>, now: Time) -> Result<(), FrameError> {
        let refusal = Refusal::parse(frame)?;
        let asked = frame.header.correlation;
        match self.link {
            _ if asked == CONNECTION => self.connection_refused(refusal, now),
            Link::Greeting { correlation, .. } if correlation == asked => {
                self.connection_refused(refusal, now);
            }
            Link::Up(_) => {
                let number = self.requests.answered(asked).ok_or(UNASKED)?;
                self.chunk_refused(number, asked, refusal, now);
            }
            Link::Greeting { .. }
            | Link::Waiting { .. }
            | Link::Dialing { .. }
            | Link::Ended(_) => return Err(UNASKED),
        }
        Ok(())
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
        let hint = self.route.hint(refusal.leader, now);
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
            self.route.distrust(now);
        }
        if let Some(leader) = hint {
            let when = self.route.towards(leader, now);
            self.reconnect(when, now);
        } else if not_here.contains(&refusal.code) {
            let when = self.route.elsewhere(now);
            self.reconnect(when, now);
        } else {
            let asked = now.after(nanoseconds(refusal.retry_after));
            let until = self.route.pause(now).max(asked);
            self.set_pace(Pace::Paused { until });
        }
        self.trouble = refusal.into_cause();
    }

    fn set_pace(&mut self, pace: Pace) {
        if let Link::Up(up) = &mut self.link {
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
