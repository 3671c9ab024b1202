//! What a producer has done, and what it still holds.

use quorate_wire::{NodeId, Sequence};

use crate::ClientError;
use crate::packer::Packer;
use crate::session::Session;

/// What a producer has done, and what it still holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The node that the producer is connected with.
    pub node: Option<NodeId>,
    /// Connections after the first one, those aside that only said who leads.
    pub reconnects: u64,
    /// Chunks sent again.
    pub resends: u64,
    /// Refusals that were retried.
    pub refusals: u64,
    /// Chunks acknowledged.
    pub acked_chunks: u64,
    /// Events acknowledged.
    pub acked_events: u64,
    /// Every event with a sequence before this one is acknowledged.
    pub acked_before: Sequence,
    /// Acknowledgements that were dropped because nobody took them.
    pub dropped_acks: u64,
    /// Chunks sealed and not yet acknowledged.
    pub pending_chunks: usize,
    /// Their bytes.
    pub pending_bytes: usize,
    /// Requests on the present connection that have no answer.
    pub in_flight: usize,
}

impl Stats {
    pub(crate) fn of(session: &Session) -> Self {
        let counters = session.counters();
        Self {
            node: session.node(),
            reconnects: counters.connections.saturating_sub(1),
            resends: counters.resends,
            refusals: counters.refusals,
            acked_chunks: counters.acked_chunks,
            acked_events: counters.acked_events,
            acked_before: session.acked_before(),
            dropped_acks: counters.dropped_acks,
            pending_chunks: session.pending_chunks(),
            pending_bytes: session.pending_bytes(),
            in_flight: session.in_flight(),
        }
    }
}

/// A producer was closed before all was acknowledged.
///
/// Every event before [`Stats::acked_before`] is in the log. Those behind it may or may not be.
#[derive(Debug, thiserror::Error)]
#[error("closed with {events} events not known to be in the log: {error}")]
pub struct CloseError {
    /// What the producer did.
    pub stats: Stats,
    /// Events that were sent and not acknowledged.
    pub events: u64,
    /// Why it did not wait any longer.
    #[source]
    pub error: Box<ClientError>,
}

impl CloseError {
    pub(crate) fn new(session: &Session, packer: &Packer, error: ClientError) -> Self {
        let stats = Stats::of(session);
        let open = packer.open().map_or(0, |open| u64::from(open.events));
        Self {
            stats,
            events: session.next_sequence().0 - stats.acked_before.0 + open,
            error: Box::new(error),
        }
    }
}
