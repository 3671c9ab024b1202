//! What a cursor is told once.

use std::time::Duration;

use quorate_wire::ClusterName;
use quorate_wire::client::{Consistency, ReadFrom};

use crate::Filter;

/// What a cursor is told once. The fields are those of [`ConsumerOptions`](crate::ConsumerOptions), with the choices made.
#[derive(Clone, Debug)]
pub struct CursorConfig {
    /// Addresses of nodes; at least one.
    pub nodes: Vec<String>,
    /// The cluster that is meant, or whichever answers first.
    pub cluster: Option<ClusterName>,
    /// Where to begin.
    pub from: ReadFrom,
    /// Which events are wanted.
    pub filter: Filter,
    /// Whether nodes push records as they are committed, by a subscription, instead of being asked for each batch.
    pub push: bool,
    /// How fresh what is read must be.
    pub consistency: Consistency,
    /// Most bytes of records in one batch; at least one record comes if there is one.
    pub bytes_max: u32,
    /// Whether chunks and events are checked, besides the records' checksums.
    pub check_chunks: bool,
    /// Learn no further addresses.
    pub stick: bool,
    /// How long one attempt to connect, greeting included, may take.
    pub connect_timeout: Duration,
    /// How long an answer may take, beyond the wait that was asked for.
    pub request_timeout: Duration,
    /// How long a call goes on trying other nodes.
    pub patience: Duration,
    /// Chance, for the length of pauses.
    pub seed: u64,
}
