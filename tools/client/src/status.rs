//! One question to one node.

use std::fmt;
use std::time::Duration;

use quorate_wire::{ClusterName, LogIndex, NodeId, Offset, Term};

use crate::ClientError;

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
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
    /// Its process id.
    pub process: u32,
    /// Peers that it is connected with.
    pub peers_up: u8,
    /// The nodes of the cluster with their client addresses, as it lists them.
    pub nodes: Vec<(NodeId, String)>,
}

/// Asks the node at `address` how it is.
///
/// # Errors
/// It does not answer within `timeout`, refuses, or does not speak the protocol.
pub fn status(_address: &str, _timeout: Duration) -> Result<Status, ClientError> {
    todo!()
}
