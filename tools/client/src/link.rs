//! The one connection of an endpoint: which node is dialled and when, the greeting, and what comes after a failure.
//!
//! ```text
//!           time is up         connected          greeted
//!  WAITING -----------> DIALING --------> GREETING -------> UP
//!     ^                    |                 |              |
//!     +--------------------+-----------------+--------------+  lost, late, refused, or another node is the one to ask
//! ```
//!
//! Owns: the way to a node, correlations, and the bytes that wait for the connection. Never: knows a request; what an endpoint
//! keeps of a connection that is up (`U`) is its own. Called by: the session, the cursor and the caller.

use std::time::Duration;

use quorate_wire::{ClusterName, Frame, FrameError, FrameKind, NodeId, Time};

use crate::LinkCause;
use crate::endpoint::{LinkNumber, Wish};
use crate::greeting::{Refusal, UNASKED, Welcome, expect_kind, write_hello};
use crate::outbox::Outbox;
use crate::route::{Loss, Route};
use crate::session::nanoseconds;

/// No answer of its own: the error is about the connection, and the node closes it.
const CONNECTION: u64 = 0;

#[derive(Debug)]
enum Phase<U> {
    /// No connection until this moment.
    Waiting { until: Time },
    /// The caller is to connect.
    Dialing { since: Time },
    /// Connected; the greeting has no answer yet.
    Greeting { since: Time, correlation: u64 },
    /// Greeted.
    Up { node: NodeId, of_endpoint: U },
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Link<U> {
    /// The cluster meant, or the one that answered first: nothing is said to a second one.
    cluster: Option<ClusterName>,
    /// How long connecting and greeting may take, in nanoseconds.
    patience: u64,
    number: LinkNumber,
    /// The next request's correlation: never used twice, also not over several connections.
    correlation: u64,
    phase: Phase<U>,
    pub(crate) route: Route,
    pub(crate) out: Outbox,
    /// How the last connection that failed did so.
    pub(crate) trouble: LinkCause,
}

/// What a node says.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// It answers the greeting. The endpoint says what follows: [`Link::up`], or another node.
    Welcome(Welcome),
    /// It will not talk on this connection.
    Refused(Refusal),
    /// Something else, on a connection that is up.
    Frame(Frame<'a>),
}

impl<U> Link<U> {
    /// A link that wishes for no connection before it is told to.
    ///
    /// # Panics
    /// There is no node.
    pub(crate) fn new(
        nodes: &[String],
        cluster: Option<ClusterName>,
        patience: Duration,
        seed: u64,
    ) -> Self {
        Self {
            cluster,
            patience: nanoseconds(patience),
            number: LinkNumber(0),
            correlation: 1,
            phase: Phase::Waiting { until: Time(0) },
            route: Route::new(nodes, seed),
            out: Outbox::default(),
            trouble: LinkCause::None,
        }
    }

    /// The connection that there should be.
    pub(crate) fn wish(&self) -> Option<Wish<'_>> {
        match self.phase {
            Phase::Dialing { .. } | Phase::Greeting { .. } | Phase::Up { .. } => Some(Wish {
                number: self.number,
                address: self.route.address(),
            }),
            Phase::Waiting { .. } => None,
        }
    }

    /// Whether this is the connection, or the attempt at one, that there should be.
    pub(crate) fn is(&self, number: LinkNumber) -> bool {
        self.wish().is_some_and(|wish| wish.number == number)
    }

