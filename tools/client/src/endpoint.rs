//! One end of a conversation with a cluster: what decides, without a socket, a clock or chance.
//!
//! A transport moves the bytes of any endpoint: the blocking one over TCP, the simulator's over wires that are cut. Its loop, in
//! this order:
//! 1. bytes that came in: [`Endpoint::received`]; a connection that came about or ended: [`Endpoint::connected`],
//!    [`Endpoint::lost`];
//! 2. the clock: [`Endpoint::tick`], at the latest at [`Endpoint::deadline`]; always after the bytes that were already there, so
//!    that a caller that slept does not take its own silence for the node's;
//! 3. the connection that should be: [`Endpoint::wish`]; a changed number means: drop the old one, dial this one;
//! 4. bytes to go out: [`Endpoint::output`], then [`Endpoint::wrote`].

use quorate_wire::Time;

use crate::LinkCause;

/// Names a connection, or an attempt at one: every new one has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkNumber(pub u64);

/// The one connection that there should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Which one: if the caller holds another, that is to be dropped.
    pub number: LinkNumber,
    /// Where to.
    pub address: &'a str,
}

/// One end of a conversation with a cluster. The module's page says how to drive it.
pub trait Endpoint {
    /// The connection that there should be; none during a pause and after the end.
    fn wish(&self) -> Option<Wish<'_>>;

    /// The wished connection has come about.
    fn connected(&mut self, number: LinkNumber, now: Time);

    /// The connection, or the attempt, is over. One that is no longer wished for is ignored.
    fn lost(&mut self, number: LinkNumber, cause: LinkCause, now: Time);

    /// Takes bytes that the node sent, as far as they are whole frames, and returns how many those are. The rest is to be handed
    /// in again, with what comes after it.
    fn received(&mut self, number: LinkNumber, bytes: &[u8], now: Time) -> usize;

    /// Lets time pass: pauses and patience end here.
    fn tick(&mut self, now: Time);

    /// When [`Self::tick`] is to be called at the latest.
    fn deadline(&self) -> Option<Time>;

    /// The bytes to write next; empty if there are none.
    fn output(&mut self, now: Time) -> &[u8];

    /// So many of the bytes of [`Self::output`] have been written.
    ///
    /// # Panics
    /// There were not so many.
    fn wrote(&mut self, bytes: usize);
}
