//! Nodes that clients do not reach, or do not hear, though the nodes' peers do.
//!
//! What is on its way waits, as it does in a socket's buffer, and comes when the way is whole again, if its client still waits.

use quorate_wire::{NodeId, Time};

use super::{Far, Near, Wire, WireId, Wires};

/// Which way nothing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From clients to a node.
    Up,
    /// From a node to clients.
    Down,
}

impl Wires {
    /// From now on nothing goes this way between clients and a node.
    pub fn cut(&mut self, node: NodeId, way: Way) {
        self.cuts.insert((node, way));
    }

    /// What was cut between clients and a node is whole again.
    pub fn heal(&mut self, node: NodeId, now: Time) {
        for way in [Way::Up, Way::Down] {
            if !self.cuts.remove(&(node, way)) {
                continue;
            }
            let until = now.after(self.latency());
            for wire in self.wires.values_mut().filter(|wire| wire.node == node) {
                match way {
                    Way::Up => wire.delay_up(until),
                    Way::Down => wire.delay_down(until),
                }
            }
        }
    }

    pub(super) fn is_cut(&self, wire: WireId, way: Way) -> bool {
        let node = self.wires.get(&wire).map(|wire| wire.node);
        node.is_some_and(|node| self.cuts.contains(&(node, way)))
    }
}

impl Wire {
    fn delay_up(&mut self, until: Time) {
        self.up.delay(until);
        if let Far::Coming { at } = &mut self.far {
            *at = until.max(*at);
        }
    }

    fn delay_down(&mut self, until: Time) {
        self.down.delay(until);
        if let Near::Answered { at, .. } = &mut self.near {
            *at = until.max(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arrival, Heard, WireWeather};
    use super::*;

    const NODE: NodeId = NodeId(1);

    fn wires() -> Wires {
        let weather = WireWeather {
            latency: (1, 1),
            capacity: 64,
            piece: 64,
        };
        let mut wires = Wires::new(7, weather);
        wires.start(NODE);
        wires
    }

    fn arrives(wires: &mut Wires, now: u64) -> Vec<Arrival> {
        let (mut at, mut all) = (WireId(0), Vec::new());
        while let Some((wire, _, arrival)) = wires.arrival(at, Time(now), &mut Vec::new()) {
            at = wire;
            all.push(arrival);
        }
        all
    }

    fn connected(wires: &mut Wires) -> WireId {
        let wire = wires.dial(NODE, Time(0));
        assert_eq!(arrives(wires, 1), [Arrival::Came]);
        assert_eq!(wires.hear(wire, Time(2), &mut Vec::new()), Heard::Open);
        wire
    }

    #[test]
    fn what_a_client_says_arrives_when_the_way_is_whole_again() {
        let mut wires = wires();
        let wire = connected(&mut wires);
        wires.cut(NODE, Way::Up);
        wires.say(wire, b"up", Time(10));
        wires.answer(wire, b"down", Time(10));
        assert_eq!(arrives(&mut wires, 20), []);
        let mut input = Vec::new();
        assert_eq!(wires.hear(wire, Time(20), &mut input), Heard::Open);
        assert_eq!(input, b"down", "the other way is whole");
        assert_eq!(wires.next(), None, "nobody waits for a moment");
        wires.heal(NODE, Time(30));
        assert_eq!(arrives(&mut wires, 30), []);
        assert_eq!(arrives(&mut wires, 31), [Arrival::Bytes]);
    }

    #[test]
    fn what_a_node_says_arrives_when_the_way_is_whole_again() {
        let mut wires = wires();
        let wire = connected(&mut wires);
        wires.cut(NODE, Way::Down);
        wires.answer(wire, b"down", Time(10));
        wires.close(wire, Time(10));
        let mut input = Vec::new();
        assert_eq!(wires.hear(wire, Time(20), &mut input), Heard::Open);
        assert!(input.is_empty() && !wires.has_news(wire, Time(20)));
        wires.heal(NODE, Time(30));
        assert_eq!(wires.hear(wire, Time(31), &mut input), Heard::Open);
        assert_eq!(input, b"down");
    }

    #[test]
    fn who_dials_hears_nothing_and_who_has_gone_by_then_does_not_arrive() {
        let mut wires = wires();
        wires.cut(NODE, Way::Up);
        let (gone, stays) = (wires.dial(NODE, Time(0)), wires.dial(NODE, Time(0)));
        assert_eq!(arrives(&mut wires, 10), []);
        let heard = wires.hear(stays, Time(10), &mut Vec::new());
        assert_eq!(heard, Heard::Dialing);
        wires.leave(gone, Time(10));
        wires.heal(NODE, Time(20));
        assert_eq!(arrives(&mut wires, 21), [Arrival::Came]);
        wires.cut(NODE, Way::Down);
        let heard = wires.hear(stays, Time(30), &mut Vec::new());
        assert_eq!(heard, Heard::Dialing, "the answer is lost");
        wires.heal(NODE, Time(40));
        let heard = wires.hear(stays, Time(41), &mut Vec::new());
        assert_eq!(heard, Heard::Open);
    }
}
