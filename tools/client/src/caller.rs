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
use crate::greeting::write_hello;
use crate::outbox::Outbox;
use crate::route::{Loss, Route};
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

#[derive(Debug)]
enum Link {
    /// No connection until this moment.
    Waiting { until: Time },
    /// The caller is to connect.
    Dialing { since: Time },
    /// Connected; the greeting has no answer yet.
    Greeting { since: Time, correlation: u64 },
    /// Greeted.
    Up { node: NodeId, pace: Pace },
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
    /// The cluster meant, or the one that answered first.
    cluster: Option<ClusterName>,
    route: Route,
    link: Link,
    number: LinkNumber,
    /// The next request's correlation: never used twice, also not over several connections.
    correlation: u64,
    out: Outbox,
    call: Option<Call>,
    done: Option<Result<Answer, ClientError>>,
    trouble: LinkCause,
}

impl Caller {
    /// A caller that wishes for no connection until something is asked.
    ///
    /// # Panics
    /// The configuration has no node.
    #[must_use]
    pub fn new(config: CallerConfig) -> Self {
        Self {
            cluster: config.cluster,
            route: Route::new(&config.nodes, config.seed),
            link: Link::Waiting { until: Time(0) },
            number: LinkNumber(0),
            correlation: 1,
            out: Outbox::default(),
            call: None,
            done: None,
            trouble: LinkCause::None,
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
        match &mut self.link {
            Link::Waiting { .. } => self.dial(now),
            Link::Up { pace, .. } => *pace = Pace::At(now),
            Link::Dialing { .. } | Link::Greeting { .. } => {}
        }
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
        match &self.link {
            Link::Up { node, .. } => Some(*node),
            Link::Waiting { .. } | Link::Dialing { .. } | Link::Greeting { .. } => None,
        }
    }

    /// Sends the question, if it is time to.
    fn ask_due(&mut self, now: Time) {
        let Link::Up { pace, .. } = &mut self.link else {
            return;
        };
        if let (Pace::At(at), Some(call)) = (*pace, &self.call)
            && at <= now
        {
            let correlation = self.correlation;
            self.correlation += 1;
            call.question
                .write(correlation, self.config.linearizable, self.out.bytes());
            let since = now;
            *pace = Pace::Asked { since, correlation };
        }
    }

    /// The call has its end.
    fn finish(&mut self, end: Result<Answer, ClientError>) {
        self.call = None;
        self.done = Some(end);
        if let Link::Up { pace, .. } = &mut self.link {
            *pace = Pace::Idle;
        }
    }

    /// The node failed: another one may do.
    fn lose(&mut self, cause: LinkCause, now: Time) {
        let loss = match &self.link {
            Link::Up { .. } if cause != LinkCause::Silent => Loss::Connection,
            Link::Up { .. }
            | Link::Waiting { .. }
            | Link::Dialing { .. }
            | Link::Greeting { .. } => Loss::Node,
        };
        let when = self.route.lost(loss, now);
        self.go_on(cause, when, now);
    }

    /// Turns to where the route now points at `when`.
    fn go_on(&mut self, cause: LinkCause, when: Time, now: Time) {
        self.out.clear();
        self.link = Link::Waiting { until: when };
        self.trouble = cause;
        if self.call.is_some() && when <= now {
            self.dial(now);
        }
    }

    fn dial(&mut self, now: Time) {
        self.number.0 += 1;
        self.link = Link::Dialing { since: now };
    }

    fn link_deadline(&self) -> Option<Time> {
        let patience = nanoseconds(self.config.connect_timeout);
        match &self.link {
            Link::Waiting { until } => Some(*until),
            Link::Dialing { since } | Link::Greeting { since, .. } => Some(since.after(patience)),
            Link::Up { pace, .. } => match pace {
                Pace::Idle => None,
                Pace::At(at) => Some(*at),
                Pace::Asked { since, .. } => {
                    Some(since.after(nanoseconds(self.config.request_timeout)))
                }
            },
        }
    }

    fn patience(&self) -> Option<Time> {
        let since = self.call.as_ref()?.since;
        Some(since.after(nanoseconds(self.config.patience)))
    }
}

impl Endpoint for Caller {
    fn wish(&self) -> Option<Wish<'_>> {
        match self.link {
            Link::Dialing { .. } | Link::Greeting { .. } | Link::Up { .. } => Some(Wish {
                number: self.number,
                address: self.route.address(),
            }),
            Link::Waiting { .. } => None,
        }
    }

    fn connected(&mut self, number: LinkNumber, _now: Time) {
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
        self.link = Link::Greeting { since, correlation };
    }

    fn lost(&mut self, number: LinkNumber, cause: LinkCause, now: Time) {
        if self.wish().is_some_and(|wish| wish.number == number) {
            self.lose(cause, now);
        }
    }

    fn received(&mut self, number: LinkNumber, bytes: &[u8], now: Time) -> usize {
        self.take_frames(number, bytes, now)
    }

    fn tick(&mut self, now: Time) {
        if self.patience().is_some_and(|end| end <= now) {
            self.finish(Err(ClientError::Unreachable {
                nodes: self.route.addresses(),
                last: self.trouble.clone(),
            }));
            // What is still on its way on this connection would be an answer to no question.
            self.go_on(LinkCause::Silent, now, now);
        }
        if self.call.is_none() || self.link_deadline().is_none_or(|due| now < due) {
            return;
        }
        match self.link {
            Link::Waiting { .. } => self.dial(now),
            Link::Dialing { .. } => self.lose(LinkCause::ConnectTimeout, now),
            Link::Greeting { .. } => self.lose(LinkCause::Silent, now),
            Link::Up { pace, .. } => match pace {
                Pace::Idle => {}
                Pace::At(_) => self.ask_due(now),
                Pace::Asked { .. } => self.lose(LinkCause::Silent, now),
            },
        }
    }

    fn deadline(&self) -> Option<Time> {
        let patience = self.patience()?;
        self.link_deadline().into_iter().chain([patience]).min()
    }

    fn output(&mut self, now: Time) -> &[u8] {
        if self.out.shed() {
            self.ask_due(now);
        }
        self.out.rest()
    }

    fn wrote(&mut self, bytes: usize) {
        self.out.wrote(bytes);
    }
}
