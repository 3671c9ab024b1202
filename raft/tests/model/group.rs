//! A group as a state, and what can happen to it.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use quorate_raft::{Input, Message, RoleName};
use quorate_wire::{LogIndex, NodeId, Term, Time};
use stateright::{Model, Property};

use crate::node::{self, Disk, Node, Record, disk_id};

pub(crate) const NODES: usize = 3;

/// How much may happen, and whether the disks take their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// Node 1 leads in term 1 from the start, and all have its no-op.
    pub(crate) led: bool,
    /// A hard state is on the disk at once.
    pub(crate) prompt_hard: bool,
    /// A log is on the disk at once.
    pub(crate) prompt_log: bool,
    /// Of the first nodes only; which nodes they are makes no difference.
    pub(crate) stand: usize,
    pub(crate) timeouts: u8,
    pub(crate) proposals: u8,
    /// Connections that are cut, and are there again at once.
    pub(crate) cuts: u8,
    /// Crashes, with a restart from what the disk has.
    pub(crate) crashes: u8,
    /// Crashes that take the log's last record with them, and are noticed.
    pub(crate) rots: u8,
}

/// What travels on a link, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Item {
    Up,
    Message(Message, Vec<Record>),
    Down,
}

/// A node with its clock. Two that differ in clocks and drawn times only are the same.
#[derive(Clone, Debug)]
struct Place {
    node: Node,
    now: Time,
    fingerprint: u64,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The first of what is on the way from one to another arrives.
    Deliver(usize, usize),
    /// A node's deadline comes.
    Timeout(usize),
    /// A node's oldest write of its hard state is done.
    HardDurable(usize),
    /// A node's write of its log is done.
    LogDurable(usize),
    /// A leader gets a record to append.
    Propose(usize),
    Cut(usize, usize),
    Crash(usize),
    Rot(usize),
}

/// All that there is at one moment, and what must not be forgotten of the past.
#[derive(Clone, Debug)]
pub(crate) struct State {
    places: [Arc<Place>; NODES],
    links: [[VecDeque<Item>; NODES]; NODES],
    left: Bounds,
    /// Who led which term.
    leaders: Vec<(Term, usize)>,
    /// What was ever committed, with the first term in which a node said so.
    committed: Vec<(Record, Term)>,
    broken: Option<&'static str>,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.places
            .iter()
            .for_each(|place| place.fingerprint.hash(state));
        self.links.hash(state);
        self.left.hash(state);
        self.leaders.hash(state);
        self.committed.hash(state);
        self.broken.hash(state);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let print = |state: &Self| {
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            hasher.finish()
        };
        print(self) == print(other)
    }
}

/// Takes a debug text without the values of clocks and drawn times.
#[derive(Default)]
struct Timeless {
    hasher: DefaultHasher,
    mute: bool,
}

impl fmt::Write for Timeless {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.mute {
            self.mute = text != ")";
        } else if text == "Time" || text == "Random" {
            self.mute = true;
        } else {
            text.hash(&mut self.hasher);
        }
        Ok(())
    }
}

impl Place {
    fn start(at: usize, disk: Disk, now: Time) -> Self {
        let id = u32::try_from(at + 1).expect("a few nodes");
        let config = (node::config(id, 1), node::formed(3));
        Self {
            node: Node::start(config, disk, LogIndex(0), now),
            now,
            fingerprint: 0,
        }
    }

    /// The rest of a turn, after which the place can be compared.
    fn settle(&mut self, prompt_hard: bool, prompt_log: bool) -> Vec<node::Parcel> {
        let node = &mut self.node;
        let mut parcels = std::mem::take(&mut node.parcels);
        loop {
            node.step(Input::Gather, &[]);
            parcels.append(&mut node.parcels);
            if node.log_writes.is_empty() {
                node.submit_log();
            }
            if !node.reads.is_empty() {
                node.finish_read(0, usize::MAX);
            } else if !(prompt_hard && node.complete_hard() || prompt_log && node.complete_log()) {
                break;
            }
            parcels.append(&mut node.parcels);
        }
        node.output.clear();
        let mut text = Timeless::default();
        write!(text, "{:?}", node.raft).expect("a hash takes it");
        (&node.log, &node.disk.log, &node.disk.lost).hash(&mut text.hasher);
        (node.disk.term, node.disk.vote, node.disk.unsure).hash(&mut text.hasher);
        write!(text, "{:?}{:?}", node.hard_writes, node.log_writes).expect("a hash takes it");
        self.fingerprint = text.hasher.finish();
        parcels
    }
}

fn name(at: usize) -> NodeId {
    NodeId(u32::try_from(at + 1).expect("a few nodes"))
}

