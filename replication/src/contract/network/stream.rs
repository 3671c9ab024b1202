//! A direction of a link, kept full and checked byte by byte.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use quorate_wire::NodeId;

use super::{ONE, PUMPS_MAX, Peers, TWO, World, other};
use crate::buffer::{Buffer, Slice};
use crate::seam::{LinkId, Network, NetworkEvent, Part, Receive, Send};

/// The byte that a stream has at a place.
fn byte_at(seed: usize, at: usize) -> u8 {
    u8::try_from((seed + at / 3 + at / 1021) % 253).expect("it is small")
}

/// One direction of a link: bytes that a pattern gives go in, and are checked as they come out.
pub(super) struct Stream {
    from: NodeId,
    near: LinkId,
    far: LinkId,
    seed: usize,
    total: usize,
    /// Bytes of one send, and how many parts they are cut into.
    pub(super) send_bytes: usize,
    pub(super) parts: usize,
    pub(super) room: usize,
    given: usize,
    sent: usize,
    arrived: usize,
    sending: bool,
    receiving: bool,
    /// The far side does not receive yet.
    pub(super) holding: bool,
}

impl Stream {
    pub(super) fn new(from: NodeId, (near, far): (LinkId, LinkId), total: usize) -> Self {
        Self {
            from,
            near,
            far,
            seed: usize::try_from(from.0).expect("it is small") * 17,
            total,
            send_bytes: 1 << 20,
            parts: 7,
            room: 64 << 10,
            given: 0,
            sent: 0,
            arrived: 0,
            sending: false,
            receiving: false,
            holding: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.sent == self.total && self.arrived == self.total
    }

    /// Keeps one send and one receive open.
    pub(super) fn step(&mut self, world: &mut World<'_, impl Peers>) {
        if !self.sending && self.given < self.total {
            let bytes = self.send_bytes.min(self.total - self.given);
            let send = pieces(self.seed, self.given, bytes, self.parts);
            self.given += bytes;
            self.sending = true;
            world.send(self.from, self.near, send);
        }
        if !self.receiving && !self.holding && self.arrived < self.total {
            // Memory that already holds something keeps it.
            let from = self.arrived % 5;
            let receive = Receive {
                memory: vec![0xaa; from + self.room],
                from,
            };
            self.receiving = true;
            let network = world.peers.network(other(self.from));
            network.receive(self.far, receive);
        }
    }

    /// An event at either node; given back if it is of another stream.
    pub(super) fn take(&mut self, node: NodeId, event: NetworkEvent) -> Option<NetworkEvent> {
        match event {
            NetworkEvent::Sent { link, send } if node == self.from && link == self.near => {
                assert!(self.sending, "a send is over once");
                assert!(!send.parts.is_empty(), "the send comes back as it was");
                self.sending = false;
                self.sent = self.given;
                None
            }
            NetworkEvent::Received {
                link,
                receive,
                bytes,
            } if node != self.from && link == self.far => {
                assert!(self.receiving, "a receive is over once");
                self.receiving = false;
                self.check(&receive, bytes);
                None
            }
            event => Some(event),
        }
    }

    fn check(&mut self, receive: &Receive, bytes: usize) {
        assert!(bytes > 0, "a receive gives a byte at least");
        assert_eq!(receive.memory.len(), receive.from + self.room);
        let (kept, rest) = receive.memory.split_at(receive.from);
        let (new, unused) = rest.split_at(bytes);
        assert!(kept.iter().chain(unused).all(|&byte| byte == 0xaa));
        for &byte in new {
            let expected = byte_at(self.seed, self.arrived);
            assert_eq!(byte, expected, "at byte {}", self.arrived);
            self.arrived += 1;
        }
        assert!(self.arrived <= self.given, "what arrives was sent");
    }
}

/// A send of a stream's bytes, in parts of differing lengths, head and records in turn.
pub(super) fn pieces(seed: usize, from: usize, bytes: usize, parts: usize) -> Send {
    let content: Vec<u8> = (from..from + bytes).map(|at| byte_at(seed, at)).collect();
    let mut records = Buffer::zeroed(bytes);
    records
        .get_mut(..bytes)
        .expect("it is as long")
        .copy_from_slice(&content);
    let records = Arc::new(records);
    let mut send = Send::default();
    let mut at = 0;
    for part in 0..parts {
        let left = parts - part;
        let length = if left == 1 {
            bytes - at
        } else {
            ((bytes - at) / left + part % 2).min(bytes - at)
        };
        if length == 0 {
            continue;
        }
        let piece = at..at + length;
        at += length;
        if part % 2 == 0 {
            let begin = send.head.len();
            let piece = content.get(piece).expect("it is inside");
            send.head.extend_from_slice(piece);
            send.parts.push(Part::Head(begin..begin + length));
        } else {
            let piece = Slice::new(Arc::clone(&records), piece);
            send.parts.push(Part::Records(piece));
        }
    }
    assert_eq!(at, bytes, "all bytes are in a part");
    send
}

/// Runs streams to their end.
pub(super) fn run(world: &mut World<'_, impl Peers>, streams: &mut [Stream]) {
    let mut idle = 0;
    while !streams.iter().all(Stream::is_over) {
        for stream in &mut *streams {
            stream.step(world);
        }
        world.look();
        idle += 1;
        for node in [ONE, TWO] {
            for event in mem::take(world.events(node)) {
                idle = 0;
                let left = streams
                    .iter_mut()
                    .try_fold(event, |event, stream| stream.take(node, event));
                assert!(left.is_none(), "nobody waits for: {left:?}");
            }
        }
        if idle > 0 {
            world.peers.pump();
        }
        assert!(idle < PUMPS_MAX, "the bytes do not arrive");
    }
}
