//! How a link comes about: the caller knocks, and is told what became of it.

use quorate_replication::seam::NetworkEvent;
use quorate_wire::NodeId;

use super::{Connection, MS, Network, Side, link};
use crate::stream::{End, Stream};

#[derive(Debug)]
pub(super) struct Dial {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    /// The caller's life.
    pub(super) life: u64,
    pub(super) step: Step,
}

#[derive(Debug)]
pub(super) enum Step {
    Knocks,
    Connected(u64),
    Failed,
}

impl Network {
    pub(super) fn step_dial(&mut self, dial: Dial) {
        let Dial {
            from,
            to,
            life,
            step,
        } = dial;
        let now = self.now;
        let caller = self.host(from);
        let lives = caller.up && caller.life == life;
        match step {
            Step::Knocks => {
                let cut = self.cuts.contains(&(from, to)) || self.cuts.contains(&(to, from));
                let after = if cut {
                    self.random.between(20, 2000) * MS
                } else {
                    self.latency(0)
                };
                let step = if !cut && self.is_up(to) {
                    Step::Connected(self.open(from, to))
                } else {
                    Step::Failed
                };
                self.dials.push(
                    now.after(after),
                    Dial {
                        from,
                        to,
                        life,
                        step,
                    },
                );
            }
            Step::Failed if lives => {
                caller.dialling.remove(&to);
                caller.events.push(NetworkEvent::ConnectFailed { peer: to });
            }
            Step::Connected(number) if lives => {
                caller.dialling.remove(&to);
                caller.events.push(NetworkEvent::Connected {
                    peer: to,
                    link: link(number, 0),
                });
                self.connection(number).end(0).known = true;
            }
            Step::Connected(number) => {
                let arrives = now.after(self.latency(0));
                let connection = self.connection(number);
                connection.end(0).give_up();
                connection.stream(0).finish(End {
                    arrives,
                    reset: true,
                });
            }
            Step::Failed => {}
        }
    }

    fn open(&mut self, from: NodeId, to: NodeId) -> u64 {
        let number = self.next_connection;
        self.next_connection += 1;
        let side = |node, known| Side {
            node,
            known,
            gone: false,
            sending: None,
            receiving: None,
            broken: None,
        };
        let capacity = self.weather.capacity;
        let connection = Connection {
            number,
            next: self.now,
            ends: [side(from, false), side(to, true)],
            streams: [Stream::new(capacity), Stream::new(capacity)],
        };
        self.connections.push(connection);
        let accepted = NetworkEvent::Accepted {
            link: link(number, 1),
        };
        self.host(to).events.push(accepted);
        for node in [from, to] {
            let of_node = |connection: &&Connection| {
                connection
                    .ends
                    .iter()
                    .any(|side| side.node == node && !side.gone)
            };
            let links = self.connections.iter().filter(of_node).count();
            self.links_most = self.links_most.max(links);
        }
        number
    }
}
