//! A world: machines that fail whole, the groups that live on them, and one clock.
//!
//! Owns: the clock, and what strikes a machine with all its groups. One seed makes one world. Never: decides what goes wrong;
//! see `faults`.

use std::collections::BTreeSet;
use std::fmt;

use quorate_wire::{ErrorCode, GroupId, NodeId, Time};

use crate::consumer::Consumer;
use crate::damage;
use crate::group::Group;
use crate::network::Network;
use crate::node::Node;
use crate::options::Options;
use crate::oracle::Oracle;
use crate::producer::Producer;
use crate::random::Random;
use crate::trace::{Column, Trace};
use crate::wires::Way;

const MS: u64 = 1_000_000;

/// What happened in a world: one in which nothing happens proves nothing.
#[derive(Clone, Debug, Default)]
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
    /// Producers' processes that were told that a newer one is at work.
    pub fenced: u64,
    /// Most links that one node had at a time.
    pub links_most: usize,
    /// Most bytes that one send carried beside its records.
    pub head_most: usize,
    /// How often something happened.
    pub steps: u64,
}

/// So many steps in one moment are a loop without end.
const STILL_MAX: u32 = 100_000;

/// A world. See the module's description.
#[derive(Debug)]
pub struct World {
    options: Options,
    now: Time,
    groups: Vec<Group>,
    trace: Trace,
    /// Nodes whose disk is not what it was: they may stay out, or stop.
    out: BTreeSet<NodeId>,
    steps: u64,
    /// Steps since time last went on.
    still: u32,
    /// Whether who stops is started again.
    restarts: bool,
}

impl World {
    /// A world in which no node runs yet.
    #[must_use]
    pub fn new(options: Options, trace: Trace) -> Self {
        let now = Time(MS);
        let nodes = usize::try_from(options.nodes + options.spare).expect("a few");
        trace.now(now, nodes);
        let group = |id| Group::new(GroupId(id), options, trace.clone());
        let mut groups: Vec<Group> = (0..options.groups).map(group).collect();
        let mut random = Random::new(options.seed, "clocks");
        for id in (1..=options.nodes + options.spare).map(NodeId) {
            let rate = random.between(0, 2 * options.drift);
            for group in &mut groups {
                group
                    .node(id)
                    .clock
                    .set_rate(1_000_000 + rate - options.drift);
            }
        }
        Self {
            now,
            groups,
            trace,
            out: BTreeSet::new(),
            steps: 0,
            still: 0,
            restarts: false,
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

    /// Its groups.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Its groups.
    pub fn groups_mut(&mut self) -> &mut [Group] {
        &mut self.groups
    }

    fn first(&self) -> &Group {
        self.groups.first().expect("a world has a group")
    }

    fn first_mut(&mut self) -> &mut Group {
        self.groups.first_mut().expect("a world has a group")
    }

    /// The links between nodes, of the first group.
    pub fn network(&mut self) -> &mut Network {
        self.first_mut().network()
    }

    /// A node's part in the first group.
    pub fn node(&mut self, id: NodeId) -> &mut Node {
        self.first_mut().node(id)
    }

    /// All nodes' names.
    #[must_use]
    pub fn names(&self) -> Vec<NodeId> {
        self.first().names()
    }

    /// The nodes that run, or those that do not.
    #[must_use]
    pub fn running(&self, runs: bool) -> Vec<NodeId> {
        self.first().running(runs)
    }

    /// The producers of the first group.
    #[must_use]
    pub fn producers(&self) -> &[Producer] {
        self.first().producers()
    }

    /// The producers of the first group.
    pub fn producers_mut(&mut self) -> &mut [Producer] {
        self.first_mut().producers_mut()
    }

    /// The consumers of the first group.
    #[must_use]
    pub fn consumers(&self) -> &[Consumer] {
        self.first().consumers()
    }

    /// What has been seen of the first group.
    pub fn oracle(&mut self) -> &mut Oracle {
        self.first_mut().oracle()
    }

    /// What happened in it, in numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            steps: self.steps,
            ..Summary::default()
        };
        for group in &self.groups {
            let (truncations, full) = group.seen().accidents();
            let acked = group.producers().iter().map(|it| it.acked().len());
            summary.terms += group.seen().terms();
            summary.truncations += truncations;
            summary.full += full;
            summary.acked += acked.sum::<usize>();
            summary.fetched += group.consumers().iter().map(Consumer::fetched).sum::<u64>();
            summary.unreadable += group
                .consumers()
                .iter()
                .map(Consumer::unreadable)
                .sum::<u64>();
            summary.fenced += group.producers().iter().map(Producer::fenced).sum::<u64>();
            summary.links_most = summary.links_most.max(group.links().links_most());
            summary.head_most = summary.head_most.max(group.links().head_most());
        }
        summary
    }

    /// Who has refused, or was refused by, a peer, and why.
    #[must_use]
    pub fn refused(&self) -> &[(NodeId, ErrorCode)] {
        self.first().refused()
    }

