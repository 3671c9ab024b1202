//! What goes wrong on a network, when it is told to.

use quorate_wire::NodeId;

use super::{MS, Network};
use crate::stream::End;

impl Network {
    /// A host's process dies, and its links with it. Of what it had sent, some may be lost. If the host dies `hard`, its
    /// peers do not hear of it for a while.
    pub fn crash(&mut self, node: NodeId, hard: bool) {
        let host = self.host(node);
        assert!(host.up, "only what is up crashes");
        host.up = false;
        host.events.clear();
        host.dialling.clear();
        let numbers: Vec<u64> = self.connections.iter().map(|link| link.number).collect();
        for number in numbers {
            let after = if hard {
                self.random.between(100, 3000) * MS
            } else {
                self.latency(0)
            };
            let connection = self.connection(number);
            let Some(side) = connection.side_of(node) else {
                continue;
            };
            connection.end(side).give_up();
            let bytes = connection.stream(side).bytes();
            let lost = if self.random.one_in(2) {
                self.random.below(bytes + 1)
            } else {
                0
            };
            let reset = hard || lost > 0 || self.random.one_in(2);
            let arrives = self.now.after(after);
            let stream = self.connection(number).stream(side);
            stream.lose(lost);
            stream.finish(End { arrives, reset });
        }
        self.sweep();
    }

    /// Breaks all links between two hosts; some of what was on the way is lost.
    pub fn reset(&mut self, a: NodeId, b: NodeId) {
        for number in self.between(a, b) {
            for side in 0..2 {
                let bytes = self.connection(number).stream(side).bytes();
                let lost = self.random.below(bytes + 1);
                let arrives = self.now.after(self.latency(0));
                let stream = self.connection(number).stream(side);
                stream.lose(lost);
                stream.finish(End {
                    arrives,
                    reset: true,
                });
            }
        }
    }

    /// Changes a bit of what is on its way between two hosts.
    pub fn garble(&mut self, a: NodeId, b: NodeId) {
        for number in self.between(a, b) {
            let side = self.random.below(2);
            let bytes = self.connection(number).stream(side).bytes();
            if bytes > 0 {
                let (byte, bit) = (self.random.below(bytes), self.random.between(0, 7));
                let bit = u32::try_from(bit).expect("one of eight");
                self.connection(number).stream(side).garble(byte, bit);
            }
        }
    }

    /// From now on nothing goes from one host to another. The links may outlive it, or not.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cuts.insert((from, to));
        self.look_at_all();
        for number in self.between(from, to) {
            if self.random.one_in(2) {
                let side = self.random.below(2);
                let at = self.now.after(self.random.between(50, 2000) * MS);
                self.connection(number).end(side).broken.get_or_insert(at);
            }
        }
    }

    /// What is cut between two hosts is whole again.
    pub fn heal(&mut self, a: NodeId, b: NodeId) {
        for (from, to) in [(a, b), (b, a)] {
            if !self.cuts.remove(&(from, to)) {
                continue;
            }
            self.look_at_all();
            for number in self.between(a, b) {
                let until = self.now.after(self.latency(0));
                let connection = self.connection(number);
                let side = connection.side(from);
                connection.stream(side).delay(until);
            }
        }
    }

    fn look_at_all(&mut self) {
        for connection in &mut self.connections {
            connection.next = self.now;
        }
    }

    /// All cuts are whole again.
    pub fn heal_all(&mut self) {
        for (from, to) in self.cuts.clone() {
            self.heal(from, to);
        }
    }
}
