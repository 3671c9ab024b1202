//! How others wake a pipeline that sleeps in its ring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

use super::sleep::Sleep;

/// A pipeline's bell: an eventfd that its ring reads, and a flag that says whether anybody needs to ring it.
#[derive(Debug)]
pub struct Wake {
    sleep: Sleep,
    eventfd: OwnedFd,
}

impl Wake {
    /// A new one, of a pipeline that is awake.
    ///
    /// # Errors
    /// The operating system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        // It blocks: the ring would not wait on a descriptor that does not, but complete the read with nothing.
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Self {
            sleep: Sleep::new(),
            eventfd,
        })
    }

    /// Wakes the pipeline if it sleeps, after something was put into a lane. Costs no system call if it does not.
    pub fn kick(&self) {
        if self.sleep.end() {
            self.ring();
        }
    }

    /// Wakes the pipeline, or lets it not fall asleep: for what is rare, and what it does not look for before it sleeps.
    #[expect(
        clippy::host_endian_bytes,
        reason = "an eventfd counts in the host's order"
    )]
    pub fn ring(&self) {
        // The counter is read by each wake and cannot fill, so the write neither fails nor blocks.
        rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes())
            .expect("an eventfd that is open takes a count");
    }

    /// The pipeline's side: announces that it sleeps. It looks into the lanes once more before it does.
    pub(crate) fn announce(&self) {
        self.sleep.announce();
    }

    /// The pipeline's side: it is awake.
    pub(crate) fn retract(&self) {
        self.sleep.retract();
    }

    /// What the ring reads.
    pub(crate) fn eventfd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
