//! The way between clients and nodes: connections that carry bytes, slowly, in pieces and in order, and break at any byte.
//!
//! Owns: the connections of all clients of a group. Never: knows what the bytes mean. Called by: terminals on the clients' side,
//! and the group's clients for the nodes' side.

mod cut;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use quorate_client::LinkCause;
use quorate_wire::{NodeId, Time};

pub use cut::Way;

use crate::random::Random;
use crate::stream::{End, Stream};

/// A client's connection with one node: never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireId(pub u64);

/// How the wires behave.
#[derive(Clone, Copy, Debug)]
pub struct WireWeather {
    /// Nanoseconds that a piece takes at least and at most.
    pub latency: (u64, u64),
    /// Bytes that the buffers of one direction hold.
    pub capacity: usize,
    /// Largest piece.
    pub piece: usize,
}

#[derive(Debug)]
struct Wire {
    node: NodeId,
    near: Near,
    far: Far,
    /// From the client to the node.
    up: Stream,
    /// From the node to the client.
    down: Stream,
    /// The client has more to say than there was room for.
    blocked: bool,
    /// Its client stands still, and hears nothing before it goes on.
    still: bool,
}

/// The client's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Near {
    /// It waits for the node's host to answer.
    Dialing,
    /// The host's answer arrives then: somebody takes the connection, or nobody.
    Answered {
        at: Time,
        taken: bool,
    },
    Open,
    /// The client does not listen any more.
    Gone,
}

/// The node's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Far {
    /// It reaches the host then.
    Coming {
        at: Time,
    },
    Open,
    /// The host is gone, and has told nobody.
    Silent,
    Gone,
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The connection has not come about yet.
    Dialing,
    /// It works; bytes that have come were added to the input.
    Open,
    /// It is over.
    Lost(LinkCause),
}

/// What happens at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A client connects.
    Came,
    /// Bytes come, at the end of the given input.
    Bytes,
    /// The client is gone.
    Left,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Host {
    #[default]
    Off,
    /// It is up, and refuses connections: nobody listens.
    Idle,
    Serving,
}

/// All connections of clients.
#[derive(Debug)]
pub struct Wires {
    random: Random,
    weather: WireWeather,
    wires: BTreeMap<WireId, Wire>,
    hosts: BTreeMap<NodeId, Host>,
    /// Between these nodes and clients nothing goes this way.
    cuts: BTreeSet<(NodeId, Way)>,
    last: u64,
}

impl Wires {
    /// No connections yet, and no host is up.
    #[must_use]
    pub fn new(seed: u64, weather: WireWeather) -> Self {
        Self {
            random: Random::new(seed, "wires"),
            weather,
            wires: BTreeMap::new(),
            hosts: BTreeMap::new(),
            cuts: BTreeSet::new(),
            last: 0,
        }
    }

    /// A node listens.
    pub fn start(&mut self, node: NodeId) {
        self.hosts.insert(node, Host::Serving);
    }

    /// A node's process dies, or its host does. Answers on the way may be lost too.
    pub fn crash(&mut self, node: NodeId, hard: bool, now: Time) {
        let host = if hard { Host::Off } else { Host::Idle };
        self.hosts.insert(node, host);
        let Self { random, wires, .. } = self;
        let wires = wires.values_mut().filter(|wire| wire.node == node);
        for wire in wires.filter(|wire| wire.far == Far::Open) {
            if random.one_in(2) {
                wire.down.lose(random.below(wire.down.bytes() + 1));
            }
            if hard {
                wire.far = Far::Silent;
            } else {
                wire.far = Far::Gone;
                wire.down.finish(End {
                    arrives: now.after(random.between(0, 1_000_000)),
                    reset: random.one_in(2),
                });
            }
        }
    }

    /// Some connections break, at any byte, and the nodes live on.
    pub fn shake(&mut self, now: Time) {
        let Self { random, wires, .. } = self;
        for wire in wires.values_mut().filter(|wire| wire.far == Far::Open) {
            if random.one_in(2) {
                for stream in [&mut wire.up, &mut wire.down] {
                    stream.lose(random.below(stream.bytes() + 1));
                    let arrives = now.after(random.between(0, 1_000_000));
                    stream.finish(End {
                        arrives,
                        reset: true,
                    });
                }
            }
        }
    }

