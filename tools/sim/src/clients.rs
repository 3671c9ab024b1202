//! The clients of a group: producers and consumers, the wires to the nodes, and the nodes' shards at the wires' other ends.
//!
//! Owns: what happens between a client and a node's lanes. Never: touches a pipeline. Called by: the group.

use std::collections::BTreeMap;

use quorate_replication::lane::{Answer, Reply};
use quorate_wire::{ClusterName, NodeId, ProducerId, Time};

use crate::consumer::Consumer;
use crate::id_source::IdSource;
use crate::member::GroupMember;
use crate::node::Node;
use crate::options::Options;
use crate::oracle::Oracle;
use crate::producer::{Producer, ProducerPlan};
use crate::shard::Shard;
use crate::terminal::address;
use crate::wires::{Arrival, WireId, Wires};

/// The clients of a group. See the module's description.
#[derive(Debug)]
pub struct Clients {
    cluster: ClusterName,
    shard_requests: usize,
    nodes: Vec<(NodeId, String)>,
    wires: Wires,
    shards: BTreeMap<NodeId, Shard>,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    members: Vec<GroupMember>,
    sources: Vec<IdSource>,
    /// Memory to work in.
    input: Vec<u8>,
}

impl Clients {
    /// The clients of a world's group.
    #[must_use]
    pub fn new(options: &Options, cluster: ClusterName, names: &[NodeId]) -> Self {
        let nodes: Vec<_> = names.iter().map(|&id| (id, address(id))).collect();
        let addresses: Vec<_> = names.iter().copied().map(address).collect();
        let producer = |at: u64| {
            Producer::new(ProducerPlan {
                seed: options.seed,
                id: ProducerId(at + 1),
                cluster,
                addresses: addresses.clone(),
                window: options.window,
                chunks: options.chunks,
                weather: options.chunk,
                pause: options.pause,
                burst: options.burst,
                restart_one_in: options.restart_one_in,
            })
        };
        let consumer = |at| Consumer::new(options, addresses.clone(), at);
        let member = |at| GroupMember::new(options, addresses.clone(), at);
        let source = |at| IdSource::new(options.seed, addresses.clone(), at, options.chunks);
        Self {
            cluster,
            shard_requests: options.shard_requests,
            nodes,
            wires: Wires::new(options.seed, options.wires),
            shards: BTreeMap::new(),
            producers: (0..options.producers).map(producer).collect(),
            consumers: (0..options.consumers).map(consumer).collect(),
            members: (0..options.members).map(member).collect(),
            sources: (0..options.sources).map(source).collect(),
            input: Vec::new(),
        }
    }

    /// The producers.
    #[must_use]
    pub fn producers(&self) -> &[Producer] {
        &self.producers
    }

    /// The producers.
    pub fn producers_mut(&mut self) -> &mut [Producer] {
        &mut self.producers
    }

    /// The consumers.
    #[must_use]
    pub fn consumers(&self) -> &[Consumer] {
        &self.consumers
    }

    /// The members of the consumer group.
    #[must_use]
    pub fn members(&self) -> &[GroupMember] {
        &self.members
    }

    /// The members of the consumer group.
    pub fn members_mut(&mut self) -> &mut [GroupMember] {
        &mut self.members
    }

    /// The sources of events with ids.
    #[must_use]
    pub fn sources(&self) -> &[IdSource] {
        &self.sources
    }

    /// The sources of events with ids.
    pub fn sources_mut(&mut self) -> &mut [IdSource] {
        &mut self.sources
    }

    /// The wires.
    pub fn wires(&mut self) -> &mut Wires {
        &mut self.wires
    }

    /// A node's process begins.
    pub fn start(&mut self, node: NodeId) {
        let shard = Shard::new(self.cluster, node, &self.nodes, self.shard_requests);
        self.shards.insert(node, shard);
        self.wires.start(node);
    }

    /// A node's process dies, or its host does.
    pub fn crash(&mut self, node: NodeId, hard: bool, now: Time) {
        self.shards.remove(&node);
        self.wires.crash(node, hard, now);
    }

    /// When something happens next.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        let producers = self.producers.iter().filter_map(Producer::deadline);
        let consumers = self.consumers.iter().filter_map(Consumer::deadline);
        let wires = self.wires.next();
        let members = self.members.iter().filter_map(GroupMember::deadline);
        let hungry = self.shards.values().any(Shard::is_hungry);
        let now = hungry.then_some(Time(0));
        let sources = self.sources.iter().filter_map(IdSource::deadline);
        let clients = producers.chain(consumers).chain(members).chain(sources);
        clients.chain(wires).chain(now).min()
    }

    /// Lets everything happen that is due: bytes become requests in the nodes' lanes, and the clients act.
    pub fn step(&mut self, now: Time, nodes: &mut [Node], oracle: &mut Oracle) {
        let mut at = WireId(0);
        while let Some((wire, node, arrival)) = self.wires.arrival(at, now, &mut self.input) {
            at = wire;
            let known = self.shards.get_mut(&node);
            let lanes = nodes.iter_mut().find(|known| known.id() == node);
            let (Some(shard), Some(node)) = (known, lanes) else {
                self.input.clear();
                continue;
            };
            match arrival {
                Arrival::Came => shard.came(wire),
                Arrival::Bytes => shard.read(wire, &mut self.input, &mut node.lanes, now),
                Arrival::Left => shard.left(wire),
            }
            self.input.clear();
        }
        for node in nodes {
            if let Some(shard) = self.shards.get_mut(&node.id()) {
                shard.feed(&mut node.lanes);
            }
        }
        for producer in &mut self.producers {
            producer.act(now, &mut self.wires, oracle);
        }
        for consumer in &mut self.consumers {
            consumer.act(now, &mut self.wires, oracle);
        }
        for member in &mut self.members {
            member.act(now, &mut self.wires, oracle);
        }
        for source in &mut self.sources {
            source.act(now, &mut self.wires, oracle);
        }
    }

    /// A node's pipeline answers.
    pub fn reply(&mut self, node: NodeId, reply: &Reply, now: Time, oracle: &mut Oracle) {
        let shard = self.shards.get_mut(&node).expect("it runs");
        let (chunks, asked) = shard.answer(reply, now);
        if let Answer::Produced {
            base_offset, level, ..
        } = &reply.answer
        {
            let mut offset = *base_offset;
            for chunk in chunks {
                oracle.acknowledged(&chunk, offset, asked, *level);
                offset = offset.plus(u64::from(chunk.events));
            }
        }
    }

    /// Sends the answers that have gathered, as far as there is room for them.
    pub fn flush(&mut self, now: Time) {
        let Self { wires, shards, .. } = self;
        for shard in shards.values_mut() {
            let ended = shard.flush(|wire, bytes| wires.answer(wire, bytes, now));
            for wire in ended {
                wires.close(wire, now);
            }
        }
    }
}
