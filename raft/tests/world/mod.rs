//! A group, its links and its disks, driven by chance.

mod chance;
mod changes;
mod faults;
mod oracle;
mod quorums;

use std::collections::{BTreeMap, VecDeque};

use quorate_raft::{Config, Input, Members, Message};
use quorate_wire::{NodeId, Position, Term, Time};

use crate::node::{self, Disk, MS, Node, Parcel, Record, disk_id, length};
use chance::Chance;
use oracle::Oracle;

/// What travels on a link, in order.
#[derive(Debug)]
enum Item {
    Up { connection: u64 },
    Message(Message, Vec<Record>),
    Down,
}

/// A node, or what a crash left of it.
#[derive(Debug)]
enum Place {
    Runs(Box<Node>),
    Crashed(Disk),
}

/// How often what happens, drawn anew for each world: worlds differ in kind, not only in order.
#[derive(Debug)]
struct Weather {
    deliver: u64,
    tick: u64,
    disk: u64,
    propose: u64,
    read: u64,
    /// The members change.
    change: u64,
    /// A leader hands its lead over.
    transfer: u64,
    /// Somebody wants to read what is committed.
    ask: u64,
    cut: u64,
    connect: u64,
    crash: u64,
    restart: u64,
    /// The leader crashes, is cut off, or stands still.
    depose: u64,
    calm: u64,
    /// The end of a node's log rots, if that leaves a majority of the voters of each moment whole.
    rot: u64,
    /// A node releases records.
    release: u64,
    /// A peer that lacks them gets a snapshot.
    install: u64,
    /// A node whose disk is much slower than the others'.
    slow_disk: Option<NodeId>,
    /// Longest ordinary time between two ticks.
    pace: u64,
    /// One in so many messages is lost, doubled or overtaken; zero is a network of streams.
    dirt: u64,
    /// How far clocks run from the right one, in thousandths.
    drift: u64,
    /// Whether a leader that is deposed may also stand still.
    stands_still: bool,
}

