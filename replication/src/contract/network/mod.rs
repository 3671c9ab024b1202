//! What links keep.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a suite fails at whatever event it does not wait for"
)]

mod stream;

use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use quorate_wire::NodeId;

use super::{PUMPS_MAX, PUMPS_QUIET};
use crate::seam::{LinkId, Network, NetworkEvent, Receive, Send};
use stream::{Stream, pieces, run};

/// Two nodes, 1 and 2, each with a network that can dial the other. Both have an address of node 3, where nobody listens.
pub trait Peers {
    /// Their networks.
    type Network: Network;

    /// A node's network.
    fn network(&mut self, node: NodeId) -> &mut Self::Network;

    /// Lets things happen on both. Returns when something has, or after a while: at most some milliseconds, virtual or real.
    fn pump(&mut self);
}

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const NOBODY: NodeId = NodeId(3);

/// The two nodes, and what happened to them that no suite has looked at yet.
struct World<'a, P> {
    peers: &'a mut P,
    one: Vec<NetworkEvent>,
    two: Vec<NetworkEvent>,
}

impl<'a, P: Peers> World<'a, P> {
    fn new(peers: &'a mut P) -> Self {
        Self {
            peers,
            one: Vec::new(),
            two: Vec::new(),
        }
    }

    fn events(&mut self, node: NodeId) -> &mut Vec<NetworkEvent> {
        if node == ONE {
            &mut self.one
        } else {
            &mut self.two
        }
    }

    fn look(&mut self) {
        self.peers.network(ONE).happened(&mut self.one);
        self.peers.network(TWO).happened(&mut self.two);
    }

    /// The next event of a node.
    fn next(&mut self, node: NodeId, what: &str) -> NetworkEvent {
        for _ in 0..PUMPS_MAX {
            self.look();
            if !self.events(node).is_empty() {
                return self.events(node).remove(0);
            }
            self.peers.pump();
        }
        panic!("node {node} waits in vain for: {what}");
    }

    /// Nothing more happens.
    fn quiet(&mut self) {
        for _ in 0..PUMPS_QUIET {
            self.peers.pump();
            self.look();
            assert!(
                self.one.is_empty() && self.two.is_empty(),
                "nothing is open, but: {:?} {:?}",
                self.one,
                self.two
            );
        }
    }

    /// A link between the two: its name at the node that dials, and at the other one.
    fn pair(&mut self, from: NodeId) -> (LinkId, LinkId) {
        let to = other(from);
        self.peers.network(from).connect(to);
        let near = match self.next(from, "a connection") {
            NetworkEvent::Connected { peer, link } if peer == to => link,
            event => panic!("a dial connects, but: {event:?}"),
        };
        let far = match self.next(to, "a stranger") {
            NetworkEvent::Accepted { link } => link,
            event => panic!("a dial arrives, but: {event:?}"),
        };
        (near, far)
    }

    fn send(&mut self, node: NodeId, link: LinkId, send: Send) {
        self.peers.network(node).send(link, send);
    }

    fn receive(&mut self, node: NodeId, link: LinkId, room: usize) {
        let receive = Receive {
            memory: vec![0; room],
            from: 0,
        };
        self.peers.network(node).receive(link, receive);
    }

    /// A link is gone, and nothing else happened to it.
    fn closed(&mut self, node: NodeId, gone: LinkId) {
        match self.next(node, "the end of a link") {
            NetworkEvent::Closed { link } if link == gone => {}
            event => panic!("{gone:?} is closed, but: {event:?}"),
        }
    }
}

fn other(node: NodeId) -> NodeId {
    if node == ONE { TWO } else { ONE }
}

/// A dial has two ends, one here and one there; and a later one has other names.
///
/// # Panics
/// The contract is broken.
pub fn a_link_has_two_ends(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    let (one, two) = world.pair(ONE);
    let (back_two, back_one) = world.pair(TWO);
    assert!(one != back_one && two != back_two, "links have own names");
    world.quiet();
    let mut streams = [
        Stream::new(ONE, (one, two), 1000),
        Stream::new(TWO, (back_two, back_one), 1000),
    ];
    run(&mut world, &mut streams);
    world.peers.network(ONE).close(one);
    world.receive(TWO, two, 10);
    world.closed(ONE, one);
    world.closed(TWO, two);
    let (again_one, again_two) = world.pair(ONE);
    assert!(again_one != one && again_two != two, "no name comes twice");
    world.quiet();
}

/// A dial to an address where nobody listens, or to a node without address, fails, as often as it is tried.
///
/// # Panics
/// The contract is broken.
pub fn a_dial_to_nobody_fails(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    for peer in [NOBODY, NOBODY, NodeId(77), NOBODY] {
        world.peers.network(ONE).connect(peer);
        match world.next(ONE, "a failure") {
            NetworkEvent::ConnectFailed { peer: failed } => assert_eq!(failed, peer),
            event => panic!("nobody answers, but: {event:?}"),
        }
    }
    world.quiet();
}

/// Bytes arrive in order, whatever the sizes of sends and receives.
///
/// # Panics
/// The contract is broken.
pub fn bytes_arrive_in_order(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    let link = world.pair(ONE);
    // Each stream ends where the next begins: the link has sent and received all.
    for (send_bytes, parts, room, total) in [
        (1, 1, 1, 50),
        (10, 3, 1, 300),
        (5000, 64, 7, 10_000),
        (1, 1, 1000, 100),
        (100_000, 5, 4096, 1_000_000),
    ] {
        let mut stream = Stream::new(ONE, link, total);
        stream.send_bytes = send_bytes;
        stream.parts = parts;
        stream.room = room;
        run(&mut world, core::slice::from_mut(&mut stream));
    }
    world.quiet();
}

