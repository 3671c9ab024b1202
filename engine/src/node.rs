//! A node: the parts put together, from the configuration to the last line of its log.
//!
//! Owns: the order of starting and stopping, signals. Never: touches an event. Called by: the command line.
//!
//! Starting goes from what can refuse to what cannot: host, data directory, addresses, recovery, threads. Stopping goes the
//! data's way: the door, the shards' answers in flight, the pipeline.

mod chrome;
mod error;
mod front;
mod notes;
mod signals;
mod turns;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_replication::log::{LogConfig, Restart};
use quorate_replication::pipeline::{
    Depth, NodePlace, Pipeline, PipelineConfig, SnapshotConfig, Started, Turn,
};
use quorate_wire::{DiskId, GroupId, NodeId};

pub use self::error::NodeError;
use self::front::Front;
use self::signals::{End, Signals};
use self::turns::{Traced, Tracer};
use crate::config::{Config, NodeConfig};
use crate::files::{DataDir, GroupFiles};
use crate::lane::lanes;
use crate::pin::{self, sides::Sides};
use crate::shard::Listener;
use crate::uring::{Driver, DriverOptions, Ended, Stopped, run as run_pipeline};
use crate::{clock, probe};

/// The one group of a node of this version.
const GROUP: GroupId = GroupId(0);

/// Files that a node has open besides its clients' connections, at most: segments, peers, rings, bells, the log's preparation.
const FILES_OF_A_NODE: usize = 128;

/// How long an address may stay in use before the node gives up, and how long it waits between two attempts.
const LISTEN_WITHIN: Duration = Duration::from_secs(2);
const LISTEN_AGAIN: Duration = Duration::from_millis(5);

/// How long a node that stops waits for another one to take its lead over.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// How long a node that stops waits for its own disk, in nanoseconds.
const SETTLE_TIME: u64 = 2_000_000_000;

/// How long the scrubber rests between two passes, in nanoseconds.
const SCRUB_REST: u64 = HOUR;

/// In nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

const MILLISECOND: u64 = 1_000_000;
const MIB: u64 = 1 << 20;

/// What a node says when it listens.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where clients find it.
    pub client: SocketAddr,
    /// Where peers find it.
    pub peer: SocketAddr,
}