pub(crate) struct World {
    chance: Chance,
    weather: Weather,
    now: Time,
    configs: Vec<Config>,
    /// The members of the group's beginning, as each node knows them.
    formed: Vec<Members>,
    /// How fast each node's clock runs, in thousandths.
    clocks: Vec<u64>,
    places: Vec<Place>,
    links: BTreeMap<(usize, usize), VecDeque<Item>>,
    /// The live connection between two nodes, lower place first.
    connections: BTreeMap<(usize, usize), u64>,
    /// The connection to the second that the first's core knows of.
    views: BTreeMap<(usize, usize), u64>,
    connection: u64,
    /// Until when each node stands still: what comes for it waits.
    still: Vec<Time>,
    value: u64,
    asked: u64,
    oracle: Oracle,
    /// How often members were named.
    changes: u64,
    /// How often a snapshot was installed.
    snapshots: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let nodes = [1, 2, 3, 3, 3, 3, 4, 5][chance.below(8)];
        let weather = Weather::draw(&mut chance);
        // Some may join later.
        let all = if weather.change > 0 {
            7.min(nodes + 1 + u32::try_from(chance.below(3)).expect("fits"))
        } else {
            nodes
        };
        let lease_reads = weather.ask > 0 && chance.one_in(2);
        let configs: Vec<_> = (1..=all)
            .map(|id| draw_config(id, seed, &mut chance))
            .map(|config| Config {
                lease_reads,
                ..config
            })
            .collect();
        let clocks = configs
            .iter()
            .map(|_| 1000 + chance.up_to(weather.drift) - weather.drift / 2)
            .collect();
        let formed = (1..=all)
            .map(|id| node::formed(if id > nodes { 0 } else { nodes }))
            .collect();
        let places = configs
            .iter()
            .map(|_| Place::Crashed(Disk::default()))
            .collect();
        let mut world = Self {
            chance,
            weather,
            now: Time(0),
            places,
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            views: BTreeMap::new(),
            connection: 0,
            still: vec![Time(0); configs.len()],
            value: 0,
            asked: 0,
            oracle: Oracle::new(configs.len(), node::formed(nodes)),
            changes: 0,
            snapshots: 0,
            formed,
            configs,
            clocks,
        };
        (0..world.places.len()).for_each(|place| world.restart(place));
        world.connect_all();
        world
    }

    /// One thing happens.
    pub(crate) fn act(&mut self) {
        let place = self.chance.below(self.places.len());
        let other = self.chance.below(self.places.len());
        let weather = &self.weather;
        let weights = [
            weather.deliver,
            weather.tick,
            weather.disk,
            weather.propose,
            weather.read,
            weather.cut,
            weather.connect,
            weather.crash,
            weather.restart,
            weather.depose,
            weather.calm,
            weather.rot,
            weather.ask,
            weather.transfer,
            weather.release,
            weather.install,
            weather.change,
        ];
        match self.chance.pick(&weights) {
            0 => self.deliver_some(),
            1 => self.tick(place),
            2 => self.disk(),
            3 => self.propose(),
            4 => self.read(),
            5 => self.cut(place, other),
            6 => self.connect_one(),
            7 => self.crash(place),
            8 => self.restart_one(),
            9 => self.depose(),
            10 => self.settle(),
            11 => self.rot(place),
            12 => self.ask(place),
            13 => self.transfer(place),
            14 => self.release(place),
            15 => self.install(),
            _ => self.change(),
        }
    }

    /// Faults end: within a few seconds somebody leads, serves, and everybody has the same committed log.
    pub(crate) fn heal(&mut self) {
        self.weather.dirt = 0;
        self.still.fill(self.now);
        (0..self.places.len()).for_each(|place| self.restart(place));
        self.connect_all();
        let deadline = self.now.after(5_000 * MS);
        let mut goal: Option<(usize, Position)> = None;
        while self.now < deadline {
            self.calm(1);
            self.install();
            self.connect_all();
            self.now = self.now.after(5 * MS);
            let serves =
                |place: &usize| self.running(*place).is_some_and(|node| node.raft.serves());
            // One that was removed may still think that it leads.
            let term = |place: &usize| self.running(*place).map(|node| node.raft.term());
            let Some(leader) = (0..self.places.len()).filter(serves).max_by_key(term) else {
                continue;
            };
            if self.end_change(leader) {
                continue;
            }
            let hands_over = |node: &Node| node.raft.transfers_to().is_some();
            if self.running(leader).is_some_and(hands_over) {
                continue;
            }
            let Some((_, goal)) = goal.filter(|goal| goal.0 == leader) else {
                // At first this may be one that was deposed and does not know yet; then the next one is asked.
                self.propose_one(leader);
                goal = self.running(leader).map(|node| (leader, node.raft.last()));
                continue;
            };
            let has = |node: &Node| {
                let (commit, durable) = (node.raft.commit(), node.raft.durable());
                node.raft.term_at(goal.index) == Some(goal.term)
                    && commit.min(durable) >= goal.index
                    && !node.raft.unsure()
            };
            let members = self.members(leader);
            let belongs = |place: &usize| members.disk_of(self.configs[*place].id).is_some();
            if (0..self.places.len())
                .filter(belongs)
                .all(|place| self.running(place).is_some_and(has))
                && self.oracle.open_reads() == 0
            {
                return;
            }
        }
        let states: Vec<_> = (0..self.places.len())
            .filter_map(|place| self.running(place))
            .map(|node| &node.raft)
            .collect();
        panic!("a healed group does not converge: {states:#?}");
    }

    pub(crate) fn commits_in_the_storm(&self) -> u64 {
        length(self.oracle.committed()).0
    }

    pub(crate) fn reads_answered(&self) -> u64 {
        self.oracle.reads_answered()
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn snapshots(&self) -> u64 {
        self.snapshots
    }

    pub(crate) fn terms(&self) -> u64 {
        self.oracle.terms()
    }

    /// Whether a node stands still: its process is stopped, or its host is busy elsewhere.
    pub(super) fn is_still(&self, place: usize) -> bool {
        self.now < self.still[place]
    }

    fn running(&self, place: usize) -> Option<&Node> {
        match &self.places[place] {
            Place::Runs(node) => Some(node),
            Place::Crashed(_) => None,
        }
    }

    /// A step of a running node, with all that follows from it.
    fn step(&mut self, place: usize, work: impl FnOnce(&mut Node)) {
        let Place::Runs(node) = &mut self.places[place] else {
            return;
        };
        node.output.clear(); // Some work makes no step.
        work(node);
        self.oracle.see(place, node);
        self.oracle.see_reads(node);
        if node.output.commit.is_some() {
            let disks = self.places.iter().map(|place| match place {
                Place::Runs(node) => &node.disk,
                Place::Crashed(disk) => disk,
            });
            let Place::Runs(node) = &self.places[place] else {
                unreachable!("it just ran")
            };
            self.oracle.see_commit(place, node, disks);
        }
        let Place::Runs(node) = &mut self.places[place] else {
            unreachable!("it just ran")
        };
        let parcels = std::mem::take(&mut node.parcels);
        parcels
            .into_iter()
            .for_each(|parcel| self.post(place, parcel));
    }

    fn input(&mut self, place: usize, input: Input, records: &[Record]) {
        self.step(place, |node| node.step(input, records));
    }

    fn gather(&mut self, place: usize) {
        self.input(place, Input::Gather, &[]);
    }

    fn post(&mut self, from: usize, (envelope, records): Parcel) {
        let to = usize::try_from(envelope.to.0).expect("fits") - 1;
        let view = self.views.get(&(from, to));
        assert!(
            view.is_some(),
            "a core speaks only to peers that it was told are up"
        );
        if view == self.connections.get(&pair(from, to)) {
            let link = self.links.entry((from, to)).or_default();
            link.push_back(Item::Message(envelope.message, records));
        }
    }

    fn deliver_some(&mut self) {
        let busy: Vec<_> = self
            .links
            .iter()
            .filter(|link| !link.1.is_empty() && !self.is_still(link.0.1))
            .map(|link| *link.0)
            .collect();
        if busy.is_empty() {
            return;
        }
        let (from, to) = busy[self.chance.below(busy.len())];
        let waiting = self.links[&(from, to)].len();
        let count = if self.chance.one_in(3) {
            waiting
        } else {
            1 + self.chance.below(3)
        };
        for _ in 0..count.min(waiting) {
            self.soil(from, to);
            self.deliver(from, to);
        }
        if !self.chance.one_in(8) {
            self.gather(to);
        }
    }

    /// A network that is not a stream: the message in front is lost, comes twice, or lets the next one overtake.
    fn soil(&mut self, from: usize, to: usize) {
        if self.weather.dirt == 0 || !self.chance.one_in(self.weather.dirt) {
            return;
        }
        let Some(link) = self.links.get_mut(&(from, to)) else {
            return;
        };
        match (self.chance.below(3), link.front(), link.get(1)) {
            (0, Some(Item::Message(..)), _) => drop(link.pop_front()),
            (1, Some(Item::Message(message, records)), _) => {
                let again = Item::Message(*message, records.clone());
                link.push_front(again);
            }
            (2, Some(Item::Message(..)), Some(Item::Message(..))) => link.swap(0, 1),
            (_, _, _) => {}
        }
    }

    fn deliver(&mut self, from: usize, to: usize) {
        let Some(item) = self
            .links
            .get_mut(&(from, to))
            .and_then(VecDeque::pop_front)
        else {
            return;
        };
        let peer = self.configs[from].id;
        match item {
            Item::Up { connection } => {
                self.views.insert((to, from), connection);
                self.input(
                    to,
                    Input::PeerUp {
                        peer,
                        disk: disk_id(peer.0),
                    },
                    &[],
                );
            }
            Item::Message(message, records) => self.input(
                to,
                Input::Message {
                    from: peer,
                    message,
                },
                &records,
            ),
            Item::Down => {
                self.input(to, Input::PeerDown { peer }, &[]);
                self.views.remove(&(to, from));
            }
        }
    }

    fn tick(&mut self, place: usize) {
        let waits = match self.chance.below(40) {
            0 => self.chance.up_to(400 * MS),
            1..4 => self.chance.up_to(60 * MS),
            4..8 => self
                .running(place)
                .map_or(0, |node| node.raft.deadline().since(self.clock(place))),
            _ => self.chance.up_to(self.weather.pace),
        };
        self.now = self.now.after(waits);
        let all = self.chance.one_in(2);
        for place in (0..self.places.len()).filter(|&other| all || other == place) {
            if self.is_still(place) {
                continue;
            }
            self.input_tick(place);
            self.gather(place);
        }
    }

    /// What a node's own clock shows.
    pub(super) fn clock(&self, place: usize) -> Time {
        Time(self.now.0 / 1000 * self.clocks[place])
    }

    fn input_tick(&mut self, place: usize) {
        let now = self.clock(place);
        self.input(place, Input::Tick { now }, &[]);
    }

    fn transfer(&mut self, wanted: usize) {
        let wanted = Some(self.configs[wanted].id).filter(|_| self.chance.one_in(2));
        let Some(place) = self.one_where(|node| node.raft.successor(wanted).is_some()) else {
            return;
        };
        let to = self
            .running(place)
            .and_then(|node| node.raft.successor(wanted));
        let to = to.expect("it was just asked");
        self.input(place, Input::Transfer { to }, &[]);
        self.gather(place);
    }

    /// Somebody wants to read, mostly where it can be.
    fn ask(&mut self, place: usize) {
        // Also where somebody stands still: it may have been about to look what is asked.
        let leads = |place: &usize| self.running(*place).is_some_and(|node| node.raft.leads());
        let leader = (0..self.places.len()).find(leads);
        let place = leader.filter(|_| !self.chance.one_in(8)).unwrap_or(place);
        for _ in 0..=self.chance.below(2) {
            if self.running(place).is_some() {
                self.asked += 1;
                self.oracle.ask(self.asked, place);
                self.input(place, Input::Read { id: self.asked }, &[]);
            }
        }
        if self.chance.one_in(2) {
            self.gather(place);
        }
    }

    fn disk(&mut self) {
        let slow = self.weather.slow_disk.filter(|_| !self.chance.one_in(16));
        let busy = |node: &Node| {
            let writes = !node.hard_writes.is_empty() || !node.log_writes.is_empty();
            let rest = node.raft.durable() < node.raft.last().index;
            slow != Some(node.id()) && (writes || rest)
        };
        let Some(place) = self.one_where(busy) else {
            return;
        };
        match self.chance.below(4) {
            0 => self.step(place, |node| {
                node.submit_log();
            }),
            1 => self.step(place, |node| {
                node.complete_log();
            }),
            2 => self.step(place, |node| {
                node.complete_hard();
            }),
            _ => self.step(place, |node| {
                node.submit_log();
                node.complete_log();
            }),
        }
        if !self.chance.one_in(8) {
            self.gather(place);
        }
    }

    fn propose(&mut self) {
        let takes = |node: &Node| node.raft.leads() && node.raft.transfers_to().is_none();
        let Some(place) = self.one_where(takes) else {
            return;
        };
        for _ in 0..=self.chance.below(4) {
            self.propose_one(place);
        }
        self.gather(place);
    }

    fn propose_one(&mut self, place: usize) {
        self.value += 1;
        let term = self.running(place).map_or(Term(0), |node| node.raft.term());
        self.input(
            place,
            Input::Propose,
            &[Record {
                term,
                value: self.value,
            }],
        );
    }

    fn read(&mut self) {
        let Some(place) = self.one_where(|node| !node.reads.is_empty()) else {
            return;
        };
        let waiting = self.running(place).map_or(0, |node| node.reads.len());
        let (at, count) = (self.chance.below(waiting), 1 + self.chance.below(12));
        self.step(place, |node| node.finish_read(at, count));
        self.gather(place);
    }

    /// One of the running nodes for which `holds`.
    fn one_where(&mut self, holds: impl Fn(&Node) -> bool) -> Option<usize> {
        let fitting =
            |place: &usize| !self.is_still(*place) && self.running(*place).is_some_and(&holds);
        let found: Vec<_> = (0..self.places.len()).filter(fitting).collect();
        (!found.is_empty()).then(|| found[self.chance.below(found.len())])
    }

    /// A short time without faults: without it few worlds get anywhere.
    fn settle(&mut self) {
        for _ in 0..=self.chance.below(8) {
            self.calm(1);
            self.now = self.now.after(self.chance.up_to(20 * MS));
        }
    }

    /// Everything that can happen at once, happens, a few times over.
    fn calm(&mut self, rounds: u32) {
        for _ in 0..rounds {
            for to in 0..self.places.len() {
                if self.is_still(to) {
                    continue;
                }
                for from in 0..self.places.len() {
                    let waiting = self.links.get(&(from, to)).map_or(0, VecDeque::len);
                    (0..waiting).for_each(|_| self.deliver(from, to));
                }
                self.input_tick(to);
                while self
                    .running(to)
                    .is_some_and(|node| !node.hard_writes.is_empty())
                {
                    self.step(to, |node| {
                        node.complete_hard();
                    });
                }
                self.step(to, |node| {
                    node.submit_log();
                });
                while self
                    .running(to)
                    .is_some_and(|node| !node.log_writes.is_empty())
                {
                    self.step(to, |node| {
                        node.complete_log();
                    });
                }
                self.gather(to);
                while self.running(to).is_some_and(|node| !node.reads.is_empty()) {
                    self.step(to, |node| node.finish_read(0, usize::MAX));
                    self.gather(to);
                }
            }
        }
    }
}