    /// The node that serves the first group, as far as the statuses tell.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.first().leader()
    }

    /// Tells what happens to the world.
    pub fn say(&self, what: fmt::Arguments<'_>) {
        self.trace.say(Column::World, what);
    }

    /// Nodes whose disk is not what it was: they may stay out, or stop.
    #[must_use]
    pub fn out(&self) -> &BTreeSet<NodeId> {
        &self.out
    }

    /// How many nodes may lose what they have, and the others still be a majority. Voters are never fewer than founders.
    #[must_use]
    pub fn may_lose(&self) -> usize {
        usize::try_from(self.options.nodes - 1).expect("a few") / 2
    }

    /// The members of a group whose disks are what they were.
    #[must_use]
    pub fn sound(&self, group: &Group) -> BTreeSet<NodeId> {
        let names = self.names().into_iter();
        let roster = group.roster();
        let belongs = |id: NodeId| roster.entries.is_empty() || roster.entry(id).is_some();
        names
            .filter(|&id| !self.out.contains(&id) && belongs(id))
            .collect()
    }

    /// Starts a node, if it does not run.
    pub fn start(&mut self, id: NodeId) {
        if !self.running(false).contains(&id) {
            return;
        }
        for group in &mut self.groups {
            if let Err(error) = group.start(id) {
                panic!("node {id} does not start: {error}");
            }
        }
    }

    /// Starts all nodes that do not run.
    pub fn start_all(&mut self) {
        for id in self.running(false) {
            self.start(id);
        }
    }

    /// The next write of a node's disk fails: the node must stop.
    pub fn fail_write(&mut self, id: NodeId) {
        self.say(format_args!("the next write of node {id} will fail"));
        self.first_mut().fail_write(id);
    }

    /// The next read of a node's disk fails: the node may stop.
    pub fn fail_read(&mut self, id: NodeId) {
        self.say(format_args!("the next read of node {id} will fail"));
        self.first_mut().fail_read(id);
    }

    /// A node's disk does not fail any more.
    pub fn mend(&mut self, id: NodeId) {
        for group in &mut self.groups {
            group.mend(id);
        }
    }

    /// A node gets an empty disk under its old name.
    pub fn wipe(&mut self, id: NodeId) {
        self.say(format_args!("the disk of node {id} is wiped"));
        self.out.insert(id);
        for group in &mut self.groups {
            group.wipe(id);
        }
    }

    /// Kills a node's process, or its host.
    pub fn crash(&mut self, id: NodeId, hard: bool) {
        let how = if hard { "its host" } else { "its process" };
        self.say(format_args!("node {id} crashes: {how}"));
        for group in &mut self.groups {
            group.crash(id, hard);
        }
    }

    /// A node's process is stopped for a while, and does not know.
    pub fn pause(&mut self, id: NodeId, nanoseconds: u64) {
        self.say(format_args!(
            "node {id} stands still for {} ms",
            nanoseconds / MS
        ));
        let until = self.now.after(nanoseconds);
        for group in &mut self.groups {
            group.node(id).pause(until);
        }
    }

    /// Breaks some of the clients' connections.
    pub fn shake_clients(&mut self) {
        self.say(format_args!("clients lose connections"));
        for group in &mut self.groups {
            group.shake_clients();
        }
    }

    /// Nothing goes from one node to another, or `both` ways, until it heals.
    pub fn cut(&mut self, from: NodeId, to: NodeId, both: bool) {
        let way = if both { "between" } else { "one way from" };
        self.say(format_args!("cut {way} {from} and {to}"));
        for group in &mut self.groups {
            group.network().cut(from, to);
            if both {
                group.network().cut(to, from);
            }
        }
    }

    /// Clients do not reach a node, or do not hear it, until it heals: its peers do.
    pub fn cut_clients(&mut self, id: NodeId, ways: &[Way]) {
        self.say(format_args!("cut between clients and {id}: {ways:?}"));
        for group in &mut self.groups {
            ways.iter().for_each(|&way| group.cut_clients(id, way));
        }
    }

    /// Whoever starts from now on reads its log in the background from end to end.
    pub fn scrub(&mut self) {
        self.groups.iter_mut().for_each(Group::scrub);
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
            let next = self.groups.iter().map(Group::next).min();
            let next = next.expect("a world has a group");
            if next > limit {
                self.now = limit;
                self.trace.set_now(limit);
                return false;
            }
            self.still = if next > self.now { 0 } else { self.still + 1 };
            assert!(self.still < STILL_MAX, "liveness: time stands still");
            self.now = self.now.max(next);
            self.step();
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        self.trace.set_now(self.now);
        for at in 0..self.groups.len() {
            let Some(group) = self.groups.get_mut(at) else {
                return;
            };
            group.step(self.now);
            for id in group.take_fallen() {
                self.fell(id);
            }
        }
    }

    /// A process dies with all its groups.
    fn fell(&mut self, id: NodeId) {
        let others = self.groups.iter_mut().filter(|group| group.runs(id));
        others.for_each(|group| group.crash(id, false));
        if self.restarts {
            self.start(id);
        }
    }

    /// From now on, whoever stops is started again at once: a write that failed before all was healed may be heard of later.
    pub fn restart_fallen(&mut self) {
        self.restarts = true;
    }

    /// Whether all nodes with sound disks run, and each group's logs are equal, all of them committed, durable and asked for
    /// since `since`.
    #[must_use]
    pub fn converged(&self, since: Time) -> bool {
        let mut groups = self.groups.iter();
        groups.all(|group| group.converged(&self.sound(group), since))
    }

    /// Whether nothing is damaged on the disks of the sound nodes.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let mut groups = self.groups.iter();
        groups.all(|group| damage::is_whole(group, &self.sound(group)))
    }

    /// Stops all nodes when nothing is under way, and holds their logs against everything that was promised.
    pub fn check_logs(&mut self) {
        let sound: Vec<_> = self.groups.iter().map(|it| self.sound(it)).collect();
        for id in self.running(true) {
            self.crash(id, false);
        }
        for (group, sound) in self.groups.iter_mut().zip(&sound) {
            group.check_logs(sound);
        }
    }
}
