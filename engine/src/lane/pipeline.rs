//! The pipeline's ends of its lanes.

use std::sync::Arc;

use quorate_replication::lane::{Reply, Request, ShardId};
use rtrb::{Consumer, Producer};

use super::parking::Parking;
use super::wake::Wake;

/// The pipeline's ends of the lanes of all shards.
#[derive(Debug)]
pub struct PipelineLanes {
    lanes: Vec<Lane>,
    /// Whose turn it is to be taken from.
    next: usize,
    wake: Arc<Wake>,
}

/// The ends of one shard's lanes.
#[derive(Debug)]
pub(super) struct Lane {
    requests: Consumer<Request>,
    replies: Producer<Reply>,
    parking: Arc<Parking>,
    /// Whether a reply was put since the last flush.
    put: bool,
}

impl Lane {
    pub(super) const fn new(
        requests: Consumer<Request>,
        replies: Producer<Reply>,
        parking: Arc<Parking>,
    ) -> Self {
        Self {
            requests,
            replies,
            parking,
            put: false,
        }
    }
}

impl PipelineLanes {
    pub(super) const fn new(lanes: Vec<Lane>, wake: Arc<Wake>) -> Self {
        Self {
            lanes,
            next: 0,
            wake,
        }
    }

    /// The next request: one of each shard that has any, in turn.
    pub fn take(&mut self) -> Option<(ShardId, Request)> {
        for _ in 0..self.lanes.len() {
            let shard = self.next;
            self.next = if shard + 1 == self.lanes.len() {
                0
            } else {
                shard + 1
            };
            if let Ok(request) = self.lanes[shard].requests.pop() {
                return Some((ShardId(shard), request));
            }
        }
        None
    }

    /// Answers. The shard may take it at once, and is woken by the next [`flush`](Self::flush).
    ///
    /// # Panics
    /// The shard has no such request open.
    pub fn put(&mut self, shard: ShardId, reply: Reply) {
        let lane = &mut self.lanes[shard.0];
        let fits = lane.replies.push(reply).is_ok();
        assert!(fits, "a request is answered once");
        lane.put = true;
    }

    /// Wakes the shards that sleep and got a reply.
    pub fn flush(&mut self) {
        for lane in &mut self.lanes {
            if lane.put {
                lane.put = false;
                lane.parking.wake();
            }
        }
    }

    /// Whether no shard has a request waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.requests.is_empty())
    }

    /// The pipeline's bell.
    #[must_use]
    pub const fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }
}

impl Drop for PipelineLanes {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.parking.close();
        }
    }
}
