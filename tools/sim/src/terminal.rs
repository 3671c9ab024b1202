//! A client's side of its connection: it moves the bytes of an endpoint, and makes the connection that the endpoint wishes for, as
//! the blocking transport does it with a socket.

use quorate_client::LinkCause;
use quorate_client::endpoint::{Endpoint, LinkNumber};
use quorate_wire::{NodeId, Time};

use crate::wires::{Heard, WireId, Wires};

/// What the nodes' addresses begin with.
const NODE: &str = "node-";

/// Where clients find a node.
#[must_use]
pub fn address(node: NodeId) -> String {
    format!("{NODE}{node}")
}

fn node_at(address: &str) -> Option<NodeId> {
    address.strip_prefix(NODE)?.parse().ok().map(NodeId)
}

/// A client's side of its connection.
#[derive(Debug, Default)]
pub struct Terminal {
    held: Option<(LinkNumber, WireId)>,
    /// Bytes that the endpoint has not taken.
    input: Vec<u8>,
    losses: u64,
}

impl Terminal {
    /// How often a connection was lost.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// Whether the endpoint has something to do.
    #[must_use]
    pub fn is_due(&self, end: &impl Endpoint, wires: &Wires, now: Time) -> bool {
        end.deadline().is_some_and(|due| due <= now)
            || self.held.is_some_and(|(_, wire)| wires.has_news(wire, now))
    }

    /// Takes in what has come, lets time pass, and dials.
    pub fn listen(&mut self, end: &mut impl Endpoint, wires: &mut Wires, now: Time) {
        if let Some((number, wire)) = self.held {
            match wires.hear(wire, now, &mut self.input) {
                Heard::Dialing => {}
                Heard::Open => {
                    end.connected(number, now);
                    if !self.input.is_empty() {
                        let taken = end.received(number, &self.input, now);
                        self.input.drain(..taken);
                    }
                }
                Heard::Lost(cause) => {
                    self.losses += 1;
                    end.lost(number, cause, now);
                }
            }
        }
        end.tick(now);
        self.dial(end, wires, now);
    }

    fn dial(&mut self, end: &mut impl Endpoint, wires: &mut Wires, now: Time) {
        loop {
            let held = self.held.map(|(number, _)| number);
            if end.wish().map(|wish| wish.number) == held {
                return;
            }
            self.leave(wires, now);
            let Some(wish) = end.wish() else {
                return;
            };
            let number = wish.number;
            match node_at(wish.address) {
                Some(node) => self.held = Some((number, wires.dial(node, now))),
                None => end.lost(number, LinkCause::Unresolved, now),
            }
        }
    }

    /// Sends what the endpoint has to say, as far as there is room for it.
    pub fn speak(&mut self, end: &mut impl Endpoint, wires: &mut Wires, now: Time) {
        let Some((_, wire)) = self.held else {
            return;
        };
        loop {
            let bytes = end.output(now);
            if bytes.is_empty() {
                return;
            }
            let taken = wires.say(wire, bytes, now);
            if taken == 0 {
                return;
            }
            end.wrote(taken);
        }
    }

    /// The client stands still, or goes on.
    pub fn stand_still(&self, wires: &mut Wires, still: bool) {
        if let Some((_, wire)) = self.held {
            wires.stand_still(wire, still);
        }
    }

    /// The client turns away.
    pub fn leave(&mut self, wires: &mut Wires, now: Time) {
        if let Some((_, wire)) = self.held.take() {
            wires.leave(wire, now);
        }
        self.input.clear();
    }
}