impl State {
    fn start(bounds: Bounds) -> Self {
        let places = [0, 1, 2].map(|at| Arc::new(Place::start(at, Disk::default(), Time(0))));
        let mut state = Self {
            places,
            links: Default::default(),
            left: bounds,
            leaders: Vec::new(),
            committed: Vec::new(),
            broken: None,
        };
        for one in 0..NODES {
            for other in (0..NODES).filter(|&other| other != one) {
                state.input(one, up(other), &[]);
            }
        }
        if bounds.led {
            state.step(0, Self::time_out);
            while state.run_on() {}
            assert!(state.node(0).raft.serves(), "it was elected");
        }
        state
    }

    /// What can happen by itself, happens. Says whether there was anything.
    fn run_on(&mut self) -> bool {
        let mut any = false;
        for at in 0..NODES {
            for to in 0..NODES {
                any |= !self.links[at][to].is_empty();
                self.deliver(at, to);
            }
            self.step(at, |place| {
                any |= place.node.complete_hard() | place.node.complete_log();
            });
        }
        any
    }

    fn node(&self, at: usize) -> &Node {
        &self.places[at].node
    }

    fn input(&mut self, at: usize, input: Input, records: &[Record]) {
        self.step(at, |place| place.node.step(input, records));
    }

    /// Lets a node do something, posts what it says, and looks at what it has become.
    fn step(&mut self, at: usize, work: impl FnOnce(&mut Place)) {
        let place = Arc::make_mut(&mut self.places[at]);
        work(place);
        let (hard, log) = (self.left.prompt_hard, self.left.prompt_log);
        for (envelope, records) in place.settle(hard, log) {
            let to = usize::try_from(envelope.to.0).expect("fits") - 1;
            // Said on a connection that is gone, though this node does not know it yet.
            if !self.links[to][at].contains(&Item::Up) {
                self.links[at][to].push_back(Item::Message(envelope.message, records));
            }
        }
        self.observe(at);
    }

    fn deliver(&mut self, from: usize, to: usize) {
        match self.links[from][to].pop_front() {
            Some(Item::Up) => self.input(to, up(from), &[]),
            Some(Item::Down) => self.input(to, Input::PeerDown { peer: name(from) }, &[]),
            Some(Item::Message(message, records)) => {
                let from = name(from);
                self.input(to, Input::Message { from, message }, &records);
            }
            None => {}
        }
    }

    fn time_out(place: &mut Place) {
        let stands = |place: &Place| place.node.raft.role() != RoleName::Follower;
        // What was heard since the last tick moves the deadline at the first one.
        for _ in 0..2 {
            place.now = place.now.max(place.node.raft.deadline());
            let now = place.now;
            place.node.step(Input::Tick { now }, &[]);
            if stands(place) {
                break;
            }
        }
    }

    /// What is on the way is lost, and the connection is there again.
    fn cut(&mut self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            let link = &mut self.links[from][to];
            link.retain(|item| !matches!(item, Item::Message(..)));
            link.extend([Item::Down, Item::Up]);
        }
    }

    fn crash(&mut self, at: usize, rot: bool) {
        let place = &self.places[at];
        let mut disk = place.node.disk.clone();
        if rot {
            disk.lose_end(false, disk.log.len() - 1);
        }
        let mut place = Place::start(at, disk, place.now);
        place.settle(false, false);
        self.places[at] = Arc::new(place);
        for other in (0..NODES).filter(|&other| other != at) {
            self.links[other][at] = [Item::Up].into();
            self.links[at][other].extend([Item::Down, Item::Up]);
        }
    }

    /// Looks at a node after its step (Raft figure 3).
    fn observe(&mut self, at: usize) {
        let place = Arc::clone(&self.places[at]);
        let (node, raft) = (&place.node, &place.node.raft);
        if raft.leads() && !self.leaders.contains(&(raft.term(), at)) {
            if self.leaders.iter().any(|leader| leader.0 == raft.term()) {
                self.broken = Some("one leader a term");
            }
            self.leaders.push((raft.term(), at));
            let earlier = self.committed.iter().take_while(|one| one.1 < raft.term());
            if !earlier
                .map(|one| &one.0)
                .eq(node.log.iter().take(self.earlier(raft.term())))
            {
                self.broken = Some("leader completeness");
            }
        }
        let commit = usize::try_from(raft.commit().0).expect("fits");
        for (index, record) in node.log.iter().take(commit).enumerate() {
            match self.committed.get(index) {
                Some(known) if known.0 == *record => {}
                Some(_) => self.broken = Some("what is committed never changes"),
                None => {
                    let has = |log: &Vec<Record>| log.get(index) == Some(record);
                    let copies = self.places.iter().filter(|place| {
                        let disk = &place.node.disk;
                        has(&disk.log) || disk.lost.iter().any(has)
                    });
                    if copies.count() * 2 <= NODES {
                        self.broken = Some("a majority has what is committed");
                    }
                    self.committed.push((*record, raft.term()));
                }
            }
        }
    }

    fn earlier(&self, term: Term) -> usize {
        self.committed.iter().take_while(|one| one.1 < term).count()
    }

    /// Log matching: where two logs have the same term at the same place, they are the same up to there.
    fn logs_match(&self) -> bool {
        let logs: Vec<_> = (0..NODES).map(|at| &self.node(at).log).collect();
        logs.iter().enumerate().all(|(at, one)| {
            logs[..at].iter().all(|other| {
                let same = one.iter().zip(*other).rposition(|(a, b)| a.term == b.term);
                same.is_none_or(|last| one[..=last] == other[..=last])
            })
        })
    }
}

