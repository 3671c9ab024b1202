//! Leases: reads that need no round (thesis §6.4.1), for who wants them.
//!
//! A node that hears from a leader is *loyal* to it for `election_min` from then on: it neither votes for anybody else nor stands,
//! whatever else it hears, also that the leader's sockets were reset. So a leader that a majority has confirmed by answering an
//! append that left at T knows that nobody else leads before T + `election_min` on that majority's clocks; its lease is a tenth
//! shorter, for clocks that run apart.
//!
//! **Pause guard.** The lease is held against the clock of a tick that was read *after* the request had come. A leader that
//! was stopped, wherever in its turn, finds the time gone at the next tick, and asks for a round instead.
//!
//! What breaks a lease: a transfer (its target stands at once), so after one a leader takes none in its term; and a restart, which
//! forgets a promise, so a node that starts is loyal to whoever there may be.

use quorate_wire::Time;
use quorate_wire::canary::{self, Canary};

use crate::role::Role;
use crate::{Config, Raft};

/// How far clocks may run apart: while one shows ten seconds, another shows more than nine.
const DRIFT_DIVISOR: u64 = 10;

/// The promise that a leader's lease rests on.
#[derive(Clone, Debug)]
pub(crate) struct Loyalty {
    /// How long it holds after the leader's word; zero where there are no leases.
    span: u64,
    until: Time,
    /// The leader spoke since the last tick: the promise runs from the next one, since messages carry no time.
    renewed: bool,
}

impl Loyalty {
    pub(crate) fn new(config: &Config, now: Time) -> Self {
        let breaks = !config.lease_reads || canary::on(Canary::LeaseWithoutLoyalty);
        let span = if breaks { 0 } else { config.election_min };
        Self {
            span,
            until: now.after(span),
            renewed: false,
        }
    }

    /// The leader spoke.
    pub(crate) fn renew(&mut self) {
        self.renewed = self.span > 0;
    }

    pub(crate) fn on_tick(&mut self, now: Time) {
        if core::mem::take(&mut self.renewed) {
            self.until = now.after(self.span);
        }
    }

    pub(crate) fn holds(&self, now: Time) -> bool {
        self.renewed || now < self.until
    }

    pub(crate) fn until(&self) -> Time {
        self.until
    }
}

impl Raft {
    /// Whether nobody else can lead yet, as far as the clock of the last tick goes.
    pub(crate) fn holds_lease(&self) -> bool {
        let Role::Leader(leader) = &self.role else {
            return false;
        };
        if !leader.takes_leases && !canary::on(Canary::LeaseOutlivesTransfer) {
            return false;
        }
        let election_min = self.config.election_min;
        self.reached(leader, Some(self.now), |peer| peer.confirmed().at)
            .is_some_and(|at| self.now < at.after(election_min - election_min / DRIFT_DIVISOR))
    }
}
