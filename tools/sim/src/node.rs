//! A node's part in a group: a disk that stays, and a pipeline that comes and goes.

use quorate_replication::pipeline::{
    Depth, NodePlace, Note, Pipeline, PipelineConfig, StartError, Started, Turn,
};
use quorate_wire::{Address, ClusterName, DiskId, GroupId, LogIndex, NodeId, Time};

use crate::clock::NodeClock;
use crate::lanes::MemoryLanes;
use crate::network::Network;
use crate::options::Options;
use crate::random::Random;
use crate::seam::MemorySeam;
use crate::slow_disk::SlowDisk;
use crate::terminal::address;
use crate::trace::Trace;

/// Turns in a row that only the clock asked for, and that ask for a further one at once: more than that, and it spins.
const IDLE_TURNS_MAX: u32 = 50;

/// The cluster of every world.
pub(crate) fn cluster() -> ClusterName {
    ClusterName::new("sim").expect("a name")
}

/// A node's part in a group.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    group: GroupId,
    random: Random,
    /// Its disk.
    pub disk: SlowDisk,
    /// Its lanes.
    pub lanes: MemoryLanes,
    /// Its clock.
    pub clock: NodeClock,
    /// It crashes on the completion of so many further operations; hard, or not.
    doom: Option<(u64, bool)>,
    process: Option<Process>,
    processes: u32,
    /// What its last process knew to be durable.
    durable: LogIndex,
}

/// A running pipeline.
#[derive(Debug)]
struct Process {
    pipeline: Pipeline,
    /// When it wants a turn at the latest.
    wakes: Time,
    /// Until then its thread is busy.
    busy: Time,
    idle_turns: u32,
}

