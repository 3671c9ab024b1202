//! A node's lanes, as its pipeline sees them: one shard, whose requests and answers the world moves.

use std::collections::{BTreeSet, VecDeque};

use quorate_replication::lane::{Reply, Request, ShardId, Ticket};
use quorate_replication::seam::Lanes;

/// Both lanes between a pipeline and its shard.
#[derive(Debug, Default)]
pub struct MemoryLanes {
    requests: VecDeque<Request>,
    replies: Vec<Reply>,
    open: BTreeSet<(u64, u64)>,
}

impl MemoryLanes {
    /// Most requests that are open at a time: more than the pipeline takes in one turn.
    pub const OPEN_MAX: usize = 8192;

    /// Puts a request into the lane; gives it back if the lane is full.
    ///
    /// # Errors
    /// The lane is full.
    pub fn ask(&mut self, request: Request) -> Result<(), Request> {
        if self.open.len() >= Self::OPEN_MAX {
            return Err(request);
        }
        let new = self.open.insert(key(request.ticket));
        assert!(new, "a ticket is for one request");
        self.requests.push_back(request);
        Ok(())
    }

    /// Whether a request waits.
    #[must_use]
    pub fn has_request(&self) -> bool {
        !self.requests.is_empty()
    }

    /// How many requests have no answer yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes the answers.
    pub fn take_replies(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.replies)
    }
}

impl Lanes for MemoryLanes {
    fn take(&mut self) -> Option<(ShardId, Request)> {
        self.requests
            .pop_front()
            .map(|request| (ShardId(0), request))
    }

    fn put(&mut self, shard: ShardId, reply: Reply) {
        assert_eq!(
            shard,
            ShardId(0),
            "an answer goes where the request came from"
        );
        let asked = self.open.remove(&key(reply.ticket));
        assert!(asked, "a request is answered once: {:?}", reply.ticket);
        self.replies.push(reply);
    }
}

fn key(ticket: Ticket) -> (u64, u64) {
    (ticket.connection, ticket.correlation)
}
