//! How a shard's task sleeps until the pipeline has a reply for it.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::Waker;

use atomic_waker::AtomicWaker;

/// Where one shard's task parks.
///
/// The sleeper says that it sleeps and then looks again; the waker puts its reply and then looks for a sleeper. Each side has
/// a fence between its store and its load, so at least one of them sees the other.
#[derive(Debug)]
pub(super) struct Parking {
    asleep: AtomicBool,
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl Parking {
    pub(super) const fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// The sleeper's side: announces the sleep. Whoever calls it looks once more for replies before it sleeps.
    pub(super) fn announce(&self, waker: &Waker) {
        self.waker.register(waker);
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The sleeper's side: it does not sleep (any more).
    pub(super) fn retract(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// The waker's side: after the replies were put.
    pub(super) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
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
