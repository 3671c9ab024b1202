//! A network in memory: links between nodes that are slow, chopped, cut and reset, but keep the order of their bytes.
//!
//! Owns: all links of a world. Checks that each side keeps the seam's contract. Called by: the world, and through [`Port`] by
//! each node's pipeline.

mod dial;
mod port;
mod trouble;

use std::collections::BTreeSet;

use quorate_replication::seam::{LinkId, NetworkEvent, Receive, Send};
use quorate_wire::{NodeId, Time};

use crate::random::Random;
use crate::schedule::Schedule;
use crate::stream::{End, Stream};

use dial::Dial;
pub use port::Port;

const MS: u64 = 1_000_000;

/// Later than everything.
const NEVER: Time = Time(u64::MAX);

/// How the network behaves.
#[derive(Clone, Copy, Debug)]
pub struct NetworkWeather {
    /// Nanoseconds that a piece takes at least and at most.
    pub latency: (u64, u64),
    /// Once in so many pieces, one takes up to `spike`.
    pub spike_one_in: u64,
    /// Nanoseconds.
    pub spike: u64,
    /// Nanoseconds that each KiB adds.
    pub kib: u64,
    /// Bytes that the buffers of one direction hold.
    pub capacity: usize,
    /// Largest piece: what one receive gets at most from one.
    pub piece: usize,
    /// Whether sends and receives are cut into pieces at any byte, and not only where the buffers end.
    pub chops: bool,
}

/// Links between nodes. See the module's description.
#[derive(Debug)]
pub struct Network {
    random: Random,
    weather: NetworkWeather,
    now: Time,
    /// By rising number.
    connections: Vec<Connection>,
    next_connection: u64,
    dials: Schedule<Dial>,
    /// By rising id, from 1.
    hosts: Vec<Host>,
    /// From, to.
    cuts: BTreeSet<(NodeId, NodeId)>,
    /// Most links that one node had at a time.
    links_most: usize,
    /// Most bytes that one send carried in its head.
    head_most: usize,
    /// Whether a host may use links that it knows to have ended: a driver lets that go, and no pipeline does it.
    careless: bool,
}

#[derive(Debug, Default)]
struct Host {
    up: bool,
    /// Counts its starts.
    life: u64,
    events: Vec<NetworkEvent>,
    dialling: BTreeSet<NodeId>,
    /// Links whose end was told in this turn: operations that were already under way are forgiven.
    told: BTreeSet<LinkId>,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    /// When something happens on it by itself; touched from outside, it has to be looked at at once.
    next: Time,
    /// The one that dialled is first.
    ends: [Side; 2],
    /// From the side with the same place.
    streams: [Stream; 2],
}

#[derive(Debug)]
struct Side {
    node: NodeId,
    /// The node knows of it.
    known: bool,
    /// The node has done with it.
    gone: bool,
    sending: Option<Sending>,
    receiving: Option<Receive>,
    /// From then on, whatever is open on it fails.
    broken: Option<Time>,
}

#[derive(Debug)]
struct Sending {
    send: Send,
    bytes: Vec<u8>,
    sent: usize,
}

impl Network {
    /// A network of hosts that are all down.
    #[must_use]
    pub fn new(seed: u64, weather: NetworkWeather, nodes: &[NodeId]) -> Self {
        Self {
            random: Random::new(seed, "network"),
            weather,
            now: Time(0),
            connections: Vec::new(),
            next_connection: 1,
            dials: Schedule::default(),
            hosts: nodes.iter().map(|_| Host::default()).collect(),
            cuts: BTreeSet::new(),
            links_most: 0,
            head_most: 0,
            careless: false,
        }
    }

    /// From now on, hosts may use links that they know to have ended.
    pub fn allow_careless_use(&mut self) {
        self.careless = true;
    }

    /// From now on it behaves like this.
    pub fn set_weather(&mut self, weather: NetworkWeather) {
        self.weather = weather;
    }

