//! What a pipeline is told at its start.

use alloc::vec::Vec;
use core::net::SocketAddr;

use quorate_wire::{Address, ClusterName, DiskId, Edition, GroupId, NodeId};

use crate::log::LogConfig;

/// What a pipeline is told at its start.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The cluster.
    pub cluster: ClusterName,
    /// This node.
    pub node: NodeId,
    /// The group that the pipeline owns.
    pub group: GroupId,
    /// All nodes of the cluster that are to form the group, this one among them, by rising id; of a node that joins one, perhaps only
    /// itself.
    pub nodes: Vec<NodePlace>,
    /// This node forms no group: it waits to be added to one.
    pub joins: bool,
    /// Identity for the data directory, should it have to be formatted: drawn at random by the caller.
    pub fresh_disk: DiskId,
    /// Seeds the election timeouts.
    pub seed: u64,
    /// This process, for the status.
    pub process: u32,
    /// The log's files.
    pub log: LogConfig,
    /// Raft's times, in nanoseconds: see [`quorate_raft::Config`].
    pub heartbeat: u64,
    /// See `heartbeat`.
    pub election_min: u64,
    /// See `heartbeat`.
    pub election_max: u64,
    /// See `heartbeat`.
    pub election_slack: u64,
    /// Whether this node gives leases, and takes them: see [`quorate_raft::Config`].
    pub lease_reads: bool,
    /// How many bytes of log the scrubber reads in a second; zero: none.
    pub scrub_bytes: u64,
    /// How long it rests between two passes, in nanoseconds.
    pub scrub_rest: u64,
    /// When snapshots are taken, and what of the log goes then.
    pub snapshots: SnapshotConfig,
    /// Most runs of producers that the state keeps: [`quorate_wire::limits::RUNS_MAX`], the same on all nodes for ever, but in
    /// simulated worlds.
    pub runs_max: usize,
    /// The latest edition that this node has: [`Edition::BUILD`], but in simulated worlds.
    pub edition: Edition,
    /// A leader hands over to a voter of higher priority.
    pub priority: u8,
    /// Memory for the end of the log, in buffers of 1 MiB: 4 and up.
    pub buffers: usize,
}

/// A node, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePlace {
    /// The node.
    pub node: NodeId,
    /// Where peers find it: an IP address and a port.
    pub peer: Address,
    /// Where clients find it, `host:port`.
    pub client: Address,
}

impl NodePlace {
    /// A node of which nobody knows where it is.
    #[must_use]
    pub fn nowhere(node: NodeId) -> Self {
        let address = Address::new("0.0.0.0:0").expect("it is short");
        Self {
            node,
            peer: address,
            client: address,
        }
    }

    /// A node at these addresses; `None` if one is too long.
    #[must_use]
    pub fn new(node: NodeId, peer: SocketAddr, client: &str) -> Option<Self> {
        Some(Self {
            node,
            peer: Address::new(&alloc::format!("{peer}"))?,
            client: Address::new(client)?,
        })
    }
}

/// When snapshots are taken, and what of the log goes when two have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// One is taken after so many bytes of log,
    pub bytes: u64,
    /// or after so many records.
    pub records: u64,
    /// So many bytes a second are sent to peers.
    pub send_bytes: u64,
    /// The log's oldest segments go while so many bytes are left; the greatest number: never for their size.
    pub retain_bytes: u64,
    /// They go when they are so old, in nanoseconds; the greatest number: never for their age.
    pub retain_time: u64,
}

impl SnapshotConfig {
    /// None is ever taken, and nothing goes.
    pub const NEVER: Self = Self {
        bytes: u64::MAX,
        records: u64::MAX,
        send_bytes: u64::MAX,
        retain_bytes: u64::MAX,
        retain_time: u64::MAX,
    };
}

/// How long a leader leads before it looks for one of higher priority, and how often it looks, in nanoseconds.
pub(super) const PREFER_AFTER: u64 = 2_000_000_000;

/// How long after it has tried to hand over to one, in nanoseconds.
pub(super) const PREFER_AGAIN: u64 = 10_000_000_000;

/// So many records a voter may lack to be handed the lead for its priority.
pub(super) const PREFER_RECORDS: u64 = 64;

/// Entries of the state that one turn copies into a snapshot.
pub(super) const SNAPSHOT_ENTRIES_TURN: usize = 128;

/// How often a peer that needs a snapshot is told of one, in nanoseconds.
pub(super) const SNAPSHOT_OFFER_EVERY: u64 = 250_000_000;

