//! A node's lanes: the pipeline's ends, and the shards'.

use std::collections::{BTreeSet, VecDeque};

use quorate_replication::lane::{Chunks, Reply, Request, ShardId, Ticket};
use quorate_replication::seam::Lanes;

/// Both lanes between a pipeline and one shard.
#[derive(Debug, Default)]
struct Lane {
    requests: VecDeque<Request>,
    open: BTreeSet<(u64, u64, u32)>,
    replies: VecDeque<Reply>,
    /// Requests that `replies` answer: a reply answers all of a run, or a part.
    answered: usize,
}

/// All lanes of a pipeline.
#[derive(Debug)]
pub struct MemoryLanes {
    lanes: Vec<Lane>,
    /// Requests that a shard may have open, until it takes the reply.
    capacity: usize,
    /// The shard whose turn it is.
    next: usize,
    /// The pipeline has seen in this turn that no request waits. Otherwise none wakes it: a real one sleeps then, too.
    emptied: bool,
}

impl Default for MemoryLanes {
    fn default() -> Self {
        Self::new(1, Self::OPEN_MAX)
    }
}

impl MemoryLanes {
    /// Most requests that are open at a time in a world: more than the pipeline takes in one turn.
    pub const OPEN_MAX: usize = 8192;

    /// The lanes of so many shards, each with so many requests open.
    #[must_use]
    pub fn new(shards: usize, capacity: usize) -> Self {
        Self {
            lanes: (0..shards).map(|_| Lane::default()).collect(),
            capacity,
            next: 0,
            emptied: false,
        }
    }

    fn lane(&mut self, shard: ShardId) -> &mut Lane {
        self.lanes.get_mut(shard.0).expect("a shard of this node")
    }

    /// The first shard puts a request into its lane; it comes back if the lane is full.
    ///
    /// # Errors
    /// The lane is full.
    pub fn ask(&mut self, request: Request) -> Result<(), Request> {
        self.ask_by(ShardId(0), request)
    }

    /// A shard puts a request into its lane; it comes back if the lane is full.
    ///
    /// # Errors
    /// The lane is full.
    pub fn ask_by(&mut self, shard: ShardId, request: Request) -> Result<(), Request> {
        let capacity = self.capacity;
        let lane = self.lane(shard);
        let keys = keys(request.ticket);
        if lane.open.len() + lane.answered + keys.len() > capacity {
            return Err(request);
        }
        for key in keys {
            assert!(lane.open.insert(key), "a ticket is for one request");
        }
        lane.requests.push_back(request);
        Ok(())
    }

    /// Whether a request waits that wakes the pipeline.
    #[must_use]
    pub fn wakes(&self) -> bool {
        self.emptied && self.lanes.iter().any(|lane| !lane.requests.is_empty())
    }

    /// The pipeline begins a turn.
    pub fn turn_begins(&mut self) {
        self.emptied = false;
    }

    /// The first shard takes all its answers.
    pub fn take_replies(&mut self) -> Vec<Reply> {
        let lane = self.lane(ShardId(0));
        lane.answered = 0;
        lane.replies.drain(..).collect()
    }

    /// A shard takes an answer.
    pub fn take_reply(&mut self, shard: ShardId) -> Option<Reply> {
        let lane = self.lane(shard);
        let reply = lane.replies.pop_front()?;
        lane.answered -= keys(reply.ticket).len();
        Some(reply)
    }
}

impl Lanes for MemoryLanes {
    fn take(&mut self) -> Option<(ShardId, Request)> {
        for _ in 0..self.lanes.len() {
            let shard = ShardId(self.next);
            self.next = (self.next + 1) % self.lanes.len();
            if let Some(request) = self.lane(shard).requests.pop_front() {
                return Some((shard, request));
            }
        }
        self.emptied = true;
        None
    }

    fn put(&mut self, shard: ShardId, reply: Reply) {
        let lane = self.lane(shard);
        for key in keys(reply.ticket) {
            let asked = lane.open.remove(&key);
            assert!(asked, "a request is answered once: {:?}", reply.ticket);
            lane.answered += 1;
        }
        lane.replies.push_back(reply);
    }
}

/// One for each chunk of a run.
fn keys(ticket: Ticket) -> impl ExactSizeIterator<Item = (u64, u64, u32)> {
    let Chunks { at, count } = ticket.chunks;
    (at..at + count).map(move |at| (ticket.connection, ticket.correlation, at))
}
