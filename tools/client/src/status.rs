//! One question to one node.

use std::fmt;
use std::time::Duration;

use quorate_wire::client::StatusReply;
use quorate_wire::{
    ClusterName, Edition, Frame, FrameError, FrameKind, LogIndex, NodeId, Offset, Term,
};
use zerocopy::FromBytes;

use crate::ClientError;
use crate::conversation::ask_once;
use crate::greeting::node_id;

/// What a node is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It has not yet met the nodes of its cluster.
    Forming,
    /// It follows.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It leads.
    Leader,
    /// Its log is damaged, and it fetches what is missing from its peers.
    Repairing,
}

impl Role {
    /// Its word, as in messages and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forming => "forming",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Repairing => "repairing",
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Forming),
            1 => Some(Self::Follower),
            2 => Some(Self::Candidate),
            3 => Some(Self::Leader),
            4 => Some(Self::Repairing),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a node has written to its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// How often.
    pub writes: u64,
    /// Records.
    pub records: u64,
    /// Bytes, with what fills the last block of each write.
    pub bytes: u64,
}

impl Written {
    /// What was written since an earlier moment; nothing is known if the node has begun anew in between.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Option<Self> {
        match (
            self.writes.checked_sub(earlier.writes),
            self.records.checked_sub(earlier.records),
            self.bytes.checked_sub(earlier.bytes),
        ) {
            (Some(writes), Some(records), Some(bytes)) => Some(Self {
                writes,
                records,
                bytes,
            }),
            _ => None,
        }
    }
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The address that was asked.
    pub address: String,
    /// The cluster.
    pub cluster: ClusterName,
    /// The node.
    pub node: NodeId,
    /// What it is to its group.
    pub role: Role,
    /// Whether it answers produce requests.
    pub serves: bool,
    /// The leader that it knows.
    pub leader: Option<NodeId>,
    /// Its term.
    pub term: Term,
    /// Its last record.
    pub last_index: LogIndex,
    /// Its last durable record.
    pub durable_index: LogIndex,
    /// The last committed record that it knows.
    pub commit_index: LogIndex,
    /// Offset after the last committed event.
    pub committed: Offset,
    /// Digest of the state at `commit_index`.
    pub digest: u64,
    /// Bytes of log on its disk.
    pub log_bytes: u64,
    /// Producers that the group knows.
    pub producers: u64,
    /// The record before its log begins; zero if nothing has been released.
    pub start_index: LogIndex,
    /// The first offset that its log has.
    pub start_offset: Offset,
    /// Bytes of segments that lie ready on its disk.
    pub ready_bytes: u64,
    /// The last record that its newest snapshot covers; zero if it has none.
    pub snapshot_index: LogIndex,
    /// Bytes of that.
    pub snapshot_bytes: u64,
    /// What it has written to its log since it began to run.
    pub written: Written,
    /// For how long at most 99 of 100 of a leader's records waited for their commit just now, from when they came to its pipeline; not
    /// without a load.
    pub commit_p99: Option<Duration>,
    /// Bytes a second by which a leader catches its peers up at most, so that its load does not suffer; without a load there is no
    /// bound.
    pub catch_up_bytes: Option<u64>,
    /// Its process id.
    pub process: u32,
    /// Peers that it is connected with.
    pub peers_up: u8,
    /// The edition that the group uses, as far as this node knows.
    pub edition: Edition,
    /// The latest edition that the node's build has.
    pub build: Edition,
    /// Its priority as a leader: the lead goes to the highest one that can.
    pub priority: u8,
    /// The nodes of the cluster with their client addresses, as it lists them.
    pub nodes: Vec<(NodeId, String)>,
}

/// Asks the node at `address` how it is.
///
/// # Errors
/// It does not answer within `timeout`, refuses, or does not speak the protocol.
pub fn status(address: &str, timeout: Duration) -> Result<Status, ClientError> {
    let question = (FrameKind::Status, ());
    ask_once(
        address,
        &question,
        FrameKind::StatusReply,
        timeout,
        |frame, welcome| parse(address, frame, welcome.nodes),
    )
}

fn parse(
    address: &str,
    frame: &Frame<'_>,
    nodes: Vec<(NodeId, String)>,
) -> Result<Status, FrameError> {
    let invalid = |what| FrameError::Invalid { what };
    let some = |number: u64| (number > 0).then_some(number);
    let reply =
        StatusReply::ref_from_bytes(frame.message).map_err(|_| invalid("the status is cut"))?;
    Ok(Status {
        address: address.to_owned(),
        cluster: ClusterName::from_bytes(reply.cluster)
            .ok_or(invalid("the cluster has no name"))?,
        node: node_id(reply.node.get()).ok_or(invalid("the node has no id"))?,
        role: Role::from_byte(reply.role).ok_or(invalid("the node has no known role"))?,
        serves: reply.serves != 0,
        leader: node_id(reply.leader.get()),
        term: Term(reply.term.get()),
        last_index: LogIndex(reply.last_index.get()),
        durable_index: LogIndex(reply.durable_index.get()),
        commit_index: LogIndex(reply.commit_index.get()),
        committed: Offset(reply.committed.get()),
        digest: reply.digest.get(),
        log_bytes: reply.log_bytes.get(),
        producers: reply.producers.get(),
        start_index: LogIndex(reply.start_index.get()),
        start_offset: Offset(reply.start_offset.get()),
        ready_bytes: reply.ready_bytes.get(),
        snapshot_index: LogIndex(reply.snapshot_index.get()),
        snapshot_bytes: reply.snapshot_bytes.get(),
        written: Written {
            writes: reply.writes.get(),
            records: reply.written_records.get(),
            bytes: reply.written_bytes.get(),
        },
        commit_p99: some(reply.commit_p99.get()).map(Duration::from_nanos),
        catch_up_bytes: some(reply.catch_up_bytes.get()),
        process: reply.process.get(),
        peers_up: reply.peers_up,
        edition: Edition(reply.edition),
        build: Edition(reply.build),
        priority: reply.priority,
        nodes,
    })
}