    /// The node that answered the greeting.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match self.phase {
            Phase::Up { node, .. } => Some(node),
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Greeting { .. } => None,
        }
    }

    /// What the endpoint keeps of the connection, if it is up.
    pub(crate) fn get(&self) -> Option<&U> {
        match &self.phase {
            Phase::Up { of_endpoint, .. } => Some(of_endpoint),
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Greeting { .. } => None,
        }
    }

    /// The same.
    pub(crate) fn get_mut(&mut self) -> Option<&mut U> {
        match &mut self.phase {
            Phase::Up { of_endpoint, .. } => Some(of_endpoint),
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Greeting { .. } => None,
        }
    }

    /// A correlation that was not used before.
    pub(crate) fn next_correlation(&mut self) -> u64 {
        let correlation = self.correlation;
        self.correlation += 1;
        correlation
    }

    /// Connects, whatever pause there is.
    pub(crate) fn dial(&mut self, now: Time) {
        if let Phase::Waiting { .. } = self.phase {
            self.number.0 += 1;
            self.phase = Phase::Dialing { since: now };
        }
    }

    /// The connection has come about: greets.
    pub(crate) fn connected(&mut self, number: LinkNumber) {
        let Phase::Dialing { since } = self.phase else {
            return;
        };
        if number != self.number {
            return;
        }
        assert!(
            self.out.rest().is_empty(),
            "nothing is staged before the greeting"
        );
        let correlation = self.next_correlation();
        write_hello(self.out.bytes(), self.cluster, correlation);
        self.phase = Phase::Greeting { since, correlation };
    }

    /// The next thing that the node says, of the bytes that came; nothing if they have no whole frame. The endpoint loses a link that
    /// fails. Bytes of a connection that is not wished for any more are dropped.
    pub(crate) fn hear<'a>(
        &mut self,
        number: LinkNumber,
        bytes: &mut &'a [u8],
    ) -> Option<Result<Heard<'a>, FrameError>> {
        if !self.listens(number) {
            *bytes = &[];
            return None;
        }
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame?,
            Err(error) => return Some(Err(error)),
        };
        *bytes = bytes.get(frame.bytes()..).unwrap_or_default();
        Some(self.read(frame))
    }

    /// Whether bytes of this connection are looked at.
    pub(crate) fn listens(&self, number: LinkNumber) -> bool {
        match self.phase {
            Phase::Greeting { .. } | Phase::Up { .. } => number == self.number,
            Phase::Waiting { .. } | Phase::Dialing { .. } => false,
        }
    }

    fn read<'a>(&mut self, frame: Frame<'a>) -> Result<Heard<'a>, FrameError> {
        let answers = frame.header.correlation;
        let refused = frame.header.kind == FrameKind::Error;
        match self.phase {
            Phase::Greeting { correlation, .. } => {
                if refused && [CONNECTION, correlation].contains(&answers) {
                    return Refusal::parse(&frame).map(Heard::Refused);
                }
                if answers != correlation {
                    return Err(UNASKED);
                }
                expect_kind(&frame, FrameKind::HelloReply)?;
                let welcome = Welcome::parse(&frame)?;
                if let Some(refusal) = welcome.mismatch(self.cluster) {
                    return Ok(Heard::Refused(refusal));
                }
                self.cluster = Some(welcome.cluster);
                Ok(Heard::Welcome(welcome))
            }
            Phase::Up { .. } if refused && answers == CONNECTION => {
                Refusal::parse(&frame).map(Heard::Refused)
            }
            Phase::Up { .. } => Ok(Heard::Frame(frame)),
            Phase::Waiting { .. } | Phase::Dialing { .. } => {
                unreachable!("nobody listens to a connection that is not there")
            }
        }
    }

    /// The node that was greeted is the one to talk to.
    pub(crate) fn up(&mut self, node: NodeId, of_endpoint: U) {
        assert!(
            matches!(self.phase, Phase::Greeting { .. }),
            "only who was greeted is talked to"
        );
        self.phase = Phase::Up { node, of_endpoint };
    }

    /// The node failed, and another one may do. Returns when to dial that.
    pub(crate) fn fail(&mut self, cause: &LinkCause, now: Time) -> Time {
        let worked = self.get().is_some() && *cause != LinkCause::Silent;
        let loss = if worked { Loss::Connection } else { Loss::Node };
        self.route.lost(loss, now)
    }

    /// Drops the connection. At `until`, where the route now points is dialled.
    pub(crate) fn leave(&mut self, until: Time) {
        self.out.clear();
        self.phase = Phase::Waiting { until };
    }

    /// Dials if the pause is over. If connecting or greeting takes too long, says so: the endpoint loses the link then.
    pub(crate) fn tick(&mut self, now: Time) -> Option<LinkCause> {
        if self.deadline().is_none_or(|due| now < due) {
            return None;
        }
        match self.phase {
            Phase::Waiting { .. } => {
                self.dial(now);
                None
            }
            Phase::Dialing { .. } => Some(LinkCause::ConnectTimeout),
            Phase::Greeting { .. } => Some(LinkCause::Silent),
            Phase::Up { .. } => None,
        }
    }

    /// When [`Self::tick`] is to be called at the latest. A connection that is up has none.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Dialing { since } | Phase::Greeting { since, .. } => {
                Some(since.after(self.patience))
            }
            Phase::Up { .. } => None,
        }
    }
}
