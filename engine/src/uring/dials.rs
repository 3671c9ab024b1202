//! Connections that are being asked for, and when to give up.

use quorate_wire::{NodeId, Time};

use super::ops::Token;

/// How long a peer's host may take to answer at all. The kernel alone would try for two minutes, and at ever longer
/// intervals: after a partition heals, a dial of its would find out far too late.
const DIAL_NANOSECONDS: u64 = 1_000_000_000;

#[derive(Debug)]
struct Dial {
    peer: NodeId,
    token: Token,
    /// Absent once it was cancelled: its completion is on the way.
    expires: Option<Time>,
}

/// The dials that are open.
#[derive(Debug, Default)]
pub(super) struct Dials {
    dials: Vec<Dial>,
}

impl Dials {
    pub(super) fn is_open(&self, peer: NodeId) -> bool {
        self.dials.iter().any(|dial| dial.peer == peer)
    }

    pub(super) fn begin(&mut self, peer: NodeId, token: Token, now: Time) {
        self.dials.push(Dial {
            peer,
            token,
            expires: Some(now.after(DIAL_NANOSECONDS)),
        });
    }

    pub(super) fn end(&mut self, token: Token) {
        self.dials.retain(|dial| dial.token != token);
    }

    /// When the next one expires.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.dials.iter().filter_map(|dial| dial.expires).min()
    }

    /// A dial that has expired, once.
    pub(super) fn expired(&mut self, now: Time) -> Option<Token> {
        let dial = self
            .dials
            .iter_mut()
            .find(|dial| dial.expires.is_some_and(|expires| expires <= now))?;
        dial.expires = None;
        Some(dial.token)
    }
}
