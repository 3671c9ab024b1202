//! A group of true pipelines on one thread. Their disks, links and lanes are memory that takes no time, and none of it allocates
//! once it has grown: what is counted or timed here is the pipelines' own.
#![allow(
    dead_code,
    reason = "each program that has this module uses a part of it"
)]

mod disk;
mod wires;

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use quorate_replication::lane::{
    self, Acks, Answer, Ask, Produced, Reply, Request, ShardId, Ticket,
};
use quorate_replication::log::LogConfig;
use quorate_replication::pipeline::{
    Depth, NodePlace, Note, Pipeline, PipelineConfig, SnapshotConfig, Turn,
};
use quorate_replication::seam::{
    Clock, Lanes, LinkId, Network, NetworkEvent, OpId, Pace, Receive, Send, Storage, StorageDone,
    StorageOp,
};
use quorate_wire::{
    CHUNK_HEADER_BYTES, ChunkId, ClusterName, DiskId, EVENT_HEADER_BYTES, Epoch, Event, GroupId,
    NodeId, ProducerId, Sequence, Time, seal_chunk,
};

pub(crate) use disk::Disk;
use wires::Wires;

const MS: u64 = 1_000_000;

/// How the logs are laid out.
pub(crate) const LOG: LogConfig = LogConfig {
    segment_bytes: 64 << 20,
    segments_ahead: 1,
    segments_stock: 0,
    stock_bytes: 1 << 20,
};

/// What one pipeline is handed at each turn.
pub(crate) struct Surroundings {
    pub(crate) disk: Disk,
    wires: Wires,
    now: Time,
    requests: VecDeque<Request>,
    replies: Vec<Reply>,
}

impl Clock for Surroundings {
    fn now(&self) -> Time {
        self.now
    }

    fn wall(&self) -> u64 {
        1_700_000_000_000_000_000 + self.now.0
    }
}

impl Lanes for Surroundings {
    fn take(&mut self) -> Option<(ShardId, Request)> {
        Some((ShardId(0), self.requests.pop_front()?))
    }

    fn put(&mut self, _: ShardId, reply: Reply) {
        self.replies.push(reply);
    }
}

impl Storage for Surroundings {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        self.disk.submit(id, op);
    }

    fn pace(&mut self, pace: Pace) {
        self.disk.pace(pace);
    }

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        self.disk.completed(done);
    }
}

impl Network for Surroundings {
    fn locate(&mut self, _: NodeId, _: SocketAddr) {}

    fn connect(&mut self, peer: NodeId) {
        self.wires.dials.push(peer);
    }

    fn send(&mut self, link: LinkId, send: Send) {
        self.wires.end(link).sending = Some(send);
    }

    fn receive(&mut self, link: LinkId, receive: Receive) {
        self.wires.end(link).receiving = Some(receive);
    }

    fn close(&mut self, link: LinkId) {
        panic!("all links here are sound, and {link:?} was closed");
    }

    fn happened(&mut self, events: &mut Vec<NetworkEvent>) {
        events.append(&mut self.wires.events);
    }
}

/// One of them.
pub(crate) struct Node {
    pub(crate) pipeline: Pipeline,
    pub(crate) around: Surroundings,
    idle_until: Time,
}

impl Node {
    /// One turn. Time does not pass in it.
    pub(crate) fn turn(&mut self) {
        self.idle_until = match self.pipeline.turn(&mut self.around) {
            Turn::Again => Time(0),
            Turn::IdleUntil(until) => until,
            over @ (Turn::Reopen(_) | Turn::Stop(_)) => panic!("{over:?}"),
        };
    }
}

/// All of them. The first one leads.
pub(crate) struct Group {
    pub(crate) nodes: Vec<Node>,
    notes: Vec<Note>,
}

