//! A world: nodes, their disks and links, producers, consumers, and one clock.
//!
//! Owns: the order in which things happen. One seed makes one world. Never: decides what goes wrong; see `faults`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use quorate_replication::lane::{Answer, Ask, Refusal, Reply, Request, Ticket};
use quorate_replication::pipeline::{Note, Turn};
use quorate_replication::seam::StorageError;
use quorate_wire::client::StatusReply;
use quorate_wire::{ErrorCode, NodeId, ProducerId, Time};

use crate::consumer::Consumer;
use crate::network::Network;
use crate::node::Node;
use crate::options::Options;
use crate::oracle::Oracle;
use crate::post::{ClientId, Letter, Post};
use crate::producer::{Producer, ProducerPlan};

const MS: u64 = 1_000_000;

/// How often each node is asked how it is, in nanoseconds.
const STATUS_EVERY: u64 = 20 * MS;

/// The connection on which nodes are asked how they are.
const STATUS: u64 = 0;

/// Lines that a trace keeps.
const TRACE_LINES: usize = 400;

/// What happened last, for whoever looks into a failure.
pub type Trace = Rc<RefCell<VecDeque<String>>>;

/// What happened in a world.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Terms that had a leader.
    pub terms: usize,
    /// How often records became void.
    pub truncations: u64,
    /// How often a disk was full.
    pub full: u64,
    /// Chunks that were acknowledged.
    pub acked: usize,
    /// Records that consumers got.
    pub fetched: u64,
    /// Fetches that a node could not read.
    pub unreadable: u64,
    /// Refusals of a producer's first open chunk that the client library takes for the end.
    pub final_refusals: Vec<ErrorCode>,
    /// Most links that one node had at a time.
    pub links_most: usize,
    /// Most bytes that one send carried beside its records.
    pub head_most: usize,
}

/// A world. See the module's description.
#[derive(Debug)]
pub struct World {
    options: Options,
    now: Time,
    nodes: Vec<Node>,
    network: Network,
    post: Post,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    oracle: Oracle,
    /// How each node was when it was last asked, and when it was asked.
    statuses: BTreeMap<NodeId, (Time, StatusReply)>,
    status_due: Time,
    asked: u64,
    trace: Trace,
    notes: Vec<Note>,
    refused: Vec<(NodeId, ErrorCode)>,
    /// Nodes whose next write will fail.
    failing: BTreeSet<NodeId>,
}

