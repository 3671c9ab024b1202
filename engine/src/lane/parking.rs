//! How a shard's task sleeps until the pipeline has a reply for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;

use super::sleep::Sleep;

/// Where one shard's task parks.
#[derive(Debug)]
pub(super) struct Parking {
    sleep: Sleep,
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl Parking {
    pub(super) fn new() -> Self {
        Self {
            sleep: Sleep::new(),
            closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// The sleeper's side: announces the sleep. Whoever calls it looks once more for replies before it sleeps.
    pub(super) fn announce(&self, waker: &Waker) {
        self.waker.register(waker);
        self.sleep.announce();
    }

    /// The sleeper's side: it does not sleep (any more).
    pub(super) fn retract(&self) {
        self.sleep.retract();
    }

    /// The waker's side: after the replies were put.
    pub(super) fn wake(&self) {
        if self.sleep.end() {
            self.waker.wake();
        }
    }

    /// The waker's side: no reply will come any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
