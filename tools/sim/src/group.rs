//! A group of a world: on each node its own disk, links and pipeline, and its own producers and consumers.
//!
//! Owns: the order in which things happen in a group. Never: decides what goes wrong; see `faults`.

mod ask;
mod start;

use std::collections::{BTreeMap, BTreeSet};

use quorate_replication::pipeline::{Note, Pipeline, Reopen, Turn};
use quorate_replication::seam::StorageError;
use quorate_wire::client::StatusReply;
use quorate_wire::{ErrorCode, GroupId, NodeId, Offset, Time};

use crate::clients::Clients;
use crate::consumer::Consumer;
use crate::disk::Disk;
use crate::id_source::IdSource;
use crate::member::GroupMember;
use crate::network::Network;
use crate::node::{self, Node};
use crate::options::Options;
use crate::oracle::Oracle;
use crate::producer::Producer;
use crate::random::Random;
use crate::trace::{Column, Trace};
use crate::wires::Way;

const MS: u64 = 1_000_000;

/// How often each node is asked how it is, in nanoseconds.
const STATUS_EVERY: u64 = 50 * MS;

/// The connection on which nodes are asked how they are.
const STATUS: u64 = 0;

/// The same of those that hold the nodes against each other.
const AUDIT: u64 = u64::MAX;

/// The connection of operators.
const OPERATOR: u64 = u64::MAX - 1;

/// The connection of those who look how the consumer group stands.
const LIST: u64 = u64::MAX - 2;

/// A group. See the module's description.
#[derive(Debug)]
pub struct Group {
    id: GroupId,
    options: Options,
    now: Time,
    nodes: Vec<Node>,
    network: Network,
    clients: Clients,
    oracle: Oracle,
    /// How each node was when it was last asked, and when it was asked.
    statuses: BTreeMap<NodeId, (Time, StatusReply)>,
    status_due: Time,
    /// How often an operator wanted something.
    operations: u64,
    /// Whether the latest of that is done, or why it was refused, once that was told.
    operated: Option<Result<(), ErrorCode>>,
    /// Nodes that an operator wanted to go, whether they did or not.
    leaving: BTreeSet<NodeId>,
    trace: Trace,
    notes: Vec<Note>,
    refused: Vec<(NodeId, ErrorCode)>,
    /// Nodes whose disk has been told to fail, so that they must stop.
    failing: BTreeSet<NodeId>,
    /// Nodes that have stopped or crashed by themselves, until somebody asks.
    fallen: Vec<NodeId>,
    /// Nodes whose disks know who the members are.
    formed: BTreeSet<NodeId>,
    /// Nodes that have recovered their logs anew, and why.
    reopened: Vec<(NodeId, Reopen)>,
    /// Segments that starts have passed over.
    passed: usize,
    /// Segments that lay ready, and that starts have not read.
    ready_unread: usize,
}