impl World {
    /// A world in which no node runs yet.
    #[must_use]
    pub fn new(options: Options, trace: Trace) -> Self {
        let names: Vec<NodeId> = (1..=options.nodes).map(NodeId).collect();
        let producer = |at: u64| {
            let plan = ProducerPlan {
                seed: options.seed,
                id: ProducerId(at + 1),
                nodes: names.clone(),
                window: options.window,
                chunks: options.chunks,
                weather: options.chunk,
                patience: 1000 * MS,
                pause: options.pause,
                restart_one_in: options.restart_one_in,
            };
            Producer::new(plan, ClientId(usize::try_from(at).expect("a few")))
        };
        let producers: Vec<Producer> = (0..options.producers).map(producer).collect();
        let first = producers.len();
        let consumer = |at: usize| Consumer::new(options.seed, names.clone(), ClientId(first + at));
        Self {
            now: Time(MS),
            nodes: names.iter().map(|&id| Node::new(id, &options)).collect(),
            network: Network::new(options.seed, options.network, &names),
            post: Post::new(options.seed, (10_000, 100_000)),
            consumers: (0..options.consumers).map(consumer).collect(),
            producers,
            oracle: Oracle::default(),
            statuses: BTreeMap::new(),
            status_due: Time(0),
            asked: 0,
            trace,
            notes: Vec::new(),
            refused: Vec::new(),
            failing: BTreeSet::new(),
            options,
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// What it is like.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The links between nodes.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// A node.
    pub fn node(&mut self, id: NodeId) -> &mut Node {
        let node = self.nodes.iter_mut().find(|node| node.id() == id);
        node.expect("a node of this world")
    }

    /// All nodes' names.
    #[must_use]
    pub fn names(&self) -> Vec<NodeId> {
        self.nodes.iter().map(Node::id).collect()
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

    /// What has been seen.
    pub fn oracle(&mut self) -> &mut Oracle {
        &mut self.oracle
    }

    /// What happened in it, in numbers: a world in which nothing happens proves nothing.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let (truncations, full) = self.oracle.accidents();
        let acked = self.producers.iter().map(|producer| producer.acked().len());
        let fetched = self.consumers.iter().map(Consumer::fetched);
        let unreadable = self.consumers.iter().map(Consumer::unreadable);
        let finals = self.producers.iter().flat_map(Producer::final_refusals);
        Summary {
            terms: self.oracle.terms(),
            truncations,
            full,
            acked: acked.sum(),
            fetched: fetched.sum(),
            unreadable: unreadable.sum(),
            final_refusals: finals.map(|(_, refusal)| refusal.code).collect(),
            links_most: self.network.links_most(),
            head_most: self.network.head_most(),
        }
    }

    /// Who has refused, or was refused by, a peer, and why.
    #[must_use]
    pub fn refused(&self) -> &[(NodeId, ErrorCode)] {
        &self.refused
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
    pub fn say(&mut self, line: &str) {
        let mut trace = self.trace.borrow_mut();
        if trace.len() == TRACE_LINES {
            trace.pop_front();
        }
        trace.push_back(format!(
            "{:>9}.{:06} {line}",
            self.now.0 / MS,
            self.now.0 % MS
        ));
    }

    /// Starts a node.
    pub fn start(&mut self, id: NodeId) {
        let (options, now) = (self.options, self.now);
        let started = match self.node(id).start(&options, now) {
            Ok(started) => started,
            Err(error) => panic!("node {id} does not start: {error}"),
        };
        self.say(&format!("node {id} starts: {started:?}"));
        self.network.start(id);
    }

    /// Starts all nodes that do not run.
    pub fn start_all(&mut self) {
        for id in self.running(false) {
            self.start(id);
        }
    }

    /// The next write of a node's disk fails: the node must stop.
    pub fn fail_write(&mut self, id: NodeId) {
        self.say(&format!("the next write of node {id} will fail"));
        let error = StorageError::Os { errno: 5 };
        self.node(id).disk.disk_mut().fail_write(error);
        self.failing.insert(id);
    }

    /// A node's disk does not fail any more.
    pub fn mend(&mut self, id: NodeId) {
        self.node(id).disk.disk_mut().mend();
        self.failing.remove(&id);
    }

    /// A node gets an empty disk under its old name.
    pub fn wipe(&mut self, id: NodeId) {
        self.say(&format!("the disk of node {id} is wiped"));
        let options = self.options;
        let node = self.node(id);
        assert!(!node.runs(), "a running node keeps its disk");
        node.wipe(&options);
        self.oracle.expect_wiped();
    }

    /// Kills a node's process, or its host.
    pub fn crash(&mut self, id: NodeId, hard: bool) {
        self.say(&format!(
            "node {id} crashes{}",
            if hard { " hard" } else { "" }
        ));
        self.node(id).crash();
        self.network.crash(id, hard);
        self.post.crash(id, self.now);
        self.statuses.remove(&id);
    }

    /// Breaks some of the clients' connections.
    pub fn shake_clients(&mut self) {
        self.say("clients lose connections");
        self.post.shake(self.now);
    }

    /// Lets so many nanoseconds go by.
    pub fn run_for(&mut self, nanoseconds: u64) {
        self.run_until(nanoseconds, |_| false);
    }

    /// Lets time go by until `done`, but at most so many nanoseconds. Says whether it was done.
    pub fn run_until(&mut self, nanoseconds: u64, done: impl Fn(&Self) -> bool) -> bool {
        let limit = self.now.after(nanoseconds);
        loop {
            if done(self) {
                return true;
            }
            let next = self.next();
            if next > limit {
                self.now = limit;
                return false;
            }
            self.now = self.now.max(next);
            self.step();
        }
    }

    /// Whether all nodes run and have the same log, all of it committed, durable and asked for since `since`.
    #[must_use]
    pub fn converged(&self, since: Time) -> bool {
        let all = self.nodes.iter().map(|node| {
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

    /// Stops all nodes when nothing is under way, and holds their logs against everything that was promised.
    pub fn check_logs(&mut self) {
        for id in self.running(true) {
            self.crash(id, false);
        }
        let disks: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (node.id(), node.disk.disk()))
            .collect();
        self.oracle.check_logs(&disks, &self.producers);
    }

    fn next(&self) -> Time {
        let nodes = self
            .nodes
            .iter()
            .flat_map(|node| [node.next(&self.network, self.now), node.disk.next()])
            .flatten();
        let producers = self.producers.iter().filter_map(Producer::deadline);
        let consumers = self.consumers.iter().filter_map(Consumer::deadline);
        let next = nodes
            .chain(producers)
            .chain(consumers)
            .chain(self.network.next())
            .chain(self.post.next())
            .min();
        next.unwrap_or(self.status_due).min(self.status_due)
    }

    fn step(&mut self) {
        let now = self.now;
        self.network.advance(now);
        for node in &mut self.nodes {
            node.disk.advance(now);
        }
        if now >= self.status_due {
            self.status_due = now.after(STATUS_EVERY);
            self.ask_statuses();
        }
        while let Some(letter) = self.post.letter(now) {
            self.deliver(letter);
        }
        self.clients();
        for at in 0..self.nodes.len() {
            self.turn(at);
        }
        self.network.advance(now);
    }

    fn ask_statuses(&mut self) {
        self.asked += 1;
        let ticket = Ticket {
            connection: STATUS,
            correlation: self.now.0,
        };
        for node in self.nodes.iter_mut().filter(|node| node.runs()) {
            let ask = Ask::Status;
            let full = node.lanes.ask(Request { ticket, ask });
            assert!(full.is_ok(), "the lane has room");
        }
    }

    fn deliver(&mut self, letter: Letter) {
        let (now, connection) = (self.now, letter.connection);
        let ticket = letter.request.ticket;
        if !self.node(letter.node).runs() {
            return self.post.nobody(connection, now);
        }
        if !self.post.arrived(connection) {
            return;
        }
        if self.node(letter.node).lanes.ask(letter.request).is_err() {
            let answer = Answer::Refused(Refusal::new(ErrorCode::Overloaded));
            self.post.reply(Reply { ticket, answer }, now);
        }
    }

    fn clients(&mut self) {
        let now = self.now;
        let producers = self.producers.len();
        while let Some((client, connection, news)) = self.post.news(now) {
            match self.producers.get_mut(client.0) {
                Some(producer) => producer.hear(connection, news, now, &mut self.post),
                None => {
                    if let Some(consumer) = self.consumers.get_mut(client.0 - producers) {
                        consumer.hear(connection, news, now, &mut self.post, &mut self.oracle);
                    }
                }
            }
        }
        for producer in &mut self.producers {
            producer.act(now, &mut self.post);
        }
        for consumer in &mut self.consumers {
            consumer.act(now, &mut self.post);
        }
    }

    fn turn(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        let id = node.id();
        let turn = node.turn(&self.options, &mut self.network, self.now, &mut self.notes);
        let replies = node.lanes.take_replies();
        for note in std::mem::take(&mut self.notes) {
            self.say(&format!("node {id}: {note}"));
            if let Note::Refused { code, .. }
            | Note::RefusedBy {
                code: Some(code), ..
            } = note
            {
                self.refused.push((id, code));
            }
            self.oracle.note(id, &note);
        }
        for reply in replies {
            self.reply(id, reply);
        }
        if let Some(Turn::Stop(fatal)) = turn {
            assert!(self.failing.remove(&id), "node {id} stops: {fatal}");
            self.say(&format!("node {id} stops: {fatal}"));
            self.crash(id, false);
        }
    }

    fn reply(&mut self, node: NodeId, reply: Reply) {
        if reply.ticket.connection != STATUS {
            return self.post.reply(reply, self.now);
        }
        let Answer::Status(status) = reply.answer else {
            panic!(
                "a question for the status is answered by {:?}",
                reply.answer
            );
        };
        self.oracle.status(&status);
        self.statuses
            .insert(node, (Time(reply.ticket.correlation), *status));
    }
}