/// Runs a node on this thread and those that it starts, until a signal says stop. `ready` is called once it listens. If there is a
/// file for `turns`, what each of the pipeline's last turns did goes there, when the node ends and at each SIGUSR1.
///
/// # Errors
/// It cannot start here, or had to stop: the error says why, with a code, a cure and the exit status.
pub fn run(
    config: &Config,
    turns: Option<&Path>,
    ready: impl FnOnce(&Ready),
) -> Result<(), NodeError> {
    let signals =
        Signals::listen().map_err(|error| NodeError::host("listening for signals", &error))?;
    tracing::info!(cluster = %config.cluster, node = config.node.0, version = env!("CARGO_PKG_VERSION"), "starts");
    let data = DataDir::open(&config.data)?;
    let room = config.log.segment_mib * MIB;
    let report = probe::probe(data.path(), room)?;
    tracing::info!(%report, "host");
    let files_needed = config.limits.connections + FILES_OF_A_NODE;
    if usize::try_from(report.nofile).is_ok_and(|nofile| nofile < files_needed) {
        tracing::warn!(
            open_files = report.nofile,
            connections = config.limits.connections,
            "not all connections will have a file descriptor: raise it (ulimit -n, LimitNOFILE=) or lower limits.connections"
        );
    }
    let this = config.this();
    let client = listen(&this.client, || Listener::bind(&this.client))?;
    let peer = listen(&this.peer, || TcpListener::bind(&this.peer))?;
    let place = |of: io::Result<SocketAddr>| {
        of.map_err(|error| NodeError::host("asking for an address", &error))
    };
    let listening = Ready {
        client: place(client.address())?,
        peer: place(peer.local_addr())?,
    };
    let (pipeline, files) = recover(config, &data, Depth::BehindSnapshot)?;
    let placement = pin::place_here(config, files.directory())?;
    tracing::info!(%placement, "threads");
    if config.shards.spin_us > 0 && placement.shard(0).is_none() {
        tracing::warn!("shards.spin_us has no effect: the shards have no cores of their own (pin)");
    }

    let (pipeline_lanes, shard_lanes) = lanes(config.shards.count, config.limits.shard_requests)
        .map_err(|error| NodeError::host("making the lanes", &error))?;
    let driver = Driver::new(DriverOptions {
        directory: files.directory().to_owned(),
        listener: Some(peer),
        peers: peers(config)?,
        lanes: pipeline_lanes,
        spin: Duration::from_micros(config.pipeline.spin_us),
        buffers: config.log.memory_mib,
    })
    .map_err(|error| NodeError::host("making a ring", &error))?;
    // A shard may be refused by the host; a group that has begun to run has told its peers. What clients ask before the
    // pipeline runs waits in the lanes.
    let front = Front::open(config, client, shard_lanes, &placement)?;
    let trace = |file: &Path| {
        let started = Tracer::start(file.to_owned(), config.node, Arc::clone(driver.wake()));
        started.map_err(|error| NodeError::trace(file, &error))
    };
    let (tracer, traced) = turns.map(trace).transpose()?.unzip();
    let pipeline = PipelineThread::start(
        (pipeline, files),
        driver,
        placement.pipeline(),
        placement
            .sides()
            .map(|sides| Sides::new(sides, front.threads())),
        &signals,
        traced,
        {
            let config = config.clone();
            move |depth| recover(&config, &data, depth)
        },
    )?;
    tracing::info!(client = %listening.client, peer = %listening.peer, "listens");
    ready(&listening);

    signals.wait();
    if !pipeline.has_ended() {
        tracing::info!("stops: hands over what it leads, and answers what is in flight");
        pipeline.leave(&signals);
    }
    front.close();
    let stopped = pipeline.stop();
    if let Some(tracer) = tracer {
        tracer.finish();
    }
    stopped?;
    tracing::info!("stopped");
    Ok(())
}

/// Listens, or says what to do about it. The kernel takes a dead process's ring apart behind its back, and that ring holds the
/// peers' listener: whoever starts a node anew right after its death finds the port in use, for some milliseconds.
fn listen<T>(address: &str, bind: impl Fn() -> io::Result<T>) -> Result<T, NodeError> {
    let deadline = Instant::now() + LISTEN_WITHIN;
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(LISTEN_AGAIN);
            }
            bound => return bound.map_err(|error| NodeError::address(address, &error)),
        }
    }
}

/// Recovers the group from its files.
fn recover(
    config: &Config,
    data: &DataDir,
    depth: Depth,
) -> Result<(Pipeline, GroupFiles), NodeError> {
    let begun = Instant::now();
    let mut files = data.create_group(GROUP)?;
    let started = Pipeline::start(&mut files, pipeline_config(config)?, depth, clock::now());
    let (pipeline, started) = started.map_err(|error| NodeError::start(data.path(), &error))?;
    let Started {
        formatted,
        last,
        bytes,
        passed,
        ready_unread,
        cut,
        damaged,
        holes,
        snapshot,
        unsound,
        restarts,
    } = started;
    let took = begun.elapsed();
    tracing::info!(
        formatted,
        last_index = last.0,
        snapshot_index = snapshot.0,
        bytes,
        segments_passed_over = passed,
        segments_ready_unread = ready_unread,
        ?took,
        "recovered the log"
    );
    for (id, why) in unsound {
        tracing::warn!(index = id.0, %why, "a snapshot is damaged: goes without it; look at the disk (dmesg, smartctl)");
    }
    match restarts {
        Some(Restart::Installed) => {
            tracing::info!("begins anew behind the snapshot of another node")
        }
        Some(Restart::Damaged) => {
            tracing::warn!("the end of the log was damaged: begins anew behind the snapshot")
        }
        Some(Restart::StateLost) => tracing::warn!(
            "no sound snapshot has what the log begins with: begins from nothing, and does not vote until it has caught up"
        ),
        None => {}
    }
    if let Some(cut) = cut {
        tracing::warn!(
            ?cut,
            "cut a torn tail: the last write was not finished, and so never acknowledged"
        );
    }
    match damaged {
        Some(damaged) if holes > 0 => tracing::warn!(
            ?damaged,
            holes,
            "the log is damaged: takes no part until the other nodes have given what is missing; look at the disk (dmesg, smartctl)"
        ),
        Some(damaged) => tracing::warn!(
            ?damaged,
            "the end of the log was damaged and is given up: does not vote until it has caught up; look at the disk (dmesg, \
             smartctl)"
        ),
        None => {}
    }
    Ok((pipeline, files))
}