impl Node {
    /// A node with an empty disk that does not run.
    #[must_use]
    pub fn new(id: NodeId, group: GroupId, options: &Options) -> Self {
        let random = |what: &str| Random::new(options.seed, &format!("{what} of node {id}"));
        Self {
            id,
            group,
            random: random("turns"),
            disk: SlowDisk::new(random("disk"), options.disk),
            lanes: MemoryLanes::default(),
            clock: NodeClock::default(),
            doom: None,
            process: None,
            processes: 0,
            durable: LogIndex(0),
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its pipeline, if it runs.
    #[must_use]
    pub fn pipeline(&self) -> Option<&Pipeline> {
        self.process.as_ref().map(|process| &process.pipeline)
    }

    /// Whether it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Recovers from the disk, and runs.
    ///
    /// # Errors
    /// The pipeline does not start.
    pub fn start(
        &mut self,
        options: &Options,
        depth: Depth,
        now: Time,
    ) -> Result<Started, StartError> {
        assert!(!self.runs(), "only what does not run starts");
        self.processes += 1;
        let mut fresh = [0; 16];
        fresh
            .chunks_mut(8)
            .for_each(|half| half.copy_from_slice(&self.random.any().to_le_bytes()));
        let config = PipelineConfig {
            cluster: cluster(),
            node: self.id,
            group: self.group,
            nodes: self.configured(options),
            joins: self.id.0 > options.nodes,
            fresh_disk: DiskId(fresh),
            seed: self.random.any(),
            process: self.processes,
            log: options.log,
            heartbeat: 50_000_000,
            election_min: 150_000_000,
            election_max: 300_000_000,
            election_slack: options.election_slack,
            lease_reads: options.lease_reads,
            scrub_bytes: options.scrub,
            scrub_rest: 1_000_000_000,
            snapshots: options.snapshots,
            runs_max: options.runs_max,
            edition: options.edition_of(self.id, self.processes),
            priority: options.priority_of(self.id),
            buffers: options.buffers,
        };
        let (pipeline, started) =
            Pipeline::start(self.disk.disk_mut(), config, depth, self.clock.local(now))?;
        // Protocol-aware recovery: what was durable is there, or the node knows that it is not.
        assert!(
            started.formatted
                || started.damaged.is_some()
                || started.restarts.is_some()
                || started.last >= self.durable,
            "node {} has lost the records from {} to {}, and does not know it",
            self.id,
            started.last.next(),
            self.durable
        );
        // Whatever a crash leaves is known for that (`docs/log-format.md`, recovery).
        assert!(
            started.damaged.is_none() || self.disk.disk().is_damaged(),
            "node {} takes what a crash left for damage: {:?}",
            self.id,
            started.damaged
        );
        // What is missing may void records before it: those were not committed, and go when it is put back.
        self.durable = match started.damaged {
            Some(_) => self.durable.min(started.last),
            None => started.last,
        };
        self.lanes = MemoryLanes::default();
        self.process = Some(Process {
            pipeline,
            wakes: now,
            busy: now,
            idle_turns: 0,
        });
        Ok(started)
    }

    /// The nodes that form the group; of one that joins it, only itself.
    fn configured(&self, options: &Options) -> Vec<NodePlace> {
        let names = if self.id.0 > options.nodes {
            self.id.0..=self.id.0
        } else {
            1..=options.nodes
        };
        let place = |node| NodePlace {
            client: Address::new(&address(node)).expect("it is short"),
            ..NodePlace::nowhere(node)
        };
        names.map(NodeId).map(place).collect()
    }

    /// An empty disk takes the place of its own.
    pub fn wipe(&mut self, options: &Options) {
        let seed = self.random.any();
        self.disk = SlowDisk::new(Random::new(seed, "wiped disk"), options.disk);
    }

    /// The process dies.
    pub fn crash(&mut self) {
        let process = self.process.take().expect("only what runs crashes");
        self.durable = process.pipeline.durable().unwrap_or(self.durable);
        self.disk.crash();
        self.lanes = MemoryLanes::default();
        self.doom = None;
    }

    /// The process crashes as soon as so many further operations of its disk are done, before it hears of the last one.
    pub fn crash_on_completion(&mut self, nth: u64, hard: bool) {
        if self.runs() {
            self.doom = Some((self.disk.performed() + nth, hard));
        }
    }

    /// It is about to stop: it hands over what it leads.
    pub fn leave(&mut self) {
        if let Some(process) = &mut self.process {
            process.pipeline.leave();
            process.wakes = Time(0);
        }
    }

    /// It is to stop as soon as nothing is under way.
    pub fn end(&mut self) {
        if let Some(process) = &mut self.process {
            process.pipeline.end();
            process.wakes = Time(0);
        }
    }

    /// It will not crash on a completion.
    pub fn spare(&mut self) {
        self.doom = None;
    }

    /// Whether it must crash now, and how.
    #[must_use]
    pub fn is_doomed(&self) -> Option<bool> {
        let (at, hard) = self.doom?;
        (self.disk.performed() >= at).then_some(hard)
    }

    /// The process gets no turn before `until`.
    pub fn pause(&mut self, until: Time) {
        if let Some(process) = &mut self.process {
            process.busy = process.busy.max(until);
        }
    }

    /// The pipeline is over, and nothing went wrong: what the disk was told to do is done.
    pub fn close(&mut self) {
        let process = self.process.take().expect("only what runs is closed");
        self.durable = process.pipeline.durable().unwrap_or(self.durable);
        self.disk.finish();
        self.lanes = MemoryLanes::default();
    }

    /// When it does something next, by itself.
    #[must_use]
    pub fn next(&self, network: &Network, now: Time) -> Option<Time> {
        let process = self.process.as_ref()?;
        let wakes = if self.is_asked(network) {
            now
        } else {
            process.wakes
        };
        Some(wakes.max(process.busy))
    }

    fn is_asked(&self, network: &Network) -> bool {
        self.disk.has_done() || self.lanes.wakes() || network.has_events(self.id)
    }

    /// One turn, if one is due. What happened goes into `notes`; says why the node must stop, if it must.
    pub fn turn(
        &mut self,
        options: &Options,
        network: &mut Network,
        now: Time,
        notes: &mut Vec<Note>,
        trace: &Trace,
    ) -> Option<Turn> {
        if self.next(network, now).is_none_or(|next| next > now) {
            return None;
        }
        let asked = self.is_asked(network);
        self.lanes.turn_begins();
        let process = self.process.as_mut()?;
        let mut seam = MemorySeam {
            node: self.id,
            trace,
            clocks: self.clock.read(now),
            disk: &mut self.disk,
            port: network.port(self.id),
            lanes: &mut self.lanes,
        };
        let turn = process.pipeline.turn(&mut seam);
        process.pipeline.take_notes(notes);
        process.wakes = match &turn {
            Turn::Again => now,
            Turn::IdleUntil(at) => self.clock.world(*at),
            Turn::Reopen(_) | Turn::Stop(_) => Time(u64::MAX),
        };
        let spins = !asked && process.wakes <= now;
        process.idle_turns = if spins { process.idle_turns + 1 } else { 0 };
        assert!(
            process.idle_turns < IDLE_TURNS_MAX,
            "node {} spins: it has nothing to do, and wants a turn at {} at {now}",
            self.id,
            process.wakes
        );
        let away = if self.random.one_in(options.stall_one_in) {
            self.random.between(0, options.stall)
        } else {
            self.random.between(1000, options.turn.max(1000))
        };
        process.busy = now.after(away);
        Some(turn)
    }
}