    /// A client turns to a node.
    pub fn dial(&mut self, node: NodeId, now: Time) -> WireId {
        self.last += 1;
        let wire = Wire {
            node,
            near: Near::Dialing,
            far: Far::Coming {
                at: now.after(self.latency()),
            },
            up: Stream::new(self.weather.capacity),
            down: Stream::new(self.weather.capacity),
            blocked: false,
            still: false,
        };
        self.wires.insert(WireId(self.last), wire);
        WireId(self.last)
    }

    /// A client turns away. What it has said may still arrive.
    pub fn leave(&mut self, wire: WireId, now: Time) {
        let arrives = now.after(self.latency());
        let reset = self.random.one_in(2);
        let cut = self.is_cut(wire, Way::Up);
        if let Some(known) = self.wires.get_mut(&wire) {
            known.near = Near::Gone;
            if cut && matches!(known.far, Far::Coming { .. }) {
                known.far = Far::Gone;
            }
            known.up.finish(End { arrives, reset });
        }
        self.sweep(wire);
    }

    /// Whether a client would hear, or could say, something new.
    #[must_use]
    pub fn has_news(&self, wire: WireId, now: Time) -> bool {
        let Some(known) = self.wires.get(&wire) else {
            return false;
        };
        self.near_next(known).is_some_and(|at| at <= now) || known.blocked && known.up.room() > 0
    }

    /// What a client hears. Bytes go to the end of `input`.
    pub fn hear(&mut self, wire: WireId, now: Time, input: &mut Vec<u8>) -> Heard {
        let cut = self.is_cut(wire, Way::Down);
        let known = self.wires.get_mut(&wire).expect("a wire that was dialled");
        if let Near::Answered { at, taken } = known.near
            && at <= now
            && !cut
        {
            known.near = if taken { Near::Open } else { Near::Gone };
            if !taken {
                return Heard::Lost(LinkCause::Io(ErrorKind::ConnectionRefused));
            }
        }
        if known.near != Near::Open {
            return Heard::Dialing;
        }
        if cut {
            return Heard::Open;
        }
        match known.down.ended(now) {
            Some(end) if end.reset => Heard::Lost(LinkCause::Io(ErrorKind::ConnectionReset)),
            Some(_) => Heard::Lost(LinkCause::Closed),
            None => {
                take(&mut known.down, now, input);
                Heard::Open
            }
        }
    }

    /// A client says something. Returns how much of it was taken.
    pub fn say(&mut self, wire: WireId, bytes: &[u8], now: Time) -> usize {
        let known = self.wires.get_mut(&wire).expect("a wire that was dialled");
        let taken = push(&mut self.random, self.weather, &mut known.up, bytes, now);
        known.blocked = taken < bytes.len();
        taken
    }

    /// A node answers. Returns how much of it was taken.
    pub fn answer(&mut self, wire: WireId, bytes: &[u8], now: Time) -> usize {
        let Some(known) = self.wires.get_mut(&wire) else {
            return bytes.len();
        };
        if known.near == Near::Gone {
            return bytes.len();
        }
        push(&mut self.random, self.weather, &mut known.down, bytes, now)
    }

    /// A node has done with a connection, and says nothing more.
    pub fn close(&mut self, wire: WireId, now: Time) {
        let arrives = now.after(self.latency());
        if let Some(known) = self.wires.get_mut(&wire) {
            known.far = Far::Gone;
            known.down.finish(End {
                arrives,
                reset: false,
            });
        }
        self.sweep(wire);
    }

    /// The next thing that happens now at a node; for the wires after `after`, in their order.
    pub fn arrival(
        &mut self,
        after: WireId,
        now: Time,
        input: &mut Vec<u8>,
    ) -> Option<(WireId, NodeId, Arrival)> {
        let mut from = WireId(after.0 + 1);
        loop {
            let (&id, known) = self.wires.range(from..).next()?;
            from = WireId(id.0 + 1);
            if self.far_next(known).is_none_or(|at| at > now) {
                continue;
            }
            let node = known.node;
            if let Some(arrival) = self.arrive(id, now, input) {
                return Some((id, node, arrival));
            }
        }
    }

