//! What makes a node stop: SIGTERM, SIGINT, or its pipeline's end. A second signal ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals as SignalIterator;

/// Exit status of a node that was told twice: as a shell reports SIGINT.
const TOLD_TWICE: i32 = 130;

/// The node's ear.
#[derive(Debug)]
pub(super) struct Signals {
    heard: Receiver<()>,
    end: End,
}

/// Ends the wait.
#[derive(Clone, Debug)]
pub(super) struct End {
    tell: Sender<()>,
}

impl End {
    /// The main thread wakes.
    pub(super) fn ring(&self) {
        // Nobody listens to a node that stops already.
        let _ = self.tell.send(());
    }
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Self> {
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal arms the second.
            flag::register_conditional_shutdown(signal, TOLD_TWICE, Arc::clone(&told))?;
            flag::register(signal, Arc::clone(&told))?;
        }
        let mut signals = SignalIterator::new([SIGTERM, SIGINT])?;
        let (tell, heard) = channel();
        let end = End { tell };
        let of_thread = end.clone();
        let body = move || signals.forever().for_each(|_| of_thread.ring());
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(body)?;
        Ok(Self { heard, end })
    }

    /// Waits for the next of them, but not for longer than that.
    pub(super) fn wait_at_most(&self, longest: Duration) {
        // Nobody need ring: the time is up then.
        let _ = self.heard.recv_timeout(longest);
    }

    /// Whoever else may end the wait.
    pub(super) fn end(&self) -> End {
        self.end.clone()
    }

    /// Waits for the first of them.
    pub(super) fn wait(&self) {
        self.heard
            .recv()
            .expect("an end of the channel is kept here");
    }
}
