//! Questions to the cluster, one at a time, without sockets, clocks or chance: which node to ask, and when to ask again.
//!
//! Owns: the way to a node that answers; for commands, that is the leader. Never: opens a socket, reads a clock, draws chance.
//! Called by: [`Names`](crate::Names), members of consumer groups, and simulators.
//!
//! It is driven as any [`Endpoint`]; a call is open from [`Caller::ask`] until [`Caller::take`] has its end. A command whose
//! answer got lost is sent again: done twice, it does no more than done once.

mod answer;
mod question;

use std::time::Duration;

use quorate_wire::{ClusterName, NodeId, Time};

use crate::endpoint::{Endpoint, LinkNumber, Wish};
use crate::link::Link;
use crate::session::nanoseconds;
use crate::{ClientError, LinkCause};
pub use question::{
    Answer, CursorPage, GroupMember, GroupStanding, NamedCursor, Question, Standing,
};

/// What a caller is told once.
#[derive(Clone, Debug)]
pub struct CallerConfig {
    /// Addresses of nodes; at least one.
    pub nodes: Vec<String>,
    /// The cluster that is meant, or whichever answers first.
    pub cluster: Option<ClusterName>,
    /// How long one attempt to connect, greeting included, may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How long a call goes on trying.
    pub patience: Duration,
    /// Whether lists have all that was acknowledged before they are asked for. Otherwise any node tells what it knows.
    pub linearizable: bool,
    /// Chance, for the length of pauses.
    pub seed: u64,
}

/// What becomes of the question on a connection that is up.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// There is none.
    Idle,
    /// It is asked at this moment.
    At(Time),
    /// It has been asked.
    Asked { since: Time, correlation: u64 },
}

#[derive(Debug)]
struct Call {
    question: Question,
    since: Time,
}

/// A caller. See the module's description.
#[derive(Debug)]
pub struct Caller {
    config: CallerConfig,
    link: Link<Pace>,
    call: Option<Call>,
    done: Option<Result<Answer, ClientError>>,
}

impl Caller {
    /// A caller that wishes for no connection until something is asked.
    ///
    /// # Panics
    /// The configuration has no node.
    #[must_use]
    pub fn new(config: CallerConfig) -> Self {
        Self {
            link: Link::new(
                &config.nodes,
                config.cluster,
                config.connect_timeout,
                config.seed,
            ),
            call: None,
            done: None,
            config,
        }
    }

    /// Asks. Failures of a node are made good with another one, as long as patience lasts.
    ///
    /// # Panics
    /// A call is open.
    pub fn ask(&mut self, question: Question, now: Time) {
        assert!(!self.is_open(), "one call at a time");
        let since = now;
        self.call = Some(Call { question, since });
        self.link.dial(now);
        self.set_pace(Pace::At(now));
    }

    /// Whether a call is open: its end has not been taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.call.is_some() || self.done.is_some()
    }

    /// The end of the call: the answer; or that no node answers within `patience`, or a node refused for good.
    pub fn take(&mut self) -> Option<Result<Answer, ClientError>> {
        self.done.take()
    }

    /// The node that it talks to.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.link.node()
    }

    /// Sends the question, if it is time to.
    fn ask_due(&mut self, now: Time) {
        if let (Some(Pace::At(at)), Some(call)) = (self.link.get(), &self.call)
            && *at <= now
        {
            let correlation = self.link.next_correlation();
            let linearizable = self.config.linearizable;
            let out = self.link.out.bytes();
            call.question.write(correlation, linearizable, out);
            let since = now;
            self.set_pace(Pace::Asked { since, correlation });
        }
    }

    fn set_pace(&mut self, pace: Pace) {
        if let Some(before) = self.link.get_mut() {
            *before = pace;
        }
    }

    /// The call has its end.
    fn finish(&mut self, end: Result<Answer, ClientError>) {
        self.call = None;
        self.done = Some(end);
        self.set_pace(Pace::Idle);
    }

    /// The node failed: another one may do.
    fn lose(&mut self, cause: LinkCause, now: Time) {
        let when = self.link.fail(&cause, now);
        self.go_on(cause, when, now);
    }

    /// Turns to where the route now points at `when`.
    fn go_on(&mut self, cause: LinkCause, when: Time, now: Time) {
        self.link.leave(when);
        self.link.trouble = cause;
        if self.call.is_some() && when <= now {
            self.link.dial(now);
        }
    }

    /// When the question is to be asked, or its answer is overdue.
    fn pace_deadline(&self) -> Option<Time> {
        match self.link.get()? {
            Pace::Idle => None,
            Pace::At(at) => Some(*at),
            Pace::Asked { since, .. } => {
                Some(since.after(nanoseconds(self.config.request_timeout)))
            }
        }
    }

    fn patience(&self) -> Option<Time> {
        let since = self.call.as_ref()?.since;
        Some(since.after(nanoseconds(self.config.patience)))
    }
}

impl Endpoint for Caller {
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
        while let Some(heard) = self.link.hear(number, &mut rest) {
            if let Err(error) = heard.and_then(|heard| self.heard(heard, now)) {
                self.lose(LinkCause::Frame(error), now);
            }
        }
        bytes.len() - rest.len()
    }

    fn tick(&mut self, now: Time) {
        if self.patience().is_some_and(|end| end <= now) {
            self.finish(Err(ClientError::Unreachable {
                nodes: self.link.route.addresses(),
                last: self.link.trouble.clone(),
            }));
            // What is still on its way on this connection would be an answer to no question.
            self.go_on(LinkCause::Silent, now, now);
        }
        if self.call.is_none() {
            return;
        }
        if let Some(late) = self.link.tick(now) {
            return self.lose(late, now);
        }
        if self.pace_deadline().is_none_or(|due| now < due) {
            return;
        }
        match self.link.get() {
            Some(Pace::At(_)) => self.ask_due(now),
            Some(Pace::Asked { .. }) => self.lose(LinkCause::Silent, now),
            Some(Pace::Idle) | None => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        let patience = self.patience()?;
        let link = self.link.deadline().or(self.pace_deadline());
        link.into_iter().chain([patience]).min()
    }

    fn output(&mut self, now: Time) -> &[u8] {
        if self.link.out.shed() {
            self.ask_due(now);
        }
        self.link.out.rest()
    }

    fn wrote(&mut self, bytes: usize) {
        self.link.out.wrote(bytes);
    }
}