impl Weather {
    fn draw(chance: &mut Chance) -> Self {
        let ask = [0, 4, 12][chance.below(3)];
        let change = [0, 0, 0, 12][chance.below(4)];
        let mut often = |most: u64| chance.up_to(most);
        Self {
            deliver: 40 + often(80),
            tick: 5 + often(20),
            disk: 20 + often(40),
            propose: 2 + often(15),
            read: 10 + often(20),
            ask,
            transfer: often(2),
            cut: often(2),
            connect: 2 + often(6),
            crash: often(2),
            restart: 1 + often(4),
            depose: often(4),
            calm: often(5),
            rot: often(2),
            change,
            release: often(3),
            install: 1 + often(3),
            slow_disk: [None, None, Some(NodeId(1))][chance.below(3)],
            pace: [1, 4, 16][chance.below(3)] * MS,
            dirt: [0, 0, 4, 12][chance.below(4)],
            drift: [0, 0, 3, 40][chance.below(4)],
            stands_still: chance.one_in(2),
        }
    }
}

fn draw_config(id: u32, seed: u64, chance: &mut Chance) -> Config {
    let mut config = node::config(id, seed);
    config.append_bytes_max = node::RECORD_BYTES * [1, 3, 10][chance.below(3)];
    config.window_bytes = u64::from(node::RECORD_BYTES) * [1, 5, 100][chance.below(3)];
    config.window_appends = [1, 2, 8][chance.below(3)];
    config
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}