impl Group {
    /// A group of which no node runs yet.
    #[must_use]
    pub fn new(id: GroupId, mut options: Options, trace: Trace) -> Self {
        if id != GroupId(0) {
            options.seed = Random::new(options.seed, &format!("group {id}")).any();
        }
        let founders = usize::try_from(options.nodes).expect("a few");
        let names: Vec<NodeId> = (1..=options.nodes + options.spare).map(NodeId).collect();
        Self {
            id,
            now: Time(MS),
            nodes: names
                .iter()
                .map(|&name| Node::new(name, id, &options))
                .collect(),
            network: Network::new(options.seed, options.network, &names),
            clients: Clients::new(&options, node::cluster(), &names[..founders]),
            oracle: Oracle::default(),
            statuses: BTreeMap::new(),
            status_due: Time(0),
            operations: 0,
            operated: None,
            leaving: BTreeSet::new(),
            trace,
            notes: Vec::new(),
            refused: Vec::new(),
            failing: BTreeSet::new(),
            fallen: Vec::new(),
            formed: BTreeSet::new(),
            reopened: Vec::new(),
            passed: 0,
            ready_unread: 0,
            options,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// The links between nodes.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The links between nodes.
    #[must_use]
    pub fn links(&self) -> &Network {
        &self.network
    }

    /// A node.
    pub fn node(&mut self, id: NodeId) -> &mut Node {
        let node = self.nodes.iter_mut().find(|node| node.id() == id);
        node.expect("a node of this group")
    }

    /// What a node's disk holds.
    #[must_use]
    pub fn disk(&self, id: NodeId) -> &Disk {
        let node = self.nodes.iter().find(|node| node.id() == id);
        node.expect("a node of this group").disk.disk()
    }

    /// All nodes' names.
    #[must_use]
    pub fn names(&self) -> Vec<NodeId> {
        self.nodes.iter().map(Node::id).collect()
    }

    /// Whether a node runs.
    #[must_use]
    pub fn runs(&self, id: NodeId) -> bool {
        self.nodes.iter().any(|node| node.id() == id && node.runs())
    }

    /// The nodes that run, or those that do not.
    #[must_use]
    pub fn running(&self, runs: bool) -> Vec<NodeId> {
        let nodes = self.nodes.iter().filter(|node| node.runs() == runs);
        nodes.map(Node::id).collect()
    }

    /// The producers.
    #[must_use]
    pub fn producers(&self) -> &[Producer] {
        self.clients.producers()
    }

    /// The producers.
    pub fn producers_mut(&mut self) -> &mut [Producer] {
        self.clients.producers_mut()
    }

    /// The members of the consumer group.
    #[must_use]
    pub fn members(&self) -> &[GroupMember] {
        self.clients.members()
    }

    /// The sources of events with ids.
    #[must_use]
    pub fn sources(&self) -> &[IdSource] {
        self.clients.sources()
    }

    /// The sources of events with ids.
    pub fn sources_mut(&mut self) -> &mut [IdSource] {
        self.clients.sources_mut()
    }

    /// From now on the members of the consumer group stay, and read to the end.
    pub fn read_to_end(&mut self) {
        let now = self.now;
        let members = self.clients.members_mut().iter_mut();
        members.for_each(|member| member.read_to_end(now));
    }

    /// The members of the consumer group leave.
    pub fn members_leave(&mut self) {
        let now = self.now;
        let members = self.clients.members_mut().iter_mut();
        members.for_each(|member| member.leave(now));
    }

    /// Whether the consumer group, if there is one, has read and committed all that was committed on the leader.
    #[must_use]
    pub fn is_read(&self) -> bool {
        let status = self
            .leader()
            .and_then(|leader| self.status(leader, Time(0)));
        let end = status.map(|status| Offset(status.committed.get()));
        let done = |end| self.seen().group_is_done(end);
        self.members().is_empty() || end.is_some_and(done)
    }

    /// The consumers.
    #[must_use]
    pub fn consumers(&self) -> &[Consumer] {
        self.clients.consumers()
    }

    /// What has been seen.
    #[must_use]
    pub fn seen(&self) -> &Oracle {
        &self.oracle
    }

    /// What has been seen.
    pub fn oracle(&mut self) -> &mut Oracle {
        &mut self.oracle
    }

    /// Who has refused, or was refused by, a peer, and why.
    #[must_use]
    pub fn refused(&self) -> &[(NodeId, ErrorCode)] {
        &self.refused
    }

    /// Who has recovered its log anew while it ran, and why.
    #[must_use]
    pub fn reopened(&self) -> &[(NodeId, Reopen)] {
        &self.reopened
    }

    /// How a node was when it was last asked since `since`.
    #[must_use]
    pub fn status(&self, node: NodeId, since: Time) -> Option<&StatusReply> {
        let (at, status) = self.statuses.get(&node)?;
        (*at >= since).then_some(status)
    }

    /// The node that serves, as far as the statuses tell.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let recent = self.now.0.saturating_sub(3 * STATUS_EVERY);
        let serves = |id: &NodeId| {
            self.status(*id, Time(recent))
                .is_some_and(|status| status.serves == 1)
        };
        self.running(true).into_iter().find(serves)
    }

    /// Adds a line to the trace.
    fn say(&self, node: NodeId, what: std::fmt::Arguments<'_>) {
        if self.id == GroupId(0) {
            self.trace.say(Column::Node(node), what);
        } else {
            self.trace
                .say(Column::Node(node), format_args!("({}) {what}", self.id));
        }
    }

    /// The next write of a node's disk fails: the node must stop.
    pub fn fail_write(&mut self, id: NodeId) {
        let error = StorageError::Os { errno: 5 };
        self.node(id).disk.disk_mut().fail_write(error);
        self.failing.insert(id);
    }

    /// The next read of a node's disk fails: the node may stop.
    pub fn fail_read(&mut self, id: NodeId) {
        let error = StorageError::Os { errno: 5 };
        self.node(id).disk.disk_mut().fail_read(error);
        self.failing.insert(id);
    }

    /// A node's disk does not fail any more. The node may not have heard yet that it did.
    pub fn mend(&mut self, id: NodeId) {
        self.node(id).disk.disk_mut().mend();
    }

    /// A node gets an empty disk under its old name.
    pub fn wipe(&mut self, id: NodeId) {
        let options = self.options;
        let node = self.node(id);
        assert!(!node.runs(), "a running node keeps its disk");
        node.wipe(&options);
        self.oracle.expect_wiped();
    }

    /// Kills a node's process, or its host.
    pub fn crash(&mut self, id: NodeId, hard: bool) {
        self.node(id).crash();
        self.network.crash(id, hard);
        self.clients.crash(id, hard, self.now);
        self.statuses.remove(&id);
    }

    /// Breaks some of the clients' connections.
    pub fn shake_clients(&mut self) {
        self.clients.wires().shake(self.now);
    }

    /// Nothing goes this way between clients and a node, until it is healed.
    pub fn cut_clients(&mut self, id: NodeId, way: Way) {
        self.clients.wires().cut(id, way);
    }

    /// Clients and a node reach each other again.
    pub fn heal_clients(&mut self, id: NodeId) {
        self.clients.wires().heal(id, self.now);
    }

    /// Whether all founders know who the members are.
    #[must_use]
    pub fn is_formed(&self) -> bool {
        self.formed.len() >= usize::try_from(self.options.nodes).expect("a few")
    }

    /// The nodes that have stopped or crashed by themselves since this was last asked.
    pub fn take_fallen(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.fallen)
    }

