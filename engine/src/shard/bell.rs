//! How tasks of one shard wake each other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A bell that one task waits for. Rung twice before the task comes, it is heard once.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Cell<bool>,
    sleeper: RefCell<Option<Waker>>,
}

impl Bell {
    /// Wakes the task, or lets it not fall asleep.
    pub(super) fn ring(&self) {
        self.rung.set(true);
        let sleeper = self.sleeper.borrow_mut().take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Waits for a ring since the last wait.
    pub(super) async fn wait(&self) {
        poll_fn(|cx| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            *self.sleeper.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