fn up(peer: usize) -> Input {
    let peer = name(peer);
    let disk = disk_id(peer.0);
    Input::PeerUp { peer, disk }
}

impl Bounds {
    /// Two nodes stand for election.
    pub(crate) const ELECTIONS: Self = Self {
        led: false,
        prompt_hard: false,
        prompt_log: true,
        stand: 2,
        timeouts: 2,
        proposals: 0,
        cuts: 0,
        crashes: 0,
        rots: 0,
    };
    /// A connection is cut while a leader replicates, and another node may stand.
    pub(crate) const CUT: Self = Self {
        cuts: 1,
        ..Self::LED
    };
    /// A node crashes while a leader replicates.
    pub(crate) const CRASH: Self = Self {
        crashes: 1,
        ..Self::LED
    };
    /// A node loses the end of its log while a leader replicates.
    pub(crate) const ROT: Self = Self {
        rots: 1,
        ..Self::LED
    };
    const LED: Self = Self {
        led: true,
        prompt_hard: true,
        prompt_log: false,
        timeouts: 1,
        proposals: 1,
        ..Self::ELECTIONS
    };
}

/// The model.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) bounds: Bounds,
}

impl Model for Group {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::start(self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        let left = &state.left;
        for at in 0..NODES {
            let node = state.node(at);
            for to in 0..NODES {
                if !state.links[at][to].is_empty() {
                    actions.push(Action::Deliver(at, to));
                }
                if at < to && left.cuts > 0 {
                    actions.push(Action::Cut(at, to));
                }
            }
            if left.timeouts > 0 && at < left.stand && !node.raft.unsure() {
                actions.push(Action::Timeout(at));
            }
            if !node.hard_writes.is_empty() {
                actions.push(Action::HardDurable(at));
            }
            if !node.log_writes.is_empty() {
                actions.push(Action::LogDurable(at));
            }
            if left.proposals > 0 && node.raft.leads() {
                actions.push(Action::Propose(at));
            }
            if left.crashes > 0 {
                actions.push(Action::Crash(at));
            }
            if left.rots > 0 && !node.disk.log.is_empty() {
                actions.push(Action::Rot(at));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Deliver(from, to) => state.deliver(from, to),
            Action::Timeout(at) => {
                state.left.timeouts -= 1;
                state.step(at, State::time_out);
            }
            Action::HardDurable(at) => state.step(at, |place| {
                place.node.complete_hard();
            }),
            Action::LogDurable(at) => state.step(at, |place| {
                place.node.complete_log();
            }),
            Action::Propose(at) => {
                state.left.proposals -= 1;
                let term = state.node(at).raft.term();
                let value = u64::from(state.left.proposals) + 1;
                state.input(at, Input::Propose, &[Record { term, value }]);
            }
            Action::Cut(one, other) => {
                state.left.cuts -= 1;
                state.cut(one, other);
            }
            Action::Crash(at) => {
                state.left.crashes -= 1;
                state.crash(at, false);
            }
            Action::Rot(at) => {
                state.left.rots -= 1;
                state.crash(at, true);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("Raft figure 3", |_, state: &State| state.broken.is_none()),
            Property::always("log matching", |_, state: &State| state.logs_match()),
            Property::sometimes("committed", |_, state: &State| !state.committed.is_empty()),
        ];
        if self.bounds.led {
            properties.push(Property::sometimes("another leads", |_, state: &State| {
                state.leaders.len() > 1
            }));
        }
        if self.bounds.rots > 0 {
            properties.push(Property::sometimes("whole again", |_, state: &State| {
                let whole = |disk: &Disk| !disk.lost.is_empty() && !disk.unsure;
                (0..NODES).any(|at| whole(&state.node(at).disk))
            }));
        }
        properties
    }
}