impl Group {
    /// So many nodes with empty disks, until they serve.
    pub(crate) fn new(count: u32) -> Self {
        let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let node = |&node: &NodeId| {
            let mut disk = Disk::default();
            // The first one's patience is at its end long before the others': it is elected.
            let patience = if node.0 == 1 { 1 } else { 1_000 };
            let config = PipelineConfig {
                cluster: ClusterName::new("loopback").expect("it is a name"),
                node,
                group: GroupId(0),
                nodes: nodes.iter().copied().map(NodePlace::nowhere).collect(),
                joins: false,
                fresh_disk: DiskId([u8::try_from(node.0).expect("few nodes"); 16]),
                seed: u64::from(node.0),
                process: 0,
                log: LOG,
                heartbeat: 50 * MS,
                election_min: 150 * MS * patience,
                election_max: 300 * MS * patience,
                election_slack: 0,
                lease_reads: false,
                scrub_bytes: 0,
                scrub_rest: u64::MAX,
                snapshots: SnapshotConfig::NEVER,
                runs_max: quorate_wire::limits::RUNS_MAX,
                edition: quorate_wire::Edition::BUILD,
                priority: 1,
                buffers: 32,
            };
            let started = Pipeline::start(&mut disk, config, Depth::BehindSnapshot, Time(0));
            Node {
                pipeline: started.expect("an empty disk can be used").0,
                around: Surroundings {
                    disk,
                    wires: Wires::default(),
                    now: Time(0),
                    requests: VecDeque::new(),
                    replies: Vec::new(),
                },
                idle_until: Time(0),
            }
        };
        let mut group = Self {
            nodes: nodes.iter().map(node).collect(),
            notes: Vec::new(),
        };
        while !group.leader().pipeline.view().serves {
            group.turn();
            group.pass();
        }
        group
    }

    pub(crate) fn leader(&mut self) -> &mut Node {
        self.nodes.first_mut().expect("there is a first node")
    }

    /// A turn of each, and all that they have sent arrives.
    pub(crate) fn turn(&mut self) {
        self.nodes.iter_mut().for_each(Node::turn);
        wires::deliver(&mut self.nodes);
        for node in &mut self.nodes {
            node.pipeline.take_notes(&mut self.notes);
        }
        self.notes.clear();
    }

    /// If nobody has anything to do, time passes until somebody has.
    fn pass(&mut self) {
        let busy = |node: &Node| node.around.disk.has_done() || node.around.wires.has_news();
        if self.nodes.iter().any(busy) {
            return;
        }
        let next = self.nodes.iter().map(|node| node.idle_until).min();
        for node in &mut self.nodes {
            node.around.now = node.around.now.max(next.expect("there are nodes"));
        }
    }

    /// Puts a chunk into the leader's lane.
    pub(crate) fn ask(&mut self, chunk: Produced) {
        let ticket = Ticket {
            connection: 0,
            correlation: chunk.id.first.0,
            chunks: lane::Chunks::ONE,
        };
        let ask = Ask::Produce(chunk);
        let requests = &mut self.leader().around.requests;
        requests.push_back(Request { ticket, ask });
    }

    /// Takes turns until so many chunks are acknowledged, which is all that were asked.
    pub(crate) fn settle(&mut self, chunks: usize) {
        for _ in 0..1_000 {
            if self.leader().around.replies.len() >= chunks {
                break;
            }
            self.turn();
            self.pass();
        }
        let replies = &mut self.leader().around.replies;
        assert_eq!(replies.len(), chunks, "each chunk is answered");
        for reply in replies.drain(..) {
            let Reply { answer, .. } = reply;
            assert!(matches!(answer, Answer::Produced { .. }), "{answer:?}");
        }
    }
}

/// Chunks of one producer, one after the other.
pub(crate) struct Chunks {
    producer: ProducerId,
    next: Sequence,
    events: u32,
    bytes: Vec<u8>,
}

impl Chunks {
    /// Each of so many events with a payload of so many bytes.
    pub(crate) fn new(producer: u64, events: u32, payload: usize) -> Self {
        let payload = vec![b'x'; payload];
        let mut bytes = vec![0; CHUNK_HEADER_BYTES];
        for key in 0..events {
            let event = Event {
                key: u64::from(key),
                time: 1_700_000_000_000_000_000,
                topic: b"",
                payload: &payload,
                priority: 0,
            };
            let at = bytes.len();
            bytes.resize(
                (at + EVENT_HEADER_BYTES + payload.len()).next_multiple_of(8),
                0,
            );
            let room = bytes.get_mut(at..).expect("it was just made");
            event.write(room).expect("an event is within its limits");
        }
        Self {
            producer: ProducerId(producer),
            next: Sequence(0),
            events,
            bytes,
        }
    }

    pub(crate) fn next(&mut self) -> Produced {
        let id = ChunkId {
            producer: self.producer,
            epoch: Epoch(0),
            first: self.next,
            events: self.events,
        };
        self.next = id.next();
        seal_chunk(id, &mut self.bytes).expect("a chunk is within its limits");
        Produced {
            id,
            chunks: 1,
            bytes: Bytes::copy_from_slice(&self.bytes),
            acks: Acks::default(),
            trace: None,
        }
    }
}