fn pipeline_config(config: &Config) -> Result<PipelineConfig, NodeError> {
    let random = |error: getrandom::Error| {
        NodeError::host("drawing random numbers", &io::Error::from(error))
    };
    let mut disk = [0; 16];
    getrandom::fill(&mut disk).map_err(random)?;
    Ok(PipelineConfig {
        cluster: config.cluster,
        node: config.node,
        group: GROUP,
        nodes: places(config)?,
        joins: config.join,
        fresh_disk: DiskId(disk),
        seed: getrandom::u64().map_err(random)?,
        process: std::process::id(),
        log: LogConfig {
            segment_bytes: config.log.segment_mib * MIB,
            segments_ahead: config.log.segments_ahead,
            segments_stock: config.log.segments_stock,
            stock_bytes: config.log.stock_mib_per_second * MIB,
        },
        heartbeat: config.raft.heartbeat_ms * MILLISECOND,
        election_min: config.raft.election_min_ms * MILLISECOND,
        election_max: config.raft.election_max_ms * MILLISECOND,
        election_slack: config.raft.election_slack_ms * MILLISECOND,
        lease_reads: config.raft.lease_reads,
        scrub_bytes: config.log.scrub_mib_per_second * MIB,
        scrub_rest: SCRUB_REST,
        snapshots: snapshots(config),
        runs_max: quorate_wire::limits::RUNS_MAX,
        edition: quorate_wire::Edition::BUILD,
        priority: config.raft.priority,
        buffers: config.log.memory_mib,
    })
}

/// When snapshots are taken, and what goes then.
fn snapshots(config: &Config) -> SnapshotConfig {
    let or_never = |bound: u64| if bound == 0 { u64::MAX } else { bound };
    SnapshotConfig {
        bytes: config.snapshot.log_mib * MIB,
        records: config.snapshot.records,
        send_bytes: config.snapshot.send_mib_per_second * MIB,
        retain_bytes: or_never(config.log.retain_bytes),
        retain_time: or_never(config.log.retain_hours).saturating_mul(HOUR),
    }
}

/// Where the peers are.
fn peers(config: &Config) -> Result<Vec<(NodeId, SocketAddr)>, NodeError> {
    let others = config.nodes.iter().filter(|node| node.id != config.node);
    others
        .map(|node| Ok((node.id, peer_address(node)?)))
        .collect()
}

fn peer_address(node: &NodeConfig) -> Result<SocketAddr, NodeError> {
    let found = node.peer.to_socket_addrs().ok();
    let address = found.and_then(|mut found| found.next());
    address.ok_or_else(|| NodeError::unknown_host(&node.peer))
}

/// Where all configured nodes are, as the log is to tell.
fn places(config: &Config) -> Result<Vec<NodePlace>, NodeError> {
    let place = |node: &NodeConfig| {
        let place = NodePlace::new(node.id, peer_address(node)?, &node.client);
        Ok(place.expect("the configuration bounds addresses"))
    };
    config.nodes.iter().map(place).collect()
}