/// How long a part of a snapshot may take before it is asked for again, in nanoseconds.
pub(super) const SNAPSHOT_ANSWER_TIME: u64 = 2_000_000_000;

/// How long a snapshot stays that nobody has asked for any more, in nanoseconds.
pub(super) const SNAPSHOT_LEND_TIME: u64 = 10_000_000_000;

/// How long an open group waits for a busy disk before it is sealed and sent all the same, in nanoseconds.
pub(super) const BATCH_WAIT: u64 = 1_000_000;

/// Deadlines of producers who wait for the last voters' disks are rounded up to a multiple of it, in nanoseconds.
pub(super) const ALL_GRAIN: u64 = 5_000_000;

/// Requests that one turn takes from the lanes, so that peers and disk get their turn too.
pub(super) const INTAKE_MAX: u64 = 4096;

/// When to try again while the table of event ids is full, in milliseconds: the oldest ones are forgotten all the time.
pub(super) const IDS_FULL_MS: u32 = 1000;

/// Records that may be in the log and not committed; beyond that, intake waits for the quorum.
pub(super) const PENDING_RECORDS_MAX: usize = 65_536;

/// Bytes of records in one append to a peer.
pub(super) const APPEND_BYTES_MAX: u32 = 512 << 10;

/// Bytes of records in flight to one peer.
pub(super) const WINDOW_BYTES: u64 = 8 << 20;

/// Appends in flight to one peer.
pub(super) const WINDOW_APPENDS: usize = 64;

/// Parts of one append: runs of records that lie apart in memory.
pub(super) const APPEND_PARTS_MAX: usize = 28;

/// Bytes of records after which a send takes no further append. A peer that is slow to take them holds the memory that they
/// lie in.
pub(super) const SEND_BYTES_FULL: usize = 1 << 20;

/// How long a send may take, in nanoseconds. A peer that takes nothing for so long is not there, whatever its host says.
pub(super) const SEND_TIME: u64 = 10_000_000_000;

/// How long a peer that did not listen is left alone the first time, in nanoseconds: twice as long each further time.
pub(super) const DIAL_AGAIN_FIRST: u64 = 20_000_000;

/// How long an unanswered dial or an unready peer is left alone, in nanoseconds.
pub(super) const DIAL_AGAIN: u64 = 50_000_000;

/// How long a peer that was refused is left alone, in nanoseconds.
pub(super) const REFUSED_AGAIN: u64 = 2_000_000_000;

/// How long a node that is no member any more says who leads, after it was told, in nanoseconds: its clients have gone by then.
pub(super) const TOLD_TIME: u64 = 500_000_000;

/// How often a node that is no member any more looks whether it is one again, in nanoseconds.
pub(super) const CAST_OUT_AGAIN: u64 = 30_000_000_000;

/// How long a node that is to be added may take to show its disk, in nanoseconds.
pub(super) const CONTACT_TIME: u64 = 3_000_000_000;

/// So many records a learner may lack and be promoted.
pub(super) const PROMOTE_RECORDS: u64 = 1024;

/// How often a node of a greater id is dialled, which should dial itself, and may have nobody to dial, in nanoseconds.
pub(super) const DIAL_GREATER_AGAIN: u64 = 500_000_000;

/// How long a connection may take to greet, in nanoseconds.
pub(super) const GREETING_TIME: u64 = 2_000_000_000;

/// How long a peer may take to answer a request for missing records, in nanoseconds.
pub(super) const REPAIR_ANSWER_TIME: u64 = 1_000_000_000;

/// How long a node that found its missing records nowhere waits before it asks again, in nanoseconds.
pub(super) const REPAIR_AGAIN: u64 = 500_000_000;

/// How often a node says that records are missing, in nanoseconds.
pub(super) const REPAIR_SAYS: u64 = 5_000_000_000;

/// Accepted connections that have not greeted yet.
pub(super) const STRANGERS_MAX: usize = 16;

/// Reads from the disk that are open at a time for consumers.
pub(super) const READS_MAX: usize = 8;

/// How long a linearizable read may wait for its index, and for the record that it names, in nanoseconds: longer than it takes a
/// leader to notice that it leads no more.
pub(super) const FRESH_TIME: u64 = 2_000_000_000;

/// Reads ahead for consumers, and results of such reads, at a time: so many full answers of memory they take.
pub(super) const AHEAD_MAX: usize = 4;

/// Fetches that wait for a record or for a read.
pub(super) const FETCHES_WAITING_MAX: usize = 8192;