/// Sends far larger than the operating system takes at once, of as many parts as may be.
///
/// # Panics
/// The contract is broken.
pub fn large_sends_arrive_whole(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    let link = world.pair(TWO);
    let mut stream = Stream::new(TWO, link, 40 << 20);
    stream.send_bytes = 20 << 20;
    stream.parts = Send::PARTS_MAX;
    stream.room = 1 << 20;
    run(&mut world, core::slice::from_mut(&mut stream));
    world.quiet();
}

/// Both directions of a link are full at once, and neither waits for the other.
///
/// # Panics
/// The contract is broken.
pub fn both_directions_flow(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    let (one, two) = world.pair(ONE);
    let mut streams = [
        Stream::new(ONE, (one, two), 16 << 20),
        Stream::new(TWO, (two, one), 16 << 20),
    ];
    run(&mut world, &mut streams);
    world.quiet();
}

/// Who does not receive holds the sender up, and loses nothing.
///
/// # Panics
/// The contract is broken.
pub fn a_slow_receiver_loses_nothing(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    let link = world.pair(ONE);
    let mut stream = Stream::new(ONE, link, 32 << 20);
    stream.holding = true;
    let mut idle = 0;
    while idle < PUMPS_QUIET {
        stream.step(&mut world);
        world.peers.pump();
        world.look();
        idle += 1;
        for event in mem::take(world.events(ONE)) {
            idle = 0;
            let left = stream.take(ONE, event);
            assert!(left.is_none(), "only sends end, but: {left:?}");
        }
        assert!(world.two.is_empty(), "nobody receives: {:?}", world.two);
    }
    stream.holding = false;
    run(&mut world, core::slice::from_mut(&mut stream));
    world.quiet();
}

/// Whoever ends a link, with whatever open: both sides see it end, once, and nothing of it afterwards.
///
/// # Panics
/// The contract is broken.
pub fn a_link_ends_once(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    for closer in [ONE, TWO] {
        for dialler in [ONE, TWO] {
            for sends in [false, true] {
                end_one(&mut world, closer, dialler, sends);
            }
        }
    }
    // Both at once.
    let (one, two) = world.pair(ONE);
    world.receive(ONE, one, 10);
    world.receive(TWO, two, 10);
    world.peers.network(ONE).close(one);
    world.peers.network(TWO).close(two);
    world.closed(ONE, one);
    world.closed(TWO, two);
    world.quiet();
}

fn end_one(world: &mut World<'_, impl Peers>, closer: NodeId, dialler: NodeId, sends: bool) {
    let (near, far) = world.pair(dialler);
    let (mine, theirs) = if closer == dialler {
        (near, far)
    } else {
        (far, near)
    };
    let left = other(closer);
    world.receive(closer, mine, 10);
    world.receive(left, theirs, 10);
    if sends {
        // More than the operating system takes: the send is open when the link ends.
        let seed = 1;
        let send = pieces(seed, 0, 32 << 20, 3);
        world.send(left, theirs, send);
        match world.next(closer, "the first bytes") {
            NetworkEvent::Received { link, .. } => assert_eq!(link, mine),
            event => panic!("bytes were sent, but: {event:?}"),
        }
        world.receive(closer, mine, 10);
    }
    world.peers.network(closer).close(mine);
    // Of the rest, some may have come before.
    loop {
        match world.next(closer, "the end of a link") {
            NetworkEvent::Received { link, .. } if sends => assert_eq!(link, mine),
            NetworkEvent::Closed { link } => break assert_eq!(link, mine),
            event => panic!("the link was closed, but: {event:?}"),
        }
    }
    world.closed(left, theirs);
    world.quiet();
}

/// What is asked of a link that has ended, or is about to, is let go: its end is the only answer.
///
/// # Panics
/// The contract is broken.
pub fn a_link_that_ended_takes_nothing(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    let (one, two) = world.pair(ONE);
    world.receive(TWO, two, 10);
    world.peers.network(ONE).close(one);
    for _ in 0..2 {
        world.peers.network(ONE).close(one);
        world.send(ONE, one, pieces(1, 0, 10, 1));
        world.receive(ONE, one, 10);
        world.send(ONE, one, pieces(1, 0, 10, 1));
    }
    world.closed(ONE, one);
    world.closed(TWO, two);
    for (node, link) in [(ONE, one), (TWO, two), (ONE, LinkId(u64::MAX))] {
        world.send(node, link, pieces(1, 0, 10, 1));
        world.receive(node, link, 10);
        world.peers.network(node).close(link);
    }
    world.quiet();
}

/// Who sends to a peer that has gone learns it, by the link's end, even if it does not receive.
///
/// # Panics
/// The contract is broken.
pub fn a_sender_learns_of_the_end(peers: &mut impl Peers) {
    let mut world = World::new(peers);
    let (one, two) = world.pair(ONE);
    world.peers.network(TWO).close(two);
    world.closed(TWO, two);
    for _ in 0..PUMPS_MAX {
        world.send(ONE, one, pieces(1, 0, 100, 2));
        match world.next(ONE, "an end") {
            NetworkEvent::Sent { link, .. } => assert_eq!(link, one),
            NetworkEvent::Closed { link } => {
                assert_eq!(link, one);
                world.quiet();
                return;
            }
            event => panic!("the link has ended, but: {event:?}"),
        }
    }
    panic!("the end is never seen");
}
