//! One host's side of the network.

use std::net::SocketAddr;

use quorate_replication::seam::{self, LinkId, NetworkEvent, Part, Receive, Send};
use quorate_wire::NodeId;

use super::dial::{Dial, Step};
use super::{Network, Sending, Side, place};

/// One host's side of the network: what its pipeline is handed for one turn.
#[derive(Debug)]
pub struct Port<'a> {
    network: &'a mut Network,
    node: NodeId,
}

impl<'a> Port<'a> {
    pub(super) fn new(network: &'a mut Network, node: NodeId) -> Self {
        Self { network, node }
    }

    /// Whom a link leads to, if it is still there.
    pub(crate) fn peer(&self, link: LinkId) -> Option<NodeId> {
        let (number, side) = place(link);
        let connection = self
            .network
            .connections
            .get(self.network.place_of(number)?)?;
        connection.ends.get(1 - side).map(|side| side.node)
    }

    /// The side that a link names; `None` if its end was told in this turn, and the pipeline may not have seen it yet.
    fn side(&mut self, link: LinkId) -> Option<&mut Side> {
        let node = self.node;
        if self.network.host(node).told.contains(&link) {
            return None;
        }
        let (number, side) = place(link);
        let careless = self.network.careless;
        let connection = self.network.touch(number);
        let side = connection.map(|connection| connection.end(side));
        let Some(side) = side.filter(|side| side.node == node && side.known) else {
            if careless {
                return None;
            }
            panic!("node {node} uses {link:?}, which it has been told is closed")
        };
        // Its end may be on the way to the pipeline.
        (!side.gone).then_some(side)
    }
}

impl seam::Network for Port<'_> {
    /// Here a node is found by its name.
    fn locate(&mut self, _: NodeId, _: SocketAddr) {}

    fn connect(&mut self, peer: NodeId) {
        let (from, now) = (self.node, self.network.now);
        let host = self.network.host(from);
        assert!(
            host.dialling.insert(peer),
            "one connection to a peer is asked for at a time"
        );
        let dial = Dial {
            from,
            to: peer,
            life: host.life,
            step: Step::Knocks,
        };
        let after = self.network.latency(0);
        self.network.dials.push(now.after(after), dial);
    }

    fn send(&mut self, link: LinkId, send: Send) {
        assert!(
            !send.parts.is_empty() && send.parts.len() <= Send::PARTS_MAX,
            "a send has 1 to {} parts, this one {}",
            Send::PARTS_MAX,
            send.parts.len()
        );
        let mut bytes = Vec::new();
        for part in &send.parts {
            let part = match part {
                Part::Head(range) => send.head.get(range.clone()).expect("a range of the head"),
                Part::Records(records) => records,
            };
            assert!(!part.is_empty(), "no part is empty");
            bytes.extend_from_slice(part);
        }
        self.network.head_most = self.network.head_most.max(send.head.len());
        if let Some(side) = self.side(link) {
            assert!(side.sending.is_none(), "one send is open at a time");
            side.sending = Some(Sending {
                send,
                bytes,
                sent: 0,
            });
        }
    }

    fn receive(&mut self, link: LinkId, receive: Receive) {
        assert!(receive.from < receive.memory.len(), "a receive has room");
        if let Some(side) = self.side(link) {
            assert!(side.receiving.is_none(), "one receive is open at a time");
            side.receiving = Some(receive);
        }
    }

    fn close(&mut self, link: LinkId) {
        if self.side(link).is_none() {
            return;
        }
        let (number, side) = place(link);
        let place = self.network.place_of(number);
        let place = place.expect("its side was just found");
        let mut connection = self.network.connections.remove(place);
        self.network.closed(&mut connection, side);
        self.network.connections.insert(place, connection);
    }

    fn happened(&mut self, events: &mut Vec<NetworkEvent>) {
        let host = self.network.host(self.node);
        if host.events.is_empty() {
            return;
        }
        let told = host.events.iter().filter_map(|event| match event {
            NetworkEvent::Closed { link } => Some(*link),
            NetworkEvent::Accepted { .. }
            | NetworkEvent::Connected { .. }
            | NetworkEvent::ConnectFailed { .. }
            | NetworkEvent::Received { .. }
            | NetworkEvent::Sent { .. } => None,
        });
        host.told.extend(told);
        events.append(&mut host.events);
    }
}
