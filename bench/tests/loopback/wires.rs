//! The links between the pipelines of one process.

use quorate_replication::seam::{LinkId, NetworkEvent, Part, Receive, Send};
use quorate_wire::NodeId;

use super::Node;

/// One node's ends of its links.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    ends: Vec<End>,
    pub(crate) dials: Vec<NodeId>,
    pub(crate) events: Vec<NetworkEvent>,
}

/// One end of a link.
#[derive(Debug)]
pub(crate) struct End {
    link: LinkId,
    /// Which node has the other one, and its name there.
    far: (usize, LinkId),
    pub(crate) sending: Option<Send>,
    pub(crate) receiving: Option<Receive>,
    /// What has arrived and was not yet received.
    arrived: Vec<u8>,
}

impl Wires {
    pub(crate) fn end(&mut self, link: LinkId) -> &mut End {
        let mut ends = self.ends.iter_mut();
        ends.find(|end| end.link == link)
            .expect("links are never closed here")
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.events.is_empty()
    }

    /// A new end. A node names its links in the order in which it gets them.
    fn add(&mut self, far: (usize, LinkId)) {
        self.ends.push(End {
            link: self.next(),
            far,
            sending: None,
            receiving: None,
            arrived: Vec::new(),
        });
    }

    fn next(&self) -> LinkId {
        LinkId(u64::try_from(self.ends.len()).expect("few links"))
    }
}

/// Connects who has dialled, and hands over everything that is on its way.
pub(crate) fn deliver(nodes: &mut [Node]) {
    for at in 0..nodes.len() {
        connect(nodes, at);
    }
    for at in 0..nodes.len() {
        hand_over(nodes, at);
    }
    for node in nodes {
        receive(&mut node.around.wires);
    }
}

fn connect(nodes: &mut [Node], at: usize) {
    let id = |at: usize| NodeId(u32::try_from(at + 1).expect("few nodes"));
    while let Some(peer) = nodes[at].around.wires.dials.pop() {
        let other = (0..nodes.len()).find(|&other| id(other) == peer);
        let other = other.expect("nodes dial nodes of the group");
        let (here, there) = (
            nodes[at].around.wires.next(),
            nodes[other].around.wires.next(),
        );
        let wires = &mut nodes[at].around.wires;
        wires.add((other, there));
        let link = here;
        wires.events.push(NetworkEvent::Connected { peer, link });
        let wires = &mut nodes[other].around.wires;
        wires.add((at, here));
        wires.events.push(NetworkEvent::Accepted { link: there });
    }
}

fn hand_over(nodes: &mut [Node], at: usize) {
    for nth in 0..nodes[at].around.wires.ends.len() {
        let end = &mut nodes[at].around.wires.ends[nth];
        let (link, (other, far)) = (end.link, end.far);
        let Some(send) = end.sending.take() else {
            continue;
        };
        let arrived = &mut nodes[other].around.wires.end(far).arrived;
        for part in &send.parts {
            arrived.extend_from_slice(match part {
                Part::Head(range) => &send.head[range.clone()],
                Part::Records(slice) => slice,
            });
        }
        let sent = NetworkEvent::Sent { link, send };
        nodes[at].around.wires.events.push(sent);
    }
}

fn receive(wires: &mut Wires) {
    for end in &mut wires.ends {
        if end.arrived.is_empty() {
            continue;
        }
        let Some(mut receive) = end.receiving.take() else {
            continue;
        };
        let room = &mut receive.memory[receive.from..];
        let bytes = room.len().min(end.arrived.len());
        room[..bytes].copy_from_slice(&end.arrived[..bytes]);
        end.arrived.drain(..bytes);
        wires.events.push(NetworkEvent::Received {
            link: end.link,
            receive,
            bytes,
        });
    }
}
