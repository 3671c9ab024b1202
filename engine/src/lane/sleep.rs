//! A flag that says that somebody sleeps, so that waking costs nothing while nobody does.
//!
//! The sleeper says that it sleeps, and then looks again at what it waits for. The waker puts that there, and then looks
//! whether somebody sleeps. Each side has a fence between its store and its load, so at least one of them sees the other: a
//! model test goes through all orders in which that can happen.

use super::sync::{AtomicBool, Ordering, fence};

/// The flag.
#[derive(Debug)]
pub(super) struct Sleep {
    asleep: AtomicBool,
}

impl Sleep {
    pub(super) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
        }
    }

    /// The sleeper's side: it is about to sleep. It looks once more before it does.
    pub(super) fn announce(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The sleeper's side: it does not sleep (any more).
    pub(super) fn retract(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// The waker's side, after it has put something there: whether it has to wake the sleeper. Of several wakers one is told.
    pub(super) fn end(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed)
    }
}