/// Runs a pipeline until it is over, or until a node that was asked to stop has settled.
fn run_until_over(
    pipeline: &mut Pipeline,
    driver: Driver,
    wishes: &Wishes,
    left: &End,
    traced: Option<&Traced>,
    mut sides: Option<&mut Sides>,
) -> Result<Ended, Stopped> {
    let mut noted = Vec::new();
    let mut told = false;
    let mut give_up = None;
    let over = AtomicBool::new(false);
    run_pipeline(driver, &over, |driver| {
        if wishes.leave.load(Ordering::Acquire) {
            pipeline.leave();
        }
        let stops = wishes.stop.load(Ordering::Acquire);
        if stops {
            pipeline.end();
        }
        let turn = pipeline.turn(driver);
        if let Some(sides) = &mut sides {
            sides.take(pipeline.leads());
        }
        if pipeline.has_left() && !core::mem::replace(&mut told, true) {
            left.ring();
        }
        pipeline.take_notes(&mut noted);
        noted.drain(..).for_each(|note| notes::tell(&note));
        if let Some(traced) = traced {
            traced.look(pipeline);
        }
        if !stops {
            return turn;
        }
        // What was taken in also reaches this node's own disk, unless that takes too long.
        let now = clock::now();
        let give_up = *give_up.get_or_insert(now.after(SETTLE_TIME));
        if pipeline.has_ended() || now >= give_up {
            over.store(true, Ordering::Release);
            return match turn {
                Turn::Again | Turn::IdleUntil(_) | Turn::Reopen(_) => Turn::Again,
                Turn::Stop(fatal) => Turn::Stop(fatal),
            };
        }
        turn
    })
}

/// What the main thread wants of the pipeline's.
#[derive(Debug, Default)]
struct Wishes {
    /// Hand the lead over.
    leave: AtomicBool,
    /// Stop.
    stop: AtomicBool,
}

/// The thread of the pipeline.
#[derive(Debug)]
struct PipelineThread {
    thread: JoinHandle<Result<(), NodeError>>,
    wishes: Arc<Wishes>,
    wake: Arc<crate::lane::Wake>,
}

impl PipelineThread {
    /// Runs a pipeline, and each one that `again` recovers when the one before it says so.
    fn start(
        mut opened: (Pipeline, GroupFiles),
        mut driver: Driver,
        core: Option<usize>,
        mut sides: Option<Sides>,
        signals: &Signals,
        traced: Option<Traced>,
        again: impl Fn(Depth) -> Result<(Pipeline, GroupFiles), NodeError> + Send + 'static,
    ) -> Result<Self, NodeError> {
        let wishes = Arc::new(Wishes::default());
        let wake = Arc::clone(driver.wake());
        let end = signals.end();
        let asked = Arc::clone(&wishes);
        let left = signals.end();
        let run = move || {
            let mut trace = None;
            loop {
                let pipeline = &mut opened.0;
                if traced.is_some() {
                    Traced::begin(pipeline, trace);
                }
                let ended = run_until_over(
                    pipeline,
                    driver,
                    &asked,
                    &left,
                    traced.as_ref(),
                    sides.as_mut(),
                );
                trace = pipeline.trace(None);
                let Ok(Ended::Reopen(reset, why)) = ended else {
                    if let Some((traced, trace)) = traced.zip(trace) {
                        traced.hand_over(trace);
                    }
                    return Ok(ended.map(drop)?);
                };
                tracing::warn!(%why, "recovers the log again");
                driver = *reset;
                driver.reset().map_err(Stopped::Ring)?;
                // A state may be large: the old one goes before there is a new one.
                drop(opened);
                opened = again(why.depth())?;
            }
        };
        let body = move || {
            if let Some(core) = core
                && !pin::apply(core)
            {
                tracing::warn!(core, "the pipeline cannot be pinned to its core");
            }
            let ended = run();
            // The main thread waits for a signal: a pipeline that stopped by itself is one.
            end.ring();
            ended
        };
        let thread = thread::Builder::new()
            .name("pipeline-0".to_owned())
            .spawn(body);
        let thread =
            thread.map_err(|error| NodeError::host("starting the pipeline's thread", &error))?;
        Ok(Self {
            thread,
            wishes,
            wake,
        })
    }

    fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Has the pipeline hand its lead over, and waits for that, or until it has taken too long.
    fn leave(&self, signals: &Signals) {
        self.wishes.leave.store(true, Ordering::Release);
        self.wake.ring();
        signals.wait_at_most(LEAVE_TIME);
    }

    fn stop(self) -> Result<(), NodeError> {
        self.wishes.stop.store(true, Ordering::Release);
        self.wake.ring();
        self.thread.join().expect("a panic ends the process")
    }
}
