//! What a session is told once.

use std::time::Duration;

use quorate_wire::client::AckLevel;
use quorate_wire::{ClusterName, Epoch, ProducerId, Sequence};

/// What a session is told once. The fields are those of [`ProducerOptions`](crate::ProducerOptions), with the choices made.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Addresses of nodes; at least one.
    pub nodes: Vec<String>,
    /// The cluster that is meant, or whichever answers first.
    pub cluster: Option<ClusterName>,
    /// The producer's id; none: each event has an id of its own, which its chunk says in front of the events.
    pub producer: ProducerId,
    /// The producer's incarnation.
    pub epoch: Epoch,
    /// The first chunk's sequence.
    pub first: Sequence,
    /// What an acknowledgement is to promise.
    pub acks: AckLevel,
    /// Who is shed first when a node has much to do: lower goes first.
    pub priority: u8,
    /// For [`AckLevel::All`]: how long a node waits for the last disks.
    pub all_timeout: Duration,
    /// One in so many chunks is told how long its stages took; zero: none.
    pub trace_one_in: u64,
    /// Most chunks that are not yet acknowledged.
    pub window_requests: usize,
    /// Most bytes of chunks that are not yet acknowledged; one chunk always fits.
    pub window_bytes: usize,
    /// How long one attempt to connect, greeting included, may take.
    pub connect_timeout: Duration,
    /// How long requests may stay without any answer.
    pub request_timeout: Duration,
    /// How old a chunk may get without an acknowledgement, or for ever.
    pub give_up: Option<Duration>,
    /// Most acknowledgements kept; beyond it the oldest are dropped and counted.
    pub acks_max: usize,
    /// Chance, for the length of pauses.
    pub seed: u64,
}