    /// A host's side of the network, for one turn of its pipeline.
    pub fn port(&mut self, node: NodeId) -> Port<'_> {
        self.host(node).told.clear();
        Port::new(self, node)
    }

    /// A host starts: it can be dialled.
    pub fn start(&mut self, node: NodeId) {
        let host = self.host(node);
        assert!(!host.up, "only what is down starts");
        *host = Host {
            up: true,
            life: host.life + 1,
            ..Host::default()
        };
    }

    /// Whether something waits for the host.
    #[must_use]
    pub fn has_events(&self, node: NodeId) -> bool {
        self.hosts
            .get(host_at(node))
            .is_some_and(|host| !host.events.is_empty())
    }

    /// Most links that one node has had at a time.
    #[must_use]
    pub fn links_most(&self) -> usize {
        self.links_most
    }

    /// Most bytes that one send has carried beside its records.
    #[must_use]
    pub fn head_most(&self) -> usize {
        self.head_most
    }

    /// Lets everything happen that is due.
    pub fn advance(&mut self, now: Time) {
        self.now = now;
        while let Some(dial) = self.dials.due(now) {
            self.step_dial(dial);
        }
        if self
            .connections
            .iter()
            .all(|connection| connection.next > now)
        {
            return;
        }
        let mut connections = std::mem::take(&mut self.connections);
        for connection in connections.iter_mut().filter(|it| it.next <= now) {
            for side in 0..2 {
                self.accept(connection, side);
                self.deliver(connection, side);
            }
            connection.next = self.next_of(connection).unwrap_or(NEVER);
        }
        self.connections = connections;
        self.sweep();
    }

    /// When something happens next.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        let links = self.connections.iter().map(|connection| connection.next);
        let links = links.min().filter(|&at| at != NEVER);
        self.dials.next().into_iter().chain(links).min()
    }

    fn next_of(&self, connection: &Connection) -> Option<Time> {
        let mut next: Option<Time> = None;
        let mut consider = |at: Option<Time>| next = next.into_iter().chain(at).min();
        for (to, side) in connection.ends.iter().enumerate() {
            let from = 1 - to;
            let (Some(sender), Some(stream)) =
                (connection.ends.get(from), connection.streams.get(from))
            else {
                continue;
            };
            let unheard = side.gone && sender.broken.is_none();
            if sender.sending.is_some() && (unheard || stream.frees()) {
                // What was read makes room.
                consider((!self.cuts.contains(&(side.node, sender.node))).then_some(self.now));
            }
            if side.gone || !side.known || !side.busy() {
                continue;
            }
            consider(side.broken);
            if self.cuts.contains(&(sender.node, side.node)) {
                continue;
            }
            consider(stream.breaks());
            if side.receiving.is_some() {
                consider(stream.next());
            }
        }
        next
    }

    /// Takes from a side's open send what the buffers hold.
    fn accept(&mut self, connection: &mut Connection, from: usize) {
        let number = connection.number;
        let (peer_gone, to) = (connection.end(1 - from).gone, connection.end(1 - from).node);
        let Connection { ends, streams, .. } = connection;
        let (Some(side), Some(stream)) = (ends.get_mut(from), streams.get_mut(from)) else {
            return;
        };
        if !self.cuts.contains(&(to, side.node)) {
            stream.acknowledge();
        }
        if side.sending.is_none() || side.broken.is_some_and(|at| at <= self.now) {
            return;
        }
        if peer_gone && side.broken.is_none() {
            // Bytes for nobody: the other host says so. Until then the buffers take what they hold.
            side.broken = Some(self.now.after(self.latency(0)));
        }
        let Some(sending) = &mut side.sending else {
            return;
        };
        while sending.sent < sending.bytes.len() {
            let most = self.weather.piece.min(stream.room());
            if most == 0 {
                return;
            }
            let left = sending.bytes.get(sending.sent..).unwrap_or_default();
            let most = if self.weather.chops {
                1 + self.random.below(most)
            } else {
                most
            };
            let count = left.len().min(most);
            let arrives = self.now.after(self.latency(count));
            stream.push(left.get(..count).unwrap_or_default(), arrives);
            sending.sent += count;
        }
        if let Some(Sending { send, .. }) = side.sending.take() {
            let node = side.node;
            let sent = NetworkEvent::Sent {
                link: link(number, from),
                send,
            };
            self.host(node).events.push(sent);
        }
    }

    /// Gives a side what has arrived for it.
    fn deliver(&mut self, connection: &mut Connection, to: usize) {
        let number = connection.number;
        let from = 1 - to;
        let (sender, now) = (connection.end(from).node, self.now);
        let Connection { ends, streams, .. } = connection;
        let (Some(side), Some(stream)) = (ends.get_mut(to), streams.get_mut(from)) else {
            return;
        };
        if side.gone || !side.known || !side.busy() {
            return;
        }
        let cut = self.cuts.contains(&(sender, side.node));
        let ended = !cut
            && stream
                .ended(now)
                .is_some_and(|end| end.reset || side.receiving.is_some());
        if ended || side.broken.is_some_and(|at| at <= now) {
            self.closed(connection, to);
            return;
        }
        let arrived = if cut { 0 } else { stream.arrived(now) };
        let Some(mut receive) = side.receiving.take() else {
            return;
        };
        let room = receive.memory.get_mut(receive.from..).unwrap_or_default();
        assert!(!room.is_empty(), "a receive has room");
        let most = arrived.min(room.len());
        if most == 0 {
            side.receiving = Some(receive);
            return;
        }
        let bytes = if !self.weather.chops || self.random.one_in(2) {
            most
        } else {
            1 + self.random.below(most)
        };
        stream.read(room.get_mut(..bytes).unwrap_or_default());
        let received = NetworkEvent::Received {
            link: link(number, to),
            receive,
            bytes,
        };
        let node = side.node;
        self.host(node).events.push(received);
    }

    /// A side has done with its link, or the link with it.
    fn closed(&mut self, connection: &mut Connection, side: usize) {
        let number = connection.number;
        let node = connection.end(side).node;
        connection.end(side).give_up();
        let arrives = self.now.after(self.latency(0));
        let reset = self.random.one_in(2);
        connection.stream(side).finish(End { arrives, reset });
        self.host(node).events.push(NetworkEvent::Closed {
            link: link(number, side),
        });
    }

    fn sweep(&mut self) {
        self.connections
            .retain(|connection| connection.ends.iter().any(|side| !side.gone));
    }

    fn latency(&mut self, bytes: usize) -> u64 {
        let NetworkWeather {
            latency: (least, most),
            spike_one_in,
            spike,
            kib,
            ..
        } = self.weather;
        let late = if self.random.one_in(spike_one_in) {
            self.random.between(0, spike)
        } else {
            0
        };
        let size = u64::try_from(bytes).expect("a size fits") * kib / 1024;
        self.random.between(least, most) + late + size
    }

    fn between(&self, a: NodeId, b: NodeId) -> Vec<u64> {
        let pair = |connection: &Connection| {
            connection.ends.iter().any(|side| side.node == a)
                && connection.ends.iter().any(|side| side.node == b)
        };
        let found = self.connections.iter().filter(|link| pair(link));
        found.map(|link| link.number).collect()
    }

    /// Whether a host of this name is there, and up.
    fn is_up(&self, node: NodeId) -> bool {
        self.hosts.get(host_at(node)).is_some_and(|host| host.up)
    }

    fn host(&mut self, node: NodeId) -> &mut Host {
        self.hosts
            .get_mut(host_at(node))
            .expect("a host of this network")
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        let place = |link: &Connection| link.number;
        self.connections.binary_search_by_key(&number, place).ok()
    }

    /// A connection, about to be changed: it is looked at again.
    fn touch(&mut self, number: u64) -> Option<&mut Connection> {
        let place = self.place_of(number)?;
        let connection = self.connections.get_mut(place)?;
        connection.next = self.now;
        Some(connection)
    }

    fn connection(&mut self, number: u64) -> &mut Connection {
        self.touch(number).expect("a connection that is there")
    }
}

fn host_at(node: NodeId) -> usize {
    usize::try_from(node.0).map_or(usize::MAX, |node| node - 1)
}

impl Connection {
    fn end(&mut self, side: usize) -> &mut Side {
        self.ends.get_mut(side).expect("a link has two sides")
    }

    fn stream(&mut self, side: usize) -> &mut Stream {
        self.streams.get_mut(side).expect("a link has two sides")
    }

    fn side(&self, node: NodeId) -> usize {
        self.ends
            .iter()
            .position(|side| side.node == node)
            .expect("a host of this link")
    }

    /// The living side of a host.
    fn side_of(&self, node: NodeId) -> Option<usize> {
        self.ends
            .iter()
            .position(|side| side.node == node && !side.gone && side.known)
    }
}

impl Side {
    fn busy(&self) -> bool {
        self.sending.is_some() || self.receiving.is_some()
    }

    fn give_up(&mut self) {
        (self.gone, self.sending, self.receiving) = (true, None, None);
    }
}

fn link(number: u64, side: usize) -> LinkId {
    LinkId(number * 2 + u64::try_from(side).expect("one of two"))
}

fn place(link: LinkId) -> (u64, usize) {
    (link.0 / 2, usize::try_from(link.0 % 2).expect("one of two"))
}
