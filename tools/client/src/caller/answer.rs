//! What a node's answers mean to a caller.

use quorate_wire::{ErrorCode, Frame, FrameError, FrameKind, Time};

use super::{Caller, Pace};
use crate::LinkCause;
use crate::greeting::{Refusal, UNASKED, Welcome};
use crate::link::Heard;
use crate::session::nanoseconds;

impl Caller {
    pub(super) fn heard(&mut self, heard: Heard<'_>, now: Time) -> Result<(), FrameError> {
        match heard {
            Heard::Welcome(welcome) => self.greeted(&welcome, now),
            Heard::Refused(refusal) => self.connection_refused(refusal, now),
            Heard::Frame(frame) => self.answered(&frame, now)?,
        }
        Ok(())
    }

    fn greeted(&mut self, welcome: &Welcome, now: Time) {
        self.link.route.learn(welcome.node, &welcome.nodes);
        let call = self.call.as_ref();
        if call.is_some_and(|call| call.question.is_for_leader())
            && let Some(leader) = self.link.route.hint(welcome.leader, now)
        {
            let when = self.link.route.towards(leader, now);
            self.go_on(LinkCause::Closed, when, now);
            return;
        }
        let pace = call.map_or(Pace::Idle, |_| Pace::At(now));
        self.link.up(welcome.node, pace);
    }

    fn answered(&mut self, frame: &Frame<'_>, now: Time) -> Result<(), FrameError> {
        let answers = frame.header.correlation;
        let asked = |pace: &Pace| matches!(pace, Pace::Asked { correlation, .. } if *correlation == answers);
        let call = self
            .call
            .as_ref()
            .filter(|_| self.link.get().is_some_and(asked));
        let call = call.ok_or(UNASKED)?;
        if frame.header.kind == FrameKind::Error {
            self.refused(Refusal::parse(frame)?, now);
            return Ok(());
        }
        let answer = call.question.read(frame)?;
        self.link.route.progress();
        self.finish(Ok(answer));
        Ok(())
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
        if !refusal.code.retry() {
            self.link.route.progress();
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
            self.link.route.distrust(now);
        }
        if let Some(leader) = self.link.route.hint(refusal.leader, now) {
            let when = self.link.route.towards(leader, now);
            self.go_on(refusal.into_cause(), when, now);
        } else if not_here.contains(&refusal.code) {
            let when = self.link.route.elsewhere(refusal.leader, now);
            self.go_on(refusal.into_cause(), when, now);
        } else {
            let asked = now.after(nanoseconds(refusal.retry_after));
            let until = self.link.route.pause(now).max(asked);
            self.link.trouble = refusal.into_cause();
            self.set_pace(Pace::At(until));
        }
    }
}
