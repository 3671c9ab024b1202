//! What a node's answers mean to a caller.

use quorate_wire::{ErrorCode, Frame, FrameError, FrameKind, Time};

use super::{Caller, Link, Pace};
use crate::LinkCause;
use crate::endpoint::LinkNumber;
use crate::greeting::{Refusal, Welcome};
use crate::session::nanoseconds;

/// No answer of its own: the error is about the connection, and the node closes it.
const CONNECTION: u64 = 0;

const UNASKED: FrameError = FrameError::Invalid {
    what: "an answer to no request",
};

impl Caller {
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
            Link::Greeting { .. } | Link::Up { .. } => number == self.number,
            Link::Waiting { .. } | Link::Dialing { .. } => false,
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, now: Time) -> Result<(), FrameError> {
        let correlation = frame.header.correlation;
        let asked = match self.link {
            Link::Greeting { correlation, .. } => Some(correlation),
            Link::Up { pace, .. } => match pace {
                Pace::Asked { correlation, .. } => Some(correlation),
                Pace::Idle | Pace::At(_) => None,
            },
            Link::Waiting { .. } | Link::Dialing { .. } => None,
        };
        if frame.header.kind == FrameKind::Error {
            let refusal = Refusal::parse(frame)?;
            if correlation == CONNECTION {
                self.connection_refused(refusal, now);
                return Ok(());
            }
            if asked == Some(correlation) {
                self.refused(refusal, now);
                return Ok(());
            }
        }
        if asked != Some(correlation) {
            return Err(UNASKED);
        }
        if let Link::Greeting { .. } = self.link {
            if frame.header.kind != FrameKind::HelloReply {
                return Err(UNASKED);
            }
            self.greeted(&Welcome::parse(frame)?, now);
            return Ok(());
        }
        let call = self.call.as_ref().ok_or(UNASKED)?;
        let answer = call.question.read(frame)?;
        self.route.progress();
        self.finish(Ok(answer));
        Ok(())
    }

    fn greeted(&mut self, welcome: &Welcome, now: Time) {
        if let Some(text) = welcome.mismatch(self.cluster) {
            self.finish(Err(crate::ClientError::Refused {
                code: ErrorCode::ClusterMismatch,
                text,
                expected: 0,
                limit: 0,
            }));
            self.lose(LinkCause::Closed, now);
            return;
        }
        self.cluster = Some(welcome.cluster);
        self.route.learn(welcome.node, &welcome.nodes);
        let call = self.call.as_ref();
        if call.is_some_and(|call| call.question.is_for_leader())
            && let Some(leader) = self.route.hint(welcome.leader, now)
        {
            let when = self.route.towards(leader, now);
            self.go_on(LinkCause::Closed, when, now);
            return;
        }
        self.link = Link::Up {
            node: welcome.node,
            pace: call.map_or(Pace::Idle, |_| Pace::At(now)),
        };
    }

    /// The node will not talk on this connection.
    fn connection_refused(&mut self, refusal: Refusal, now: Time) {
        let passes = refusal.ends_connection_only();
        if !passes {
            self.finish(Err(refusal.into()));
            self.lose(LinkCause::Closed, now);
            return;
        }
        self.lose(refusal.into_cause(), now);
    }

    fn refused(&mut self, refusal: Refusal, now: Time) {
        if let Link::Greeting { .. } = self.link {
            self.connection_refused(refusal, now);
            return;
        }
        if !refusal.code.retry() {
            self.route.progress();
            self.finish(Err(refusal.into()));
            return;
        }
        let not_here = [
            ErrorCode::NotLeader,
            ErrorCode::ShuttingDown,
            ErrorCode::Forming,
            ErrorCode::Repairing,
        ];
        if refusal.code == ErrorCode::ShuttingDown {
            self.route.distrust(now);
        }
        if let Some(leader) = self.route.hint(refusal.leader, now) {
            let when = self.route.towards(leader, now);
            self.go_on(refusal.into_cause(), when, now);
        } else if not_here.contains(&refusal.code) {
            let when = self.route.elsewhere(now);
            self.go_on(refusal.into_cause(), when, now);
        } else {
            let asked = now.after(nanoseconds(refusal.retry_after));
            let until = self.route.pause(now).max(asked);
            self.trouble = refusal.into_cause();
            if let Link::Up { pace, .. } = &mut self.link {
                *pace = Pace::At(until);
            }
        }
    }
}
