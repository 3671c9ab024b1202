//! A shard's ends of its lanes.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use quorate_replication::lane::{Reply, Request, Ticket};
use rtrb::{Consumer, Producer};

use super::parking::Parking;
use super::wake::Wake;

/// A shard's ends of the lanes to and from one pipeline. Made on any thread, used on one; one task of it may wait.
#[derive(Debug)]
pub struct ShardLane {
    requests: Producer<Request>,
    replies: Consumer<Reply>,
    /// Requests that were put and whose replies were not yet taken. Of a run, each chunk counts: it may be answered alone.
    /// Invariant: at most the rings' capacity.
    open: usize,
    /// Whether a request was put since the last kick.
    put: bool,
    parking: Arc<Parking>,
    wake: Arc<Wake>,
}

impl ShardLane {
    pub(super) const fn new(
        requests: Producer<Request>,
        replies: Consumer<Reply>,
        parking: Arc<Parking>,
        wake: Arc<Wake>,
    ) -> Self {
        Self {
            requests,
            replies,
            open: 0,
            put: false,
            parking,
            wake,
        }
    }

    /// Asks. The pipeline sees it at its next turn; if it sleeps, only after a [`kick`](Self::kick).
    ///
    /// # Errors
    /// As many requests are open as the lane has room for: the request comes back.
    pub fn try_put(&mut self, request: Request) -> Result<(), Request> {
        let requests = requests(request.ticket);
        if self.room() < requests {
            return Err(request);
        }
        let fits = self.requests.push(request).is_ok();
        assert!(fits, "a ring has room for all requests that may be open");
        self.open += requests;
        self.put = true;
        Ok(())
    }

    /// How many more requests may be put.
    #[must_use]
    pub fn room(&self) -> usize {
        self.requests.buffer().capacity() - self.open
    }

    /// Wakes the pipeline if it sleeps and something was put since the last call. To be called once after what may be a batch of
    /// puts.
    pub fn kick(&mut self) {
        if core::mem::take(&mut self.put) {
            self.wake.kick();
        }
    }

    /// The next reply, if one is there. Gives the room for another request.
    pub fn try_take(&mut self) -> Option<Reply> {
        let reply = self.replies.pop().ok()?;
        let requests = requests(reply.ticket);
        assert!(self.open >= requests, "a reply answers open requests");
        self.open -= requests;
        Some(reply)
    }

    /// Whether the pipeline is gone. Replies that it had put can still be taken; no other will come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.parking.is_closed()
    }

    /// Ready when there is a reply to take, or the pipeline is gone. If it is not, the task is woken when it will be.
    ///
    /// It takes `&self`, so that a lane in a `RefCell` need not stay borrowed while its task sleeps.
    pub fn poll_wait(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.parking.announce(context.waker());
        // What was put before the announcement woke nobody: look again.
        if self.is_ready() {
            self.parking.retract();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Sleeps until there is a reply to take, or the pipeline is gone.
    pub async fn wait(&self) {
        poll_fn(|context| self.poll_wait(context)).await;
    }

    /// Whether there is a reply to take, or the pipeline is gone.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.replies.is_empty() || self.is_closed()
    }
}

/// How many requests a ticket stands for.
fn requests(ticket: Ticket) -> usize {
    usize::try_from(ticket.chunks.count).expect("32 bits fit into a size")
}
