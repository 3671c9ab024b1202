//! A node's shard: the true gate and the true writer of answers, between the bytes of its clients and the pipeline's lanes.
//!
//! Owns: the connections that a process has, and its open requests. Never: parses by itself, or decides what is allowed; that is
//! the gate's. Called by: the group's clients.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use quorate_replication::gate::{
    self, Asked, Filter, Gate, Greeting, No, Opened, SubscriptionId, Subscriptions,
};
use quorate_replication::lane::{Ask, Chunks, Reply, Request, Ticket};
use quorate_replication::trace::Trace;
use quorate_wire::client::{AckLevel, Stage};
use quorate_wire::{ChunkId, ClusterName, ErrorCode, NodeId, Time};

use crate::lanes::MemoryLanes;
use crate::wires::WireId;

/// What a connection may have in flight.
const WINDOW_REQUESTS: usize = 4096;
const WINDOW_BYTES: usize = 16 << 20;

/// The longest that a fetch may wait, in milliseconds.
const FETCH_WAIT_MS: u64 = 30_000;

#[derive(Debug, Default)]
struct Connection {
    greeted: bool,
    /// Whether one answer may stand for several requests.
    merged: bool,
    /// The first bytes of a frame that is not whole.
    input: Vec<u8>,
    /// Answers that the connection has not taken.
    output: Vec<u8>,
    in_flight: usize,
    subscriptions: Subscriptions,
    /// Whether it ends when its output is gone.
    ends: bool,
}

#[derive(Debug)]
struct OpenRequest {
    wire: WireId,
    correlation: u64,
    /// How many requests it is, of which none is answered.
    left: u32,
    /// What it asks to append, and how safe it wants that to be.
    chunks: Vec<ChunkId>,
    acks: AckLevel,
    /// Which records it wants.
    filter: Option<Filter>,
    /// Whose fetch it is, if it is a subscription's.
    push: Option<SubscriptionId>,
}

/// A node's shard. See the module's description.
#[derive(Debug)]
pub struct Shard {
    gate: Gate,
    greeting: Greeting,
    connections: BTreeMap<WireId, Connection>,
    open: BTreeMap<u64, OpenRequest>,
    /// Chunks in flight at which it takes no further ones.
    requests: usize,
    last_ticket: u64,
    /// Memory to work in.
    frames: Vec<Opened>,
}

impl Shard {
    /// A shard without connections, which takes so many chunks at a time.
    #[must_use]
    pub fn new(
        cluster: ClusterName,
        node: NodeId,
        nodes: &[(NodeId, String)],
        requests: usize,
    ) -> Self {
        Self {
            gate: Gate {
                cluster,
                fetch_wait_ms: FETCH_WAIT_MS,
            },
            greeting: Greeting::new(cluster, node, nodes, WINDOW_BYTES, WINDOW_REQUESTS),
            connections: BTreeMap::new(),
            open: BTreeMap::new(),
            requests,
            last_ticket: 0,
            frames: Vec::new(),
        }
    }

    /// A client connects.
    pub fn came(&mut self, wire: WireId) {
        self.connections.insert(wire, Connection::default());
    }

    /// A client is gone. What it has asked may still be done.
    pub fn left(&mut self, wire: WireId) {
        self.connections.remove(&wire);
    }

    /// Bytes of a client.
    pub fn read(&mut self, wire: WireId, bytes: &mut Vec<u8>, lanes: &mut MemoryLanes, now: Time) {
        let Some(connection) = self.connections.get_mut(&wire) else {
            return;
        };
        if connection.ends {
            return;
        }
        if connection.input.is_empty() {
            std::mem::swap(&mut connection.input, bytes);
        } else {
            connection.input.extend_from_slice(bytes);
        }
        let mut frames = std::mem::take(&mut self.frames);
        let (taken, end) = self
            .gate
            .open(&connection.input, connection.greeted, &mut frames);
        let batch = if taken == 0 {
            Bytes::new()
        } else {
            let rest = connection.input.split_off(taken);
            Bytes::from(std::mem::replace(&mut connection.input, rest))
        };
        let mut rest = &frames[..];
        while let Some(frame) = rest.first() {
            let merged = self.connections.get(&wire).is_some_and(|it| it.merged);
            let run = merged.then(|| Opened::run(rest)).flatten();
            let run = run.filter(|(run, _)| self.ask(wire, run, &batch, lanes, now).is_ok());
            if run.is_none()
                && let Err(no) = self.ask(wire, frame, &batch, lanes, now)
            {
                self.refuse(wire, frame.correlation, &no);
            }
            rest = &rest[run.map_or(1, |(_, frames)| frames)..];
        }
        frames.clear();
        self.frames = frames;
        if let Err(no) = end {
            self.refuse(wire, 0, &no);
            if let Some(connection) = self.connections.get_mut(&wire) {
                connection.ends = true;
            }
        }
    }