    /// Whether these nodes run and have the same log, all of it committed, durable and asked for since `since`.
    #[must_use]
    pub fn converged(&self, sound: &BTreeSet<NodeId>, since: Time) -> bool {
        let nodes = self.nodes.iter().filter(|node| sound.contains(&node.id()));
        let all = nodes.map(|node| {
            let status = self.status(node.id(), since)?;
            let settled = status.last_index == status.commit_index
                && status.durable_index == status.commit_index
                && status.role != 0;
            settled.then_some((
                status.commit_index.get(),
                status.committed.get(),
                status.digest.get(),
            ))
        });
        let all: Option<Vec<_>> = all.collect();
        all.is_some_and(|all| all.windows(2).all(|pair| pair.first() == pair.last()))
            && self.leader().is_some()
    }

    /// Holds the logs of these nodes, which do not run, against everything that was promised.
    pub fn check_logs(&mut self, sound: &BTreeSet<NodeId>) {
        let nodes = self.nodes.iter().filter(|node| sound.contains(&node.id()));
        let disks: Vec<_> = nodes.map(|node| (node.id(), node.disk.disk())).collect();
        self.oracle
            .check_logs(&disks, self.clients.producers(), self.now);
    }

    /// When something happens next.
    #[must_use]
    pub fn next(&self) -> Time {
        let nodes = self
            .nodes
            .iter()
            .flat_map(|node| [node.next(&self.network, self.now), node.disk.next()])
            .flatten();
        let next = nodes
            .chain(self.network.next())
            .chain(self.clients.next())
            .min();
        next.unwrap_or(self.status_due).min(self.status_due)
    }

    /// Lets everything happen that is due.
    pub fn step(&mut self, now: Time) {
        self.now = now;
        self.network.advance(now);
        self.disks();
        if now >= self.status_due {
            self.status_due = now.after(STATUS_EVERY);
            self.ask_statuses();
        }
        self.clients.step(now, &mut self.nodes, &mut self.oracle);
        for at in 0..self.nodes.len() {
            self.turn(at);
        }
        self.clients.flush(now);
        self.network.advance(now);
    }

    fn disks(&mut self) {
        for at in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(at) else {
                return;
            };
            node.disk.advance(self.now);
            let (id, oracle) = (node.id(), &mut self.oracle);
            let disk = node.disk.disk_mut();
            disk.take_written(&mut |file, bytes| oracle.wrote(id, file, bytes));
            if let Some(hard) = node.is_doomed() {
                let id = node.id();
                self.say(id, format_args!("crashes on a completion"));
                self.crash(id, hard);
                self.fallen.push(id);
            }
        }
    }

    fn turn(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        let id = node.id();
        let Self {
            options,
            network,
            notes,
            trace,
            ..
        } = self;
        let Some(turn) = node.turn(options, network, self.now, notes, trace) else {
            return;
        };
        let replies = node.lanes.take_replies();
        for note in std::mem::take(&mut self.notes) {
            self.say(id, format_args!("{note}"));
            if let Note::Refused { code, .. }
            | Note::RefusedBy {
                code: Some(code), ..
            } = note
            {
                self.refused.push((id, code));
            }
            if note == Note::Formed {
                self.formed.insert(id);
            }
            self.oracle.note(id, &note);
        }
        let node = self.nodes.get(at);
        if let Some(pipeline) = node.and_then(Node::pipeline) {
            self.oracle.turned(id, pipeline);
        }
        for reply in replies {
            self.reply(id, reply);
        }
        let ended = self.nodes.get(at).and_then(Node::pipeline);
        if ended.is_some_and(Pipeline::has_ended) {
            self.say(id, format_args!("has stopped"));
            self.crash(id, false);
            self.fallen.push(id);
            return;
        }
        match turn {
            Turn::Again | Turn::IdleUntil(_) => {}
            Turn::Reopen(why) => self.reopen(id, why),
            Turn::Stop(fatal) => {
                assert!(self.failing.remove(&id), "node {id} stops: {fatal}");
                self.say(id, format_args!("stops: {fatal}"));
                self.crash(id, false);
                self.fallen.push(id);
            }
        }
    }
}