    fn arrive(&mut self, id: WireId, now: Time, input: &mut Vec<u8>) -> Option<Arrival> {
        let back = now.after(self.latency());
        let known = self.wires.get_mut(&id)?;
        let host = self.hosts.get(&known.node).copied().unwrap_or_default();
        match (known.far, host) {
            (Far::Coming { .. }, Host::Off) => {
                known.far = Far::Silent;
                None
            }
            (Far::Coming { .. }, Host::Idle) => {
                known.far = Far::Gone;
                let taken = false;
                if known.near == Near::Dialing {
                    known.near = Near::Answered { at: back, taken };
                }
                self.sweep(id);
                None
            }
            (Far::Coming { .. }, Host::Serving) => {
                known.far = Far::Open;
                let taken = true;
                if known.near == Near::Dialing {
                    known.near = Near::Answered { at: back, taken };
                }
                Some(Arrival::Came)
            }
            (Far::Silent, Host::Off) => {
                take(&mut known.up, now, &mut Vec::new());
                if known.up.ended(now).is_some() {
                    known.far = Far::Gone;
                    self.sweep(id);
                }
                None
            }
            (Far::Silent, Host::Idle | Host::Serving) => {
                // Bytes for a connection that the host does not know: it says so.
                known.far = Far::Gone;
                known.down.finish(End {
                    arrives: back,
                    reset: true,
                });
                self.sweep(id);
                None
            }
            (Far::Open, _) => {
                if known.up.ended(now).is_some() {
                    known.far = Far::Gone;
                    self.sweep(id);
                    return Some(Arrival::Left);
                }
                take(&mut known.up, now, input);
                Some(Arrival::Bytes)
            }
            (Far::Gone, _) => None,
        }
    }

    /// A client stands still, or goes on.
    pub fn stand_still(&mut self, wire: WireId, still: bool) {
        if let Some(known) = self.wires.get_mut(&wire) {
            known.still = still;
        }
    }

    /// When something happens next.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        let wires = self.wires.values();
        wires
            .flat_map(|wire| [self.near_next(wire), self.far_next(wire)])
            .flatten()
            .min()
    }

    fn near_next(&self, wire: &Wire) -> Option<Time> {
        match wire.near {
            _ if wire.still || self.cuts.contains(&(wire.node, Way::Down)) => None,
            Near::Answered { at, .. } => Some(at),
            Near::Open => first(&wire.down),
            Near::Dialing | Near::Gone => None,
        }
    }

    fn far_next(&self, wire: &Wire) -> Option<Time> {
        match wire.far {
            _ if self.cuts.contains(&(wire.node, Way::Up)) => None,
            Far::Coming { at } => Some(at),
            Far::Open | Far::Silent => first(&wire.up),
            Far::Gone => None,
        }
    }

    fn sweep(&mut self, id: WireId) {
        let over =
            |wire: &Wire| wire.near == Near::Gone && matches!(wire.far, Far::Gone | Far::Silent);
        if self.wires.get(&id).is_some_and(over) {
            self.wires.remove(&id);
        }
    }

    fn latency(&mut self) -> u64 {
        let (least, most) = self.weather.latency;
        self.random.between(least, most)
    }
}

/// When a stream's reader has something to do.
fn first(stream: &Stream) -> Option<Time> {
    stream.next().into_iter().chain(stream.breaks()).min()
}

/// Reads all that has arrived.
fn take(stream: &mut Stream, now: Time, input: &mut Vec<u8>) {
    let from = input.len();
    input.resize(from + stream.arrived(now), 0);
    stream.read(input.get_mut(from..).unwrap_or_default());
    stream.acknowledge();
}

/// Puts bytes into a stream, in pieces, as far as there is room.
fn push(
    random: &mut Random,
    weather: WireWeather,
    stream: &mut Stream,
    bytes: &[u8],
    now: Time,
) -> usize {
    let most = bytes.len().min(stream.room());
    let mut pushed = 0;
    while pushed < most {
        let piece = 1 + random.below(weather.piece.max(1));
        let end = most.min(pushed + piece);
        let (least, longest) = weather.latency;
        let arrives = now.after(random.between(least, longest));
        stream.push(bytes.get(pushed..end).unwrap_or_default(), arrives);
        pushed = end;
    }
    pushed
}