    fn ask(
        &mut self,
        wire: WireId,
        frame: &Opened,
        batch: &Bytes,
        lanes: &mut MemoryLanes,
        now: Time,
    ) -> Result<(), No> {
        let asked = frame.asked.as_ref().map_err(Clone::clone)?;
        let requests = usize::try_from(asked.requests()).expect("a run is short");
        let chunks: usize = self.open.values().map(|it| it.chunks.len()).sum();
        let connection = self
            .connections
            .get_mut(&wire)
            .expect("its bytes were just read");
        let overloaded = |text| No::new(ErrorCode::Overloaded, text);
        if !connection.greeted && !frame.greets() {
            return Err(overloaded("the greeting before it found no room"));
        }
        if let Asked::Talk(talk) = asked {
            let Connection {
                subscriptions,
                output,
                ..
            } = connection;
            subscriptions.hear(talk, frame.correlation, now, output);
            return Ok(());
        }
        self.last_ticket += 1;
        let request = Request {
            ticket: Ticket {
                connection: wire.0,
                correlation: self.last_ticket,
                chunks: Chunks::all(asked.requests()),
            },
            ask: asked.to_ask(
                || batch.slice(frame.chunk()),
                || {
                    let mut trace = Trace::new(now);
                    trace.over(Stage::Gate, now);
                    trace
                },
            ),
        };
        let is_shed = match asked {
            Asked::Produce { priority, .. } => {
                chunks + requests > gate::share(self.requests, *priority)
            }
            Asked::Greet { .. }
            | Asked::Fetch { .. }
            | Asked::Status
            | Asked::Audit(_)
            | Asked::Named(_)
            | Asked::Talk(_)
            | Asked::Admin(_) => false,
        };
        let (chunks, acks) = match &request.ask {
            Ask::Produce(run) => (run.iter().map(|chunk| chunk.id()).collect(), run.acks.level),
            Ask::Greet
            | Ask::Fetch(_)
            | Ask::Status
            | Ask::Audit(_)
            | Ask::Named(_)
            | Ask::Admin(_) => (Vec::new(), AckLevel::Quorum),
        };
        let full = connection.in_flight + requests > WINDOW_REQUESTS;
        if is_shed || full || lanes.ask(request).is_err() {
            return Err(overloaded("requests in flight"));
        }
        connection.in_flight += requests;
        let mut filter = None;
        match asked {
            Asked::Greet { merged } => (connection.greeted, connection.merged) = (true, *merged),
            Asked::Fetch { filter: wanted, .. } => filter.clone_from(wanted),
            Asked::Produce { .. }
            | Asked::Status
            | Asked::Audit(_)
            | Asked::Named(_)
            | Asked::Talk(_)
            | Asked::Admin(_) => {}
        }
        let open = OpenRequest {
            wire,
            correlation: frame.correlation,
            left: asked.requests(),
            chunks,
            acks,
            filter,
            push: None,
        };
        self.open.insert(self.last_ticket, open);
        Ok(())
    }

    fn refuse(&mut self, wire: WireId, correlation: u64, no: &No) {
        if let Some(connection) = self.connections.get_mut(&wire) {
            gate::write_no(no, correlation, &mut connection.output);
        }
    }

    /// The pipeline answers. Says which chunks the answer is about, if it is about any, and what was asked for them.
    pub fn answer(&mut self, reply: &Reply, now: Time) -> (Vec<ChunkId>, AckLevel) {
        let Chunks { at, count } = reply.ticket.chunks;
        let mut open = match self.open.entry(reply.ticket.correlation) {
            Entry::Occupied(open) => open,
            Entry::Vacant(_) => panic!("a request is answered once"),
        };
        let request = open.get_mut();
        request.left -= count;
        let answered = request
            .chunks
            .iter()
            .skip(usize::try_from(at).expect("a run is short"));
        let answered = answered
            .take(usize::try_from(count).expect("a run is short"))
            .copied();
        let answered = (answered.collect(), request.acks);
        if let Some(connection) = self.connections.get_mut(&request.wire) {
            connection.in_flight -= usize::try_from(count).expect("a run is short");
            if let Some(id) = request.push {
                let subscriptions = &mut connection.subscriptions;
                subscriptions.answered(id, &reply.answer, now, &mut connection.output);
            } else if !connection.ends {
                gate::write(
                    &reply.answer,
                    (request.correlation, reply.ticket.chunks),
                    request.filter.as_ref(),
                    &self.greeting,
                    || now,
                    &mut connection.output,
                );
            }
        }
        if request.left == 0 {
            open.remove();
        }
        answered
    }

    /// Whether a subscription could fetch.
    #[must_use]
    pub fn is_hungry(&self) -> bool {
        let mut all = self.connections.values();
        all.any(|connection| !connection.ends && connection.subscriptions.ready().is_some())
    }

    /// Fetches for the subscriptions, as far as they may.
    pub fn feed(&mut self, lanes: &mut MemoryLanes) {
        for (&wire, connection) in &mut self.connections {
            while !connection.ends
                && let Some(id) = connection.subscriptions.ready()
            {
                self.last_ticket += 1;
                let ticket = Ticket {
                    connection: wire.0,
                    correlation: self.last_ticket,
                    chunks: Chunks::ONE,
                };
                let ask = Ask::Fetch(connection.subscriptions.fetch(id));
                let asked = lanes.ask(Request { ticket, ask });
                assert!(asked.is_ok(), "a world has few clients");
                connection.in_flight += 1;
                let open = OpenRequest {
                    wire,
                    correlation: id.0,
                    left: 1,
                    chunks: Vec::new(),
                    acks: AckLevel::Quorum,
                    filter: None,
                    push: Some(id),
                };
                self.open.insert(self.last_ticket, open);
            }
        }
    }

    /// Gives the output of each connection to `take`, which says how much of it was taken. Returns those that have ended.
    pub fn flush(&mut self, mut take: impl FnMut(WireId, &[u8]) -> usize) -> Vec<WireId> {
        let mut ended = Vec::new();
        for (&wire, connection) in &mut self.connections {
            if !connection.output.is_empty() {
                let taken = take(wire, &connection.output);
                connection.output.drain(..taken);
            }
            if connection.ends && connection.output.is_empty() {
                ended.push(wire);
            }
        }
        for wire in &ended {
            self.connections.remove(wire);
        }
        ended
    }
}
